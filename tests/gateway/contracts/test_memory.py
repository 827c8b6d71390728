"""What of a contract is remembered beyond its state, and which one leaves memory."""

from msgspec.structs import replace

from gateway.contracts.contract import Coin, Contract
from gateway.contracts.memory import ContractMemory, leaving
from gateway.contracts.scope import Scope
from gateway.rules.terms import Terms

CONTRACT = Contract.new(Terms(target=0.05, confidence=0.95)).of_version("v1")
COIN = Coin(key="k", number=1, version="v1", score=0.9, acts=(True,), alarms=(0,), text=7)


def memory(prompt: str, at: float) -> ContractMemory:
    scope = Scope(rule="r", model="m", prompt=prompt, classifier="c", terms="t")
    return ContractMemory(scope=scope, contract=CONTRACT, at=at)


def test_the_idle_leave_before_those_with_a_check_under_way_and_the_oldest_first() -> None:
    kept = [memory("idle for long", 2.0), memory("idle", 3.0), memory("busy for long", 1.0), memory("busy", 4.0)]
    for busy in kept[2:]:
        busy.order.begin(COIN, now=busy.at)
    remaining, left = kept[::-1], []
    while remaining:
        left.append(leaving(remaining))
        remaining.remove(left[-1])
    assert [one.scope.prompt for one in left] == [one.scope.prompt for one in kept]


def test_thresholds_know_only_calls_of_the_version_since_the_last_alarm() -> None:
    one = memory("p", 1.0)
    for coin in (COIN, replace(COIN, version="v0"), replace(COIN, alarms=(1,)), replace(COIN, score=None)):
        one.checked(coin, wrong=True, weight=2.0)
    assert list(one.known) == [(0.9, 2.0, True)]
    assert (one.repeated(7, 1.0), one.repeated(8, 1.0)) == (True, False)
