"""Contracts in memory: which leaves for another, the volume of calls, and how a challenger compares."""

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.contracts.certificate import Attempt
from gateway.contracts.contract import Contract, Pair, Phase
from gateway.contracts.memory import ContractMemory, Trial, Volume, leaving
from gateway.contracts.scope import Scope
from gateway.rules.terms import Terms

DAY = 86400.0
NOW = 20 * DAY
ATTEMPT = Attempt.begin([0.9], number=1, target=0.05, confidence=0.95)
LIVE = {"phase": Phase.LIVE, "threshold": 0.5}
PAIR = Pair(chosen=True, confidence=0.9, agrees=True, attempt=0, threshold=0.5)
Confidences = Sequence[float | None]


def memory(
    prompt: str = "p", *, at: float = 1.0, version: str = "v", seen: Confidences = (), **fields: Any
) -> ContractMemory:
    """seen: the confidences of its calls, None where there is no label."""
    scope = Scope(rule="r", model="m", prompt=prompt, labels=("a",), classifier="c", version=version, terms="t")
    contract = Contract(terms=Terms(target=0.05, confidence=0.95), **fields)
    one = ContractMemory(scope=scope, contract=contract, at=at)
    for confidence in seen:
        if confidence is None:
            one.pass_over()
        else:
            pair = Pair(chosen=True, confidence=confidence, agrees=True, attempt=0, threshold=0.5)
            one.keep(pair, contract, number=0)
    return one


def test_they_leave_by_what_they_would_lose_and_then_by_their_latest_call() -> None:
    left = [
        memory("of long ago, with an attempt", at=NOW - 9 * DAY, pairs=900, attempt=ATTEMPT),
        never_ended := memory("of long ago, with a call that never ended", at=NOW - 8 * DAY, pairs=1),
        memory("of yesterday, with few pairs", at=NOW - DAY, pairs=1),
        memory("of yesterday, with some more", at=NOW - DAY, pairs=9),
        memory("new", at=NOW, pairs=0),
        memory("known, of days ago", at=NOW - 6 * DAY, pairs=190),
        memory("known", at=NOW - DAY, pairs=190),
        memory("with an attempt", at=NOW - 6 * DAY, attempt=ATTEMPT, pairs=1),
        running := memory("with a call under way", at=NOW - 6 * DAY, attempt=ATTEMPT, pairs=1),
        memory("live, of long ago", at=0.0, **LIVE),
        memory("live", at=NOW - DAY, **LIVE),
    ]
    for one in (never_ended, running):
        one.order.begin(1, PAIR, now=one.at)
    remaining, order = left[::-1], []
    while remaining:
        order.append(leaving(remaining, now=NOW))
        remaining.remove(order[-1])
    assert [one.scope.prompt for one in order] == [one.scope.prompt for one in left]


def test_what_was_long_ago_does_not_count() -> None:
    volume = Volume(since=0.0)

    def days(count: int, calls: int, *, since: float) -> float:
        """So many days with so many calls each, looked at 10 times a day; the volume at the end."""
        for step in range(1, 10 * count + 1):
            for _ in range(calls // 10):
                volume.add()
            a_day = volume.a_day(now=since + step * DAY / 10, period_s=3.5 * DAY)
        return a_day

    assert days(100, 1000, since=0.0) == pytest.approx(1000)
    assert days(1, 10, since=100 * DAY) > 500
    assert days(7, 10, since=101 * DAY) == pytest.approx(10)


@pytest.mark.parametrize(
    ("old", "new", "outdoes"),
    [
        # sure of six calls in ten, against a label for three that it is always sure of
        ([0.9] * 6 + [0.1] * 4, [0.9] * 3 + [None] * 7, False),
        ([0.9] * 6 + [0.1] * 4, [0.9] * 7 + [None] * 3, True),
        # a label for five calls in ten that it is always sure of, against nearly all
        ([0.9] * 5 + [None] * 5, [0.9] * 9 + [0.1], True),
        ([0.9] * 5 + [None] * 5, [0.9] * 4 + [0.1] * 6, False),
        ([0.9] * 5, [0.9] * 5, False),
        ([0.9] * 5, [None] * 5, False),
    ],
)
def test_a_version_outdoes_another_by_calls_not_by_those_with_a_label(
    old: Confidences, new: Confidences, *, outdoes: bool
) -> None:
    contracts = [memory(version=name, seen=list(seen) * 20, **LIVE) for name, seen in (("v1", old), ("v2", new))]
    assert Trial.of(contracts, "v2", current="v1", since=0.0).outdoes is outdoes


@pytest.mark.parametrize(
    ("seen", "over", "hopeful"),
    [
        ([0.9] * 3 + [None] * 7, 0.6, False),
        ([0.9] * 3 + [None] * 7, 0.2, True),
        ([0.9] * 10, 0.9, True),
        ([0.9] * 10, 1.0, False),
        ([None] * 10, 0.0, False),
    ],
)
def test_a_version_with_labels_for_too_few_calls_has_no_hope_to_answer_more(
    seen: Confidences, over: float, *, hopeful: bool
) -> None:
    for times, expected in ((40, hopeful), (20, True)):
        one = memory(version="v2", seen=list(seen) * times, **LIVE)
        one.over = over
        assert Trial.of([one], "v2", current="v1", since=0.0).hopeful is expected


def test_only_the_latest_calls_count() -> None:
    one = memory(seen=[0.9] * 1000 + [None] * 100, **LIVE)
    assert (one.share(one.contract), one.labelled) == (0.75, 0.75)
