"""Figures of a period are the sums over its rows, whichever way they are grouped; what is not known is shown first."""

import random
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.prices import PriceTable
from gateway.config.settings import ModelRoute
from gateway.ledger.report import (
    PERIODS,
    WAYS,
    Figures,
    Interval,
    Report,
    Unknown,
    month_range,
    read,
    since_of,
    this_month,
    unseen_sum,
)
from gateway.ledger.store import SQLiteLedger
from gateway.record import Record
from gateway.routes import Routes

DAY_S = 86400.0
NOW = datetime(2026, 12, 3, 12, tzinfo=UTC).timestamp()
ROUTES = Routes({"mine": ModelRoute(upstream="one", model="dear"), "new": ModelRoute(upstream="one", model="gpt-99")})


def record(**fields: Any) -> Record:
    return Record(**{"request_id": "r", "at": NOW, "endpoint": "chat.completions", "requested_model": "dear", **fields})


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
ROUTE: dict[str, Any] = {"rule": "intents", "saved_reason": "cheaper_route", "spent_usd": 0.125, "upstream_model": "c"}
JUDGE: dict[str, Any] = {"endpoint": "judge", "decision": "judge", "rule": "safety", "saved_reason": "judge"}

MakeReport = Callable[..., Report]


@pytest.fixture
def report(tmp_path: Path, prices: PriceTable) -> MakeReport:
    """The report of some records, by way of a real ledger."""

    def make(*records: Record) -> Report:
        with closing(SQLiteLedger(tmp_path / "l.db")) as store:
            store.append(records)
            return read(store, NOW - 30 * DAY_S, NOW + 1, prices=prices, routes=ROUTES)

    return make


def test_answers_are_saved_calls_and_blocks_and_judges_are_kept_apart(report: MakeReport) -> None:
    made = report(
        record(**ANSWER),
        record(**{**ANSWER, "saved_usd": None}),
        record(**BLOCK),
        record(spent_usd=1.0),
        record(spent_usd=None, usage_source="missing"),
        record(**JUDGE, spent_usd=0.125, saved_usd=-0.125),
        record(**JUDGE, spent_usd=None, saved_usd=None),
    )
    total = made.total
    assert (total.calls, total.saved_calls, total.saved_tokens, total.forwarded_calls) == (5, 2, 220, 2)
    assert (total.saved_usd, total.blocked_calls, total.blocked_usd, total.spent_usd) == (0.375, 1, 0.25, 1.125)
    assert (total.judge_calls, total.judge_usd) == (2, 0.125)
    assert (total.unknown_spent_calls, total.unknown_saved_calls, total.usage_missing_calls) == (2, 2, 1)
    assert [(line.name, line.figures.calls, line.figures.judge_calls) for line in made.lines("reason")] == [
        ("answered here", 2, 0),
        ("asked a judge", 0, 2),
        ("forwarded", 2, 0),
        ("blocked", 1, 0),
    ]
    assert [note.partition(" calls ")[0] for note in total.notes()] == [
        "tokens of 3",
        "1 blocked",
        "1",
        "judges were asked 2 times, for $0.125000, which is spent and taken off what was saved",
    ]


def test_notional_calls_and_dollars_are_kept_apart(report: MakeReport) -> None:
    notional = [
        record(notional=True, spent_usd=1.0),
        record(notional=True, **ANSWER),
        record(notional=True, **BLOCK),
        record(notional=True, **ROUTE, saved_usd=-0.125),
        record(notional=True, decision="judge", saved_reason="judge"),
    ]
    total = report(*notional, record(spent_usd=2.0), record(**ANSWER)).total
    assert (total.calls, total.notional_calls) == (6, 4)
    assert (total.spent_usd, total.notional_spent_usd) == (3.125, 1.125)
    assert (total.saved_usd, total.notional_saved_usd) == (0.875, 0.375)


