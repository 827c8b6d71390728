"""From a log to a trained classifier by the command line alone."""

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from benchmarks.stream.paid import Paid
from tests.gateway.discover.logs import HARMS, SYSTEM, rows, two_templates, write
from tests.given import table_text

from .conftest import until

Offramp = Callable[..., "subprocess.CompletedProcess[str]"]
EACH = 200
OWN = table_text("given/e2e-discover-own.yaml")


@pytest.fixture
def folder(tmp_path: Path, prepared_dir: Path) -> Path:
    """A folder with a log of two programs' calls, one in LiteLLM's form and one as pairs, and a line that is broken."""
    pairs = two_templates(EACH)
    records: list[Any] = [
        {
            "call_type": "acompletion",
            "spend": 0.0003,
            "startTime": float(one.at),
            "model": "openai/gpt-4o",
            "model_group": "gpt-4o",
            "proxy_server_request": one.request,
            "response": one.response,
        }
        if one.request["messages"][0]["content"] == SYSTEM
        else {"request": one.request, "response": one.response}
        for one in pairs
    ]
    records.insert(7, {"call_type": "aembedding", "spend": 0.0})
    file = write(tmp_path / "log.jsonl", records)
    with file.open("a") as log:
        log.write("{cut off")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "encoders").symlink_to(prepared_dir / "encoders")
    return tmp_path


def test_a_log_becomes_classifiers(folder: Path, run_offramp: Offramp) -> None:
    done = run_offramp(
        *("discover", "log.jsonl", "--write", "config", "--group", "1", "--group", "2", "--bound", "25%", "--json"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert f"log.jsonl:{2 * EACH + 2}: is not JSON" in done.stderr
    found = json.loads(done.stdout)
    assert (found["calls"], found["skipped"]) == (2 * EACH, {"no chat call": 1})
    shop, harm = sorted(found["groups"], key=lambda group: len(group["labels"]))
    assert (shop["calls"], harm["calls"]) == (EACH, EACH)
    assert set(shop["labels"]) == {"Shop", "Off topic"}
    assert set(harm["labels"]) == set(HARMS)
    assert (shop["reads"]["after"], harm["reads"]["after"]) == ("", "Text:\n")
    # labels of these rows can be told far better than by chance, and a lax bound lets some of them through
    for group, usual in ((shop, 0.5), (harm, 0.5)):
        assert group["agreement"]["low"] > usual
        assert 0 < group["saved_share"] <= 1
    # 400 calls, ten minutes apart, at 100 and 5 tokens
    assert shop["calls_a_month"] == pytest.approx(30 * 24 * 6 / 2)
    assert shop["usd_a_month"] == pytest.approx(30 * 24 * 6 / 2 * 0.0003)

    check, train, _ = found["written"]["next"]
    for command in (check, train):
        done = run_offramp(*command.split()[1:], cwd=folder)
        assert done.returncode == 0, done.stderr
    data = (folder / "config/policies/data").iterdir()
    seen = {json.loads(line)["text"] for file in data for line in file.read_text("utf-8").splitlines()}
    fresh = [row for row in rows("off-topic") if row["text"] not in seen][:60]
    done = run_offramp("classify", shop["name"], *(row["text"] for row in fresh), "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    verdicts = [one["scores"] for one in json.loads(done.stdout)]
    right = sum(
        max(scores, key=scores.get) == ("Off topic" if row["labels"] else "Shop")
        for scores, row in zip(verdicts, fresh, strict=True)
    )
    assert right > 0.65 * len(fresh)


def test_a_gateways_own_calls_are_a_log(
    start_gateway: Callable[..., Any], run_offramp: Offramp, prepared_dir: Path
) -> None:
    answers = {one.request["messages"][-1]["content"]: one.response for one in two_templates(60)}
    paid = Paid(lambda text: answers[text]["choices"][0]["message"]["content"])
    gateway = start_gateway(OWN.format(paid=paid.url))
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        for one in two_templates(60):
            client.chat.completions.create(**{**one.request, "model": "gpt-4o"})
    gateway.stop()
    paid.close()
    (gateway.folder / "models").mkdir(exist_ok=True)
    (gateway.folder / "models" / "encoders").symlink_to(prepared_dir / "encoders")
    done = run_offramp("discover", "gateway.yaml", "--json", cwd=gateway.folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["calls"], found["skipped"], found["problems"]) == (120, {}, [])
    assert sorted(group["calls"] for group in found["groups"]) == [60, 60]
    file = gateway.folder / "gateway.yaml"
    file.write_text(file.read_text().replace("{keep: 30d, calls: true}", "{keep: none}"))
    start_gateway(file)
    with closing(sqlite3.connect(gateway.folder / "offramp.db")) as db:
        until(lambda: db.execute("SELECT count(*) FROM calls").fetchone() == (0,))
    assert "no chat call" in run_offramp("discover", "gateway.yaml", cwd=gateway.folder).stderr
