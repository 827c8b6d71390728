"""Versions of classifiers and other thresholds on pages."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from classifiers.model.registry import Registry
from gateway.ledger.call_store import KeptText, TextStore
from gateway.ledger.replay import replay
from gateway.ledger.store import SQLiteLedger
from gateway.record import Record
from gateway.review import ReviewedAgain
from gateway.rules.rule import Act, Rule
from tests.gateway.console.conftest import opened
from tests.given import table

GIVEN = table("console.yaml")


@pytest.fixture
def browser(load: Callable[..., Any], models_dir: Path) -> TestClient:
    return opened(load(GIVEN["gateway"].format(models=models_dir)))


@pytest.fixture
def made(publish: Callable[..., str], policies: Any) -> list[str]:
    """Three versions of `bank`, the oldest first; the last is in use."""
    publish(datetime(2026, 11, 27, tzinfo=UTC), policies["safe"])
    return [publish(datetime(2026, 11, day, tzinfo=UTC)) for day in (28, 29, 30)]


def test_a_version_is_put_in_use_and_rolled_back(browser: TestClient, models_dir: Path, made: list[str]) -> None:
    shown = browser.get("/classifiers").text
    assert [shown.index(f">{version} ") for version in made[::-1]] == sorted(shown.index(f">{v} ") for v in made)
    for given, place in (({"do": "rollback"}, 1), ({"version": made[2]}, 2), ({"version": made[0]}, 0)):
        answer = browser.post("/classifiers", data={"name": "bank", **given}).text
        assert Registry(models_dir).current("bank") == made[place]
        assert f'value="{made[place]}"' not in answer
        assert answer.count("in use<") == 2


@pytest.mark.parametrize("given", [{"name": "bank", "do": "rollback"}, {"name": "bank", "version": "../.."}, {}])
def test_what_cannot_be_put_in_use_is_a_problem(browser: TestClient, models_dir: Path, given: Any, made: Any) -> None:
    Registry(models_dir).promote("bank", made[0])
    assert 'role="alert"' in browser.post("/classifiers", data=given).text
    assert Registry(models_dir).current("bank") == made[0]


def test_a_report_is_framed_and_nothing_in_it_runs(browser: TestClient, models_dir: Path, made: list[str]) -> None:
    (models_dir / "bank" / made[0] / "report.html").write_text("<script>alert(1)</script>")
    page = browser.get("/classifiers", params={"name": "bank", "version": made[0]}).text
    assert f'src="/classifiers/bank/{made[0]}/report" sandbox></iframe>' in page
    assert "<iframe" not in browser.get("/classifiers", params={"name": "bank", "version": "x"}).text
    policy = browser.get(f"/classifiers/bank/{made[0]}/report").headers["content-security-policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
    assert [browser.get(f"/classifiers/{one}/report").status_code for one in (f"bank/{made[1]}", "x/y")] == [404, 404]


@pytest.mark.parametrize("unsure", [Act.FORWARD, Act.BLOCK])
def test_another_threshold_is_replayed_over_what_rows_hold(make_rule: Callable[..., Rule], unsure: Act) -> None:
    rule = make_rule({"card": Act.ANSWER, "rate": Act.BLOCK, "other": Act.ANSWER}, unsure=unsure)
    read, costs = [call for call in GIVEN["calls"] if "r:!" not in call[0]], {0: 0.25, 1: None}
    calls = [
        {
            "request_id": str(at),
            "at": at,
            "decision": done,
            "rule": "r",
            "verdicts": one,
            "spent_usd": costs.get(at, 9.0),
        }
        | {"saved_usd": 0.5, "notional": at == 4}
        for at, (one, done) in enumerate(read)
    ]
    now, reviewed = {"card": 0.7, "rate": 0.7}, {"0": {"rate"}, "1": {"card"}, "7": ()}
    made = replay(calls, rule, 0.6, now=now, reviewed=reviewed, since=2.0)
    card, rate = made["card"], made["rate"]
    assert (card.read, card.older, card.more, card.fewer, card.wrong, card.doubted) == (7, 2, 2, 1, 1, 1)
    assert (card.usd, card.unknown, card.notional) == (0.25 - 0.5, 1, True)
    # what is in doubt is blocked as well, where the rule says so
    assert (rate.read, rate.more, rate.fewer, rate.wrong, rate.usd) == (3, 1, int(unsure is Act.FORWARD), 1, 0.0)
    assert (made["other"].fewer, made["greeting"].read) == (0, 1)


def test_a_label_shows_what_another_threshold_does(browser: TestClient, tmp_path: Path, made: list[str]) -> None:
    ledger, texts = SQLiteLedger(tmp_path / "offramp.db"), TextStore(tmp_path / "offramp.db")
    row = {"at": 2e9, "endpoint": "chat", "saved_usd": 0.5, "rule": "r"}
    ledger.append([Record(request_id=one, decision=done, verdicts=one, **row) for one, done in GIVEN["calls"]])
    kept = {"kept_as": "unsure", "rule": "s", "label": "violence", "classifier": "safe", "version": "v", "text": "hi"}
    texts.append([KeptText(request_id=GIVEN["calls"][11][0], at=2e9, latest=2e9, confidence=0.4, **kept)])
    texts.review(texts.waiting(9), harmful=False, at=2e9)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "safe.reviewed.jsonl").write_text('{"text": "hi", "label": "none"}\nno row\n')
    ledger.close()
    texts.close()

    def shown(label: str, **asked: str) -> str:
        text = browser.get(f"/classifiers/{label}", params=asked).text
        return " ".join(re.sub("<[^>]+>", "", text.partition('<div id="made">')[2]).split())

    assert "At 0.500, at most the latest 100,000 calls r: 0 more answered" in shown("bank/card")
    assert "At 0.600, at most the latest 100,000 calls r: 1 fewer answered, −$0.500000" in shown(
        "bank/card", threshold="0.6"
    )
    assert "s: 2 more blocked, 1 reviewed as harmless or another harm" in shown("safe/violence", threshold="0.3")
    assert "it does nothing for greeting" in shown("bank/greeting")
    for given, at in (("nan", "0.500"), ("-1", "0.500"), ("7", "1.000"), ("x", "0.500")):
        assert f"At {at}," in shown("bank/card", threshold=given)
    assert browser.get("/classifiers/bank/none").status_code == 404


def test_reviewed_texts_are_asked_of_two_versions(
    load: Callable[..., Any], tmp_path: Path, models_dir: Path, made: list[str]
) -> None:
    loaded = load(GIVEN["gateway"].format(models=models_dir))
    (tmp_path / "policies").mkdir()
    lines = ('{"text": "rate", "label": "rate"}', '{"text": "card", "label": "rate"}', '{"text": "", "label": "other"}')
    (tmp_path / "policies" / "bank.reviewed.jsonl").write_text("\n".join(lines))
    again = ReviewedAgain.of(loaded, "bank", (made[0], made[1]))
    assert (again.rows, again.right) == (3, (2, 2))
    assert again.wrong == [("card", {"rate"}, {"card"})]
