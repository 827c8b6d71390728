"""A classifier that knows little learns from the calls that the model answers, and takes over when it can."""

import itertools
import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from benchmarks.stream.paid import Paid
from tests.given import table_text

from .conftest import until, user

GATEWAY = """\
version: 1
models_dir: models
ledger: offramp.db
limits: {{classify_time: 30s}}
content: {{keep: 1d}}
upstreams:
  paid: {{kind: openai, base_url: "{paid}"}}
models:
  gpt-4o: paid
rules:
  - name: desks
    classifier: desks
    when: {{any_system: true}}
    contract: {{max_disagreement: 10%, confidence: 80%}}
    retrain: 120 pairs
    then: {{"*": {{answer: label}}}}
"""
POLICY = table_text("given/e2e-retrain-policy.yaml")
SYSTEM = "Which desk is it for: north or south? Answer with one word."
NORTH = ("my invoice for {} is wrong", "please refund {}", "I was charged twice for {}", "send a receipt for {}")
SOUTH = ("the {} does not start", "my {} is broken", "how do I reset the {}", "the screen of my {} stays black")
THINGS = ("phone", "laptop", "printer", "router", "camera", "monitor", "scanner", "tablet", "speaker", "keyboard")


def desk(text: str) -> str:
    words = ("invoice", "refund", "charged", "receipt")
    return "north" if any(word in text for word in words) else "south"


@pytest.fixture
def paid() -> Iterator[Paid]:
    server = Paid(desk)
    yield server
    server.close()


def test_it_learns_and_takes_over(
    start_gateway: Callable[..., Any], run_offramp: Callable[..., Any], prepared_dir: Path, tmp_path: Path, paid: Paid
) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "desks.yaml").write_text(POLICY)
    (tmp_path / "gateway.yaml").write_text(GATEWAY.format(paid=paid.url))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "encoders").symlink_to(prepared_dir / "encoders")
    done = run_offramp("train", "policies/desks.yaml", "--models", "models", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first = (tmp_path / "models" / "desks" / "current").read_text().strip()
    gateway = start_gateway(tmp_path / "gateway.yaml")
    texts = _texts()

    before = ask(gateway.url, itertools.islice(texts, 120))
    assert before.count("answer") < 60
    until(lambda: gateway.metric('offramp_retrainings_total{outcome="proposed",rule="desks"}') == 1, seconds=180)

    def promoted() -> bool:
        ask(gateway.url, itertools.islice(texts, 20))
        return gateway.metric('offramp_retrainings_total{outcome="promoted",rule="desks"}') >= 1

    until(promoted, seconds=180)
    until(lambda: (tmp_path / "models" / "desks" / "current").read_text().strip() != first, seconds=10)
    until(lambda: first not in gateway.get("/ready"), seconds=30)
    after = ask(gateway.url, itertools.islice(texts, 60))
    assert after.count("answer") > 20
    shown = json.loads(run_offramp("contract", "show", "gateway.yaml", "--json", cwd=tmp_path).stdout)
    assert {one["phase"] for one in shown if not one["classifier"].endswith(first)} == {"live"}
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db:
        kept = dict(db.execute("SELECT text, label FROM contract_texts"))
    assert kept
    assert all(desk(text) == label for text, label in kept.items())

    gateway.stop()
    file = tmp_path / "gateway.yaml"
    file.write_text(file.read_text().replace("120 pairs", "50000 pairs"))
    (tmp_path / "models" / "desks" / "proposed").unlink(missing_ok=True)
    _a_damaged_proposal_is_withdrawn(start_gateway(file), tmp_path / "models" / "desks", first)


def _a_damaged_proposal_is_withdrawn(gateway: Any, home: Path, version: str) -> None:
    """Otherwise it would keep out every version after it."""
    damaged = home / version.replace(version[:8], "29990101")
    shutil.copytree(home / version, damaged)
    next(damaged.glob("*.safetensors")).write_bytes(b"no weights")
    (home / "proposed").write_text(damaged.name + "\n")
    until(lambda: gateway.metric("offramp_reload_failures_total") == 1, seconds=30)
    until(lambda: not (home / "proposed").exists(), seconds=30)


def _texts() -> Iterator[str]:
    """Messages in an order of chance; each comes again only after all have."""
    chance = random.Random(0)
    pool = [form.format(thing) for form in (*NORTH, *SOUTH) for thing in THINGS]
    while True:
        yield from chance.sample(pool, len(pool))


def ask(url: str, texts: Iterator[str]) -> list[str]:
    """The decisions on texts."""
    with OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        found = []
        for text in texts:
            raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=user(text, SYSTEM))
            assert raw.parse().choices[0].message.content in ("north", "south")
            found.append(raw.headers["x-offramp-decision"])
        return found
