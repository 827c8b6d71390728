"""Estimates for calls that were not made, and the ledger's sums as a report."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.savings import Summary, UsageRatios, summarise
from gateway.ledger.store import SQLiteLedger
from gateway.record import Record


def learn(ratios: UsageRatios, model: str, given: int, tokens: int, *, times: int = 1, **rules: int) -> None:
    for _ in range(times):
        ratios.learn(model, rules, prompt_bytes=given, input_tokens=tokens, output_tokens=30)


def test_a_rule_has_its_own_ratio_once_its_calls_weigh_enough_and_the_models_before() -> None:
    ratios = UsageRatios()
    learn(ratios, "m", 1000, 1000, times=1000)
    assert 950 <= ratios.input_tokens("m", "", 1000) <= 1000
    assert ratios.input_tokens("other", "", 1000) == 250
    learn(ratios, "m", 1000, 500, mine=0)
    assert ratios.input_tokens("m", "mine", 1000) > 600
    learn(ratios, "m", 1000, 500, times=200, mine=0)
    assert 500 <= ratios.input_tokens("m", "mine", 1000) <= 510
    assert ratios.input_tokens("m", "other", 1000) > 900


def test_the_caches_share_is_of_the_rules_own_calls_and_nothing_before_any() -> None:
    ratios = UsageRatios()
    for _ in range(100):
        ratios.learn("m", {"mine": 0}, prompt_bytes=4000, input_tokens=1000, output_tokens=1, cached_input_tokens=800)
    assert 780 <= ratios.cached_input_tokens("m", "mine", 1000) <= 800
    assert ratios.cached_input_tokens("m", "other", 1000) == 0
    assert ratios.cached_input_tokens("other", "mine", 1000) == 0


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 100))), st.integers(0, 10**7))
def test_an_estimate_is_a_positive_count_that_grows_with_the_text(calls: list[tuple[int, int, int]], size: int) -> None:
    ratios = UsageRatios()
    for given_bytes, tokens, instead in calls:
        learn(ratios, "m", given_bytes, tokens, mine=instead)
    assert 1 <= ratios.input_tokens("m", "mine", size) <= ratios.input_tokens("m", "mine", size + 1000)
    assert 1 <= ratios.output_tokens("m", "mine", size) <= ratios.output_tokens("m", "mine", size + 1000)


def record(**fields: Any) -> Record:
    return Record(**{"request_id": "r", "at": 1.0, "endpoint": "chat.completions", "requested_model": "m", **fields})


ANSWER: dict[str, Any] = {
    "decision": "answer",
    "rule": "intents",
    "saved_reason": "local_answer",
    "saved_input_tokens": 100,
    "saved_output_tokens": 10,
    "saved_usd": 0.5,
    "saved_estimated": True,
}
BLOCK = {**ANSWER, "decision": "block", "rule": "safety", "saved_reason": "block", "saved_usd": 0.25}
ROUTE: dict[str, Any] = {"rule": "intents", "saved_reason": "cheaper_route", "spent_usd": 0.125}


@pytest.fixture
def summary(tmp_path: Path) -> Callable[..., Summary]:
    """The report of some records, by way of a real ledger."""

    def make(*records: Record) -> Summary:
        with closing(SQLiteLedger(tmp_path / "l.db")) as store:
            store.append(records)
            return summarise(store.summary(0, 10))

    return make


def test_answers_are_saved_calls_and_blocks_and_judges_are_kept_apart(summary: Callable[..., Summary]) -> None:
    asked = {"endpoint": "judge", "decision": "judge", "rule": "safety", "saved_reason": "judge"}
    report = summary(
        record(**ANSWER),
        record(**{**ANSWER, "saved_usd": None}),
        record(**BLOCK),
        record(spent_usd=1.0),
        record(spent_usd=None, usage_source="missing"),
        record(**asked, spent_usd=0.125, saved_usd=-0.125),
        record(**asked, spent_usd=None, saved_usd=None),
    )
    assert (report.calls, report.saved_calls, report.saved_tokens) == (5, 2, 220)
    assert (report.saved_usd, report.blocked_calls, report.blocked_usd, report.spent_usd) == (0.375, 1, 0.25, 1.125)
    assert (report.judge_calls, report.judge_usd) == (2, 0.125)
    assert (report.estimated_calls, report.unpriced_calls, report.usage_missing_calls) == (3, 3, 1)
    assert [(line.what, line.rule, line.calls) for line in report.lines] == [
        ("answered here", "intents", 2),
        ("asked a judge", "safety", 2),
        ("forwarded", "", 2),
        ("blocked", "safety", 1),
    ]
    assert [note.partition(" calls ")[0] for note in report.notes()] == [
        "tokens of 3",
        "1 blocked",
        "3",
        "1 forwarded",
        "judges were asked 2 times, for $0.125000, which is spent and taken off what was saved",
    ]


def test_notional_calls_and_dollars_are_kept_apart(summary: Callable[..., Summary]) -> None:
    notional = [
        record(notional=True, spent_usd=1.0),
        record(notional=True, **ANSWER),
        record(notional=True, **BLOCK),
        record(notional=True, **ROUTE, saved_usd=-0.125),
        record(notional=True, decision="judge", saved_reason="judge"),
    ]
    report = summary(*notional, record(spent_usd=2.0), record(**ANSWER))
    assert (report.calls, report.notional_calls) == (6, 4)
    assert (report.spent_usd, report.notional_spent_usd) == (3.125, 1.125)
    assert (report.saved_usd, report.notional_saved_usd) == (0.875, 0.375)


RECORDS = st.lists(
    st.builds(
        record,
        requested_model=st.sampled_from(["a", "b"]),
        rule=st.sampled_from(["", "r"]),
        decision=st.sampled_from(["forward", "answer", "block", "error"]),
        saved_reason=st.sampled_from([None, "local_answer", "block", "cheaper_route"]),
        saved_usd=st.none() | st.integers(-100, 100).map(lambda cents: cents / 4),
        spent_usd=st.none() | st.integers(0, 100).map(lambda cents: cents / 4),
        saved_input_tokens=st.integers(0, 100),
        notional=st.booleans(),
    ),
    max_size=20,
)


@settings(max_examples=30)
@given(RECORDS)
def test_the_report_is_the_sum_of_its_rows(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    with closing(SQLiteLedger(tmp_path_factory.mktemp("ledger") / "l.db")) as store:
        store.append(records)
        report = summarise(store.summary(0, 10))
    assert report.calls == len(records)
    assert report.spent_usd == sum(row.spent_usd or 0 for row in records)
    assert report.saved_usd + report.blocked_usd == sum(row.saved_usd or 0 for row in records)
    assert report.unpriced_calls == sum(row.spent_usd is None or row.saved_usd is None for row in records)
    notional = [row for row in records if row.notional]
    assert report.notional_calls == len(notional)
    assert report.notional_spent_usd == sum(row.spent_usd or 0 for row in notional)
    assert report.notional_saved_usd == sum(row.saved_usd or 0 for row in notional if row.saved_reason != "block")
    assert sum(line.calls for line in report.lines) == len(records)
