"""Which contract makes room for another in memory."""

from gateway.contracts.certificate import Attempt
from gateway.contracts.contract import Contract, Pair, Phase, Terms
from gateway.contracts.eviction import leaving
from gateway.contracts.memory import ContractMemory
from gateway.contracts.scope import Scope

TERMS = Terms(target=0.05, confidence=0.95)
DAY = 86400.0
ATTEMPT = Attempt.begin([0.9], number=1, target=0.05, confidence=0.95)


def kept(name: str, *, at: float, pairs: int = 1, under_way: bool = False, **fields: object) -> ContractMemory:
    scope = Scope(rule="r", model="m", prompt=name, labels=("a",), classifier="c", version="v", terms="t")
    one = ContractMemory(scope=scope, contract=Contract(terms=TERMS, pairs=pairs, **fields), at=at)  # type: ignore[arg-type]
    if under_way:
        one.order.begin(1, Pair(chosen=True, confidence=0.9, agrees=False, attempt=1, threshold=None), now=at)
    return one


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
    remaining, found = left[::-1], []
    while remaining:
        found.append(leaving(remaining, now=now))
        remaining.remove(found[-1])
    assert [one.scope.prompt for one in found] == [one.scope.prompt for one in left]
