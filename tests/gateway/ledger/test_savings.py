"""Estimates for calls that were not made, and the ledger's sums as a report."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.record import Record
from gateway.ledger.savings import Summary, UsageRatios, summarise
from gateway.ledger.store import SQLiteLedger


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


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 100))),
    st.integers(0, 10**7),
)
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


def test_answers_are_saved_calls_and_blocks_are_kept_apart(summary: Callable[..., Summary]) -> None:
    report = summary(record(**ANSWER), record(**ANSWER), record(**BLOCK), record(spent_usd=1.0))
    assert (report.calls, report.saved_calls, report.saved_tokens) == (4, 2, 220)
    assert (report.saved_usd, report.blocked_calls, report.blocked_usd, report.spent_usd) == (1.0, 1, 0.25, 1.0)
    assert [(line.what, line.rule, line.calls) for line in report.lines] == [
        ("answered here", "intents", 2),
        ("blocked", "safety", 1),
        ("forwarded", "", 1),
    ]
    notes = list(report.notes())
    assert "tokens of 3 calls that were not made are estimates" in notes
    assert any(note.startswith("1 blocked calls would have cost $0.250000") for note in notes)


def test_what_is_unknown_is_in_no_figure_and_said(summary: Callable[..., Summary]) -> None:
    report = summary(
        record(spent_usd=None, usage_source="missing"), record(**{**ANSWER, "saved_usd": None}), record(spent_usd=1.0)
    )
    assert (report.spent_usd, report.saved_usd, report.unpriced_calls, report.usage_missing_calls) == (1.0, 0, 2, 1)
    notes = " ".join(report.notes())
    assert "2 calls have no known price or usage: what they cost, or what they saved, is in no dollar figure" in notes
    assert "1 forwarded calls were cut off, or came back without usage" in notes


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
    assert list(report.notes())[:2] == [
        "4 of 6 calls went to the echo upstream or were answered in front of it",
        "$1.125000 of the dollars spent and $0.375000 of the dollars saved are notional: nobody was charged",
    ]


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


def test_what_a_judge_costs_is_spent_and_taken_off(summary: Callable[..., Summary]) -> None:
    asked = {"endpoint": "judge", "decision": "judge", "rule": "safety", "saved_reason": "judge"}
    report = summary(
        record(**ANSWER),
        record(rule="safety", decision="block", **{k: v for k, v in BLOCK.items() if k not in ("rule", "decision")}),
        record(**asked, spent_usd=0.125, saved_usd=-0.125),
        record(**asked, spent_usd=None, saved_usd=None),
    )
    assert (report.calls, report.saved_calls, report.spent_usd, report.saved_usd) == (2, 1, 0.125, 0.375)
    assert (report.judge_calls, report.judge_usd, report.unpriced_calls) == (2, 0.125, 1)
    assert ("asked a judge", "safety", 2) in [(line.what, line.rule, line.calls) for line in report.lines]
    assert any("judges were asked 2 times, for $0.125000" in note for note in report.notes())
