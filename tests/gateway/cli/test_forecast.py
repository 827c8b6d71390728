"""`offramp check` on a gateway's file with a contract against a judge."""

import random
import time
from pathlib import Path

import pytest

from gateway.cli.forecast import ForecastLine, safety_outlooks
from gateway.config.load import load_gateway
from gateway.contracts.safety_contract import SafetyTerms
from gateway.contracts.safety_owner import SafetyOwner
from gateway.contracts.safety_store import SafetyStore
from gateway.contracts.scope import Scope

GATEWAY = """\
version: 1
upstreams:
  paid: {kind: openai, base_url: "http://127.0.0.1:9/v1"}
models:
  judge: {upstream: paid, model: gpt-4o-mini, internal: true}
rules:
  - name: safety
    classifier: guard
    then: {"*": {block: Not here.}}
    when_unsure: {ask: judge}
    contract: {max_missed: 5%, max_false_alarms: 5%}
"""
TERMS = SafetyTerms(missed=0.05, wrongly=0.05, confidence=0.95)
VERSION = "20260101-000000-00000000"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gateway file, and the version in use of its classifier."""
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    version = tmp_path / "models" / "guard" / VERSION
    version.mkdir(parents=True)
    (version / "manifest.json").write_text("{}")
    (version.parent / "current").write_text(VERSION)
    return tmp_path


async def calls(
    folder: Path, count: int, *, hours: float, version: str = VERSION, sent_to: str = "paid/gpt-4o-mini"
) -> None:
    """Calls of the last hours, every other one unsafe, of which the scores tell all."""
    now = [time.time() - hours * 3600]
    owner = SafetyOwner(SafetyStore(folder / "offramp.db"), draw=random.Random(0).random, clock=lambda: now[0])
    scope = Scope(
        rule="safety",
        model="judge",
        prompt="",
        labels=(),
        classifier="guard",
        version=version,
        terms=TERMS.text,
        sent_to=sent_to,
    )
    for number in range(count):
        placed = owner.place(scope, TERMS, (0.1, 0.9)[number % 2])
        if placed.judged:
            await owner.learn(placed, request_id="r", unsafe=bool(number % 2))
        now[0] += hours * 3600 / count
    owner.close()


def forecast(folder: Path) -> list[ForecastLine]:
    return safety_outlooks(load_gateway(folder / "gateway.yaml", {}))


async def test_calls_of_days_tell_days_and_those_of_hours_tell_none(folder: Path) -> None:
    await calls(folder, 240, hours=48)
    missed, _ = forecast(folder)
    assert (
        "shadow, about 60 unsafe calls a day. 0 of 40 were missed at the threshold to be certified next" in missed.line
    )
    assert "days" in missed.line.partition("they never do")[0]
    assert "days" in missed.line.partition("is noticed after")[2]
    (folder / "offramp.db").unlink()
    await calls(folder, 240, hours=3)
    assert all("under a day of calls" in one.line and "days" not in one.line for one in forecast(folder))


async def test_a_live_one_tells_when_it_would_be_withdrawn(folder: Path) -> None:
    await calls(folder, 1200, hours=96)
    missed, flagged = forecast(folder)
    for one in (missed, flagged):
        assert "live, about " in one.line
        assert "It takes" not in one.line
        assert "certified" not in one.line
    assert (missed.data["phase"], missed.data["certificate"]) == ("live", [])
    # audited calls stand for those that were not
    assert missed.data["calls_a_day"] == pytest.approx(150, rel=0.3)
    assert flagged.data["alarm"]["median"] > 500


async def test_calls_of_another_version_or_judge_are_not_of_those_in_use(folder: Path) -> None:
    await calls(folder, 40, hours=48, version="20250101-000000-00000000")
    for sent_to in ("paid/judge", ""):
        await calls(folder, 40, hours=48, sent_to=sent_to)
    found = forecast(folder)
    assert all("no call under its contract yet" in one.line for one in found)
    assert [(one.data["bound"], one.data["phase"], one.data["ordering"]) for one in found] == [
        ("missing", None, 80),
        ("flagging", None, 80),
    ]