def test_what_is_not_known_comes_with_the_line_that_mends_it(report: MakeReport) -> None:
    """The line names the model as it is sent; what no price would mend has none."""
    other = {"known_model": "other", "known_upstream_model": "other"}
    lost = {"upstream_model": "dear", "spent_usd": None, "usage_source": "missing"}
    made = report(
        *[record(upstream_model="gpt-99", spent_usd=None)] * 3,
        *[record(**{**ANSWER, "requested_model": "new", "saved_usd": None})] * 2,
        record(**{**BLOCK, "requested_model": "new", "saved_usd": None}),
        *[record(**lost)] * 2,
        record(**{**ROUTE, "spent_usd": None, "saved_usd": None}),
        record(upstream_model="dear", service_tier="scale", spent_usd=None),
        record(endpoint="passthrough", requested_model="", spent_usd=None),
        *[record(requested_model=name, upstream_model=name, spent_usd=None, **other) for name in ("x1", "x1", "a: b")],
    )
    missing = "input: $?, output: $?"
    assert made.unknown == [
        Unknown(model="gpt-99", tier="", calls=6, why="no price", lines=[f"gpt-99: {{{missing}}}"]),
        Unknown(
            model="other",
            tier="",
            calls=3,
            why="no price",
            lines=[f"x1: {{{missing}}}", f'"a: b": {{{missing}}}'],
        ),
        Unknown(model="dear", tier="", calls=2, why="no usage was reported", lines=()),
        Unknown(model="", tier="", calls=1, why="passed on unread", lines=()),
        Unknown(model="c", tier="", calls=1, why="no price", lines=[f"c: {{{missing}}}"]),
        Unknown(
            model="dear",
            tier="scale",
            calls=1,
            why="no price",
            lines=[f"dear: {{input: $10, output: $40, tiers: {{scale: {{{missing}}}}}}}"],
        ),
    ]


def test_why_calls_were_forwarded(report: MakeReport) -> None:
    made = report(
        *[record(abstentions="urgency:unsure")] * 3,
        record(abstentions="urgency:unsure,fast:audit"),
        *[record(rule="fast", label="easy", upstream_model="dear")] * 2,
        record(upstream_model="dear"),
        record(upstream_model="dear", classifier_s=0.1),
        record(**ANSWER),
    )
    reasons = [
        ("urgency unsure", 3),
        ("fast sends it on", 2),
        ("no rule read it", 1),
        ("rules read it and had nothing to do", 1),
        ("urgency unsure, fast audit", 1),
    ]
    assert [(why, calls) for why, calls, _ in made.why_forwarded] == reasons
    assert {(line.name, line.figures.calls) for line in made.lines("why")} == {
        ("answered here", 1),
        *((f"forwarded: {why}", calls) for why, calls in reasons),
    }


def audit(tokens: int, **fields: Any) -> Record:
    fields = {"abstentions": "intents:audit", "usage_source": "reported", "output_tokens": tokens, **fields}
    return record(upstream_model="dear", **fields)


def test_audited_calls_say_how_much_was_saved(report: MakeReport) -> None:
    """Each answer was booked with 10 output tokens; audited ones have 100, at $40 a million."""
    answers = [record(**ANSWER)] * 50
    others = [audit(9, rule="x", abstentions="other:audit"), audit(9, abstentions="intents:unsure")]
    assert report(*answers, *[audit(100)] * 19).interval is None
    made = report(audit(100), *others)
    low = 50 * 0.5 + 50 * 90 * 40e-6
    assert made.interval == Interval(low_usd=pytest.approx(low), high_usd=pytest.approx(low), calls=50, rest=0)
    made = report(*[record(**{**ANSWER, "requested_model": "cheap"})] * 7, *[audit(300)] * 20)
    assert made.interval is not None
    assert (made.interval.calls, made.interval.rest) == (50, 7)
    assert made.interval.low_usd < 57 * 0.5 + 50 * 190 * 40e-6 < made.interval.high_usd


@pytest.mark.parametrize(("audits", "calls"), [(20, 5), (20, 500), (200, 50)])
def test_an_interval_holds_the_truth_in_95_of_100(audits: int, calls: int) -> None:
    """Tokens are skewed, as those of answers are; then it holds a little less often."""
    random_ = random.Random(7)
    held = 0
    for _ in range(1000):
        seen = [random_.gammavariate(4, 20) for _ in range(audits)]
        middle, half = unseen_sum(calls, audits, sum(seen), sum(one**2 for one in seen))
        held += abs(sum(random_.gammavariate(4, 20) for _ in range(calls)) - middle) <= half
    assert 915 <= held <= 975


@pytest.mark.parametrize(
    ("days", "bounds"),
    [
        ({}, None),
        # the first day may be part of one
        ({"2026-12-02": 1.0, "2026-12-01": 1.0, "2026-11-30": 1.0}, None),
        (
            {f"2026-12-0{day}": 2.0 for day in (1, 2)} | {"2026-11-30": 2.0, "2026-11-29": 9.0, "2026-12-03": 1.0},
            (62.0, 62.0),
        ),
        # a day without calls between others cost nothing
        ({"2026-11-28": 1.0, "2026-12-01": 3.0, "2026-12-03": 9.0}, (12.0, 400.0)),
    ],
)
def test_a_months_range_goes_by_its_days(days: dict[str, float], bounds: tuple[float, float] | None) -> None:
    made = month_range(days, NOW)
    assert (made is None) == (bounds is None)
    if made and bounds:
        assert bounds[0] - 1e-9 <= made[0] <= made[1] <= bounds[1] + 1e-9


