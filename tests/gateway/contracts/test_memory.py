"""The volume of a contract in memory follows the traffic, and the contract that loses least leaves for another."""

import pytest

from gateway.contracts.certificate import Attempt
from gateway.contracts.contract import Contract, Pair, Phase, Terms
from gateway.contracts.memory import ContractMemory, Volume, leaving
from gateway.contracts.scope import Scope

TERMS = Terms(target=0.05, confidence=0.95)
DAY = 86400.0
ATTEMPT = Attempt.begin([0.9], number=1, target=0.05, confidence=0.95)


def kept(name: str, *, at: float, pairs: int = 1, under_way: bool = False, **fields: object) -> ContractMemory:
    scope = Scope(rule="r", model="m", prompt=name, labels=("a",), classifier="c", version="v", terms="t")
    memory = ContractMemory(scope=scope, contract=Contract(terms=TERMS, pairs=pairs, **fields), at=at)  # type: ignore[arg-type]
    if under_way:
        memory.order.begin(1, Pair(chosen=True, confidence=0.9, agrees=False, attempt=1, threshold=None), now=at)
    return memory


def test_they_leave_by_what_they_would_lose_and_then_by_their_latest_call() -> None:
    now = 20 * DAY
    left = [
        kept("of long ago, with an attempt", at=now - 9 * DAY, pairs=900, attempt=ATTEMPT),
        kept("of long ago, with a call that never ended", at=now - 8 * DAY, under_way=True),
        kept("of yesterday, with few pairs", at=now - DAY, pairs=1),
        kept("of yesterday, with some more", at=now - DAY, pairs=9),
        kept("new", at=now, pairs=0),
        kept("known, of days ago", at=now - 6 * DAY, pairs=190),
        kept("known", at=now - DAY, pairs=190),
        kept("with an attempt", at=now - 6 * DAY, attempt=ATTEMPT),
        kept("with a call under way", at=now - 6 * DAY, attempt=ATTEMPT, under_way=True),
        kept("live, of long ago", at=0.0, phase=Phase.LIVE, threshold=0.9),
        kept("live", at=now - DAY, phase=Phase.LIVE, threshold=0.9),
    ]
    remaining, order = left[::-1], []
    while remaining:
        order.append(leaving(remaining, now=now))
        remaining.remove(order[-1])
    assert [memory.scope.prompt for memory in order] == [memory.scope.prompt for memory in left]


def days(volume: Volume, count: int, calls: int, *, since: float, period_s: float = 3.5 * DAY) -> float:
    """So many days with so many calls each, looked at 10 times a day; the volume at the end."""
    volume_a_day = 0.0
    for step in range(1, 10 * count + 1):
        for _ in range(calls // 10):
            volume.add()
        volume_a_day = volume.a_day(now=since + step * DAY / 10, period_s=period_s)
    return volume_a_day


def test_what_was_long_ago_does_not_count() -> None:
    volume = Volume(since=0.0)
    assert days(volume, 100, 1000, since=0.0) == pytest.approx(1000)
    assert days(volume, 1, 10, since=100 * DAY) > 500
    assert days(volume, 7, 10, since=101 * DAY) == pytest.approx(10)
