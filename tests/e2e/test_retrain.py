"""A classifier that knows little learns from the calls that the model answers, and answers at once."""

import itertools
import random
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

GATEWAY = table_text("given/e2e-retrain-gateway.yaml")
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

    assert ask(gateway.url, itertools.islice(texts, 130)).count("answer") < 65
    until(lambda: gateway.metric('offramp_retrainings_total{outcome="published",rule="desks"}') == 1, seconds=180)
    assert (tmp_path / "models" / "desks" / "current").read_text().strip() != first
    until(lambda: first not in gateway.get("/ready"), seconds=30)
    until(lambda: ask(gateway.url, itertools.islice(texts, 40)).count("answer") > 20, seconds=180)
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db:
        kept = dict(db.execute("SELECT text, label FROM contract_texts"))
    assert kept
    assert all(desk(text) == label for text, label in kept.items())


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