def test_the_month_is_read_from_the_ledger_and_periods_end_now(tmp_path: Path) -> None:
    with closing(SQLiteLedger(tmp_path / "l.db")) as store:
        nothing = PriceTable(as_of="", models={})
        made = partial(read, store, until=NOW + 1, prices=nothing, routes=ROUTES)
        assert this_month(store, made(NOW - DAY_S), NOW) is None
        store.append([record(at=NOW - day * DAY_S, spent_usd=2.0) for day in range(5)])
        for back in (1, 3, 30):
            found = this_month(store, made(NOW - back * DAY_S), NOW)
            assert found == (pytest.approx(6 + 28.5 * 2), pytest.approx(6 + 28.5 * 2))
    assert {name: (NOW - since_of(name, NOW)) / DAY_S for name in PERIODS} == {
        "24h": 1,
        "7d": 7,
        "30d": 30,
        "month": 2.5,
    }


MONEY = st.none() | st.integers(-100, 100).map(lambda cents: cents / 4)
RECORDS = st.lists(
    st.builds(
        record,
        at=st.floats(NOW - 3 * DAY_S, NOW),
        requested_model=st.sampled_from(["", "a", "=1+1"]),
        upstream_model=st.sampled_from(["", "a", "b"]),
        rule=st.sampled_from(["", "r"]),
        decision=st.sampled_from(["forward", "answer", "block", "error", "redact", "judge", "repeat"]),
        saved_reason=st.sampled_from([None, "local_answer", "block", "cheaper_route", "judge", "repeat"]),
        abstentions=st.sampled_from(["", "r:unsure", "r:audit,s:late"]),
        saved_usd=MONEY,
        spent_usd=MONEY,
        usage_source=st.sampled_from(["reported", "missing", "none"]),
        saved_input_tokens=st.integers(0, 100),
        notional=st.booleans(),
    ),
    max_size=20,
)


def expected(rows: Sequence[Record]) -> Figures:
    own = [row for row in rows if row.decision not in ("judge", "repeat")]
    saving = [row for row in rows if row.saved_reason != "block"]
    blocks = [row for row in rows if row.saved_reason == "block"]

    def of(decision: str) -> list[Record]:
        return [row for row in rows if row.decision == decision]

    return Figures(
        calls=len(own),
        saved_calls=sum(row.saved_reason == "local_answer" for row in rows),
        blocked_calls=len(blocks),
        forwarded_calls=sum(row.decision in ("forward", "redact") for row in rows),
        saved_tokens=sum(row.saved_input_tokens + row.saved_output_tokens for row in saving),
        spent_usd=sum(row.spent_usd or 0 for row in rows),
        saved_usd=sum(row.saved_usd or 0 for row in saving),
        blocked_usd=sum(row.saved_usd or 0 for row in blocks),
        unknown_spent_calls=sum(row.spent_usd is None for row in rows),
        unknown_saved_calls=sum(row.saved_usd is None for row in saving),
        unknown_blocked_calls=sum(row.saved_usd is None for row in blocks),
        usage_missing_calls=sum(row.usage_source == "missing" for row in rows),
        estimated_calls=sum(row.saved_estimated for row in rows),
        notional_calls=sum(row.notional for row in own),
        notional_spent_usd=sum(row.spent_usd or 0 for row in rows if row.notional),
        notional_saved_usd=sum(row.saved_usd or 0 for row in saving if row.notional),
        judge_calls=len(of("judge")),
        judge_usd=sum(row.spent_usd or 0 for row in of("judge")),
        repeat_calls=len(of("repeat")),
        repeat_usd=sum(row.spent_usd or 0 for row in of("repeat")),
    )


@settings(max_examples=30)
@given(RECORDS)
def test_the_total_is_the_sum_of_rows_and_of_lines_whichever_way(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    with closing(SQLiteLedger(tmp_path_factory.mktemp("ledger") / "l.db")) as store:
        store.append(records)
        made = read(store, NOW - 2 * DAY_S, NOW, prices=PriceTable(as_of="", models={}), routes=ROUTES)
    assert made.total == expected([row for row in records if NOW - 2 * DAY_S <= row.at < NOW])
    for by in WAYS:
        lines = [asdict(line.figures) for line in made.lines(by)]
        assert {name: sum(line[name] for line in lines) for name in asdict(made.total)} == asdict(made.total)
