"""The owner of safety contracts: what it stores counts, what it cannot store does not, and a restart loses nothing."""

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts.contract import Phase
from gateway.contracts.safety_contract import Zone
from gateway.contracts.safety_owner import SafetyOwner
from gateway.contracts.safety_store import SafetyStore
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore
from gateway.rules.terms import SafetyTerms

TERMS = SafetyTerms(missed=0.05, wrongly=0.05, confidence=0.95)
SCOPE = Scope(rule="safety", model="judge", prompt="p", labels=("a",), classifier="c", version="1", terms="t")
NEXT = replace(SCOPE, version="2")
BOTH = (0.1, 0.9)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "l.db"


def open_owner(ledger: Path, **more: Any) -> SafetyOwner:
    return SafetyOwner(SafetyStore(ledger), **{"draw": random.Random(0).random, **more})


async def send(one: SafetyOwner, scores: Sequence[float] = BOTH, times: int = 1, scope: Scope = SCOPE) -> list[Zone]:
    """Calls of which those above one half are unsafe."""
    zones = []
    for score in tuple(scores) * times:
        placement = one.place(scope, TERMS, score)
        zones.append(placement.chosen.zone)
        if placement.judged:
            await one.learn(placement, request_id="r", unsafe=score > 0.5)
    return zones


def execute(ledger: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(ledger)) as db, db:
        return db.execute(statement).fetchall()


async def test_it_goes_live_and_is_the_same_after_a_restart(ledger: Path) -> None:
    moves: list[tuple[str, Phase]] = []
    with closing(open_owner(ledger, on_move=lambda scope, side: moves.append((scope.rule, side.phase)))) as first:
        assert await send(first) == [Zone.ASK, Zone.ASK]
        await send(first, times=400)
        assert await send(first) == [Zone.PASS, Zone.FLAG]
        assert moves == [("safety", Phase.LIVE)] * 2
        assert (first.standing("safety", Phase.LIVE), first.standing("other", Phase.LIVE)) == (2, 0)
        # another version begins in shadow, and alpha is spent over both
        assert await send(first, scope=NEXT) == [Zone.ASK, Zone.ASK]
        await send(first, times=100, scope=NEXT)
        assert {scope.version: one.missing.attempts for scope, one in first.contracts.items()} == {"1": 1, "2": 2}
    with closing(open_owner(ledger)) as second, closing(SafetyStore(ledger)) as store:
        assert second.contracts == first.contracts
        counts = store.counts(SCOPE.key)
        assert counts["ask", "unsafe"] > 100
        assert ("pass", "unsafe") not in counts
        assert {phase for _, phase, _ in store.moves(SCOPE.key)} == {"live"}
        assert {reason.partition(":")[0] for _, _, reason in store.moves(SCOPE.key)} == {"missing", "flagging"}


async def test_a_paused_rule_asks_about_all_and_goes_on_learning(ledger: Path) -> None:
    with closing(open_owner(ledger)) as one, closing(ContractStore(ledger)) as store:
        await send(one, times=400)
        store.pause("safety", 1.0)
        await one.tick()
        assert await send(one, times=5) == [Zone.ASK] * 10
        assert one.standing("safety", Phase.LIVE) == 2
        store.resume("safety")
        await one.tick()
        assert await send(one) == [Zone.PASS, Zone.FLAG]


async def test_what_cannot_be_stored_is_not_built_upon(ledger: Path) -> None:
    failed: list[int] = []
    with closing(open_owner(ledger, on_failure=lambda: failed.append(1), draw=lambda: 0.0)) as one:
        await send(one, times=400)
        execute(ledger, "ALTER TABLE safety_pairs RENAME TO gone")
        await send(one, [0.1])
        assert failed == [1]
        assert await send(one, [0.1]) == [Zone.ASK]
        execute(ledger, "ALTER TABLE gone RENAME TO safety_pairs")
        await send(one, [0.1])
        assert await send(one, [0.1]) == [Zone.PASS]


@pytest.mark.parametrize("calls_after", [0, 30])
async def test_a_withdrawal_that_cannot_be_stored_at_once_is_later(ledger: Path, calls_after: int) -> None:
    with closing(open_owner(ledger)) as one:
        await send(one, times=400)
        full = "SELECT RAISE(ABORT, 'full')"
        execute(ledger, f"CREATE TRIGGER full BEFORE INSERT ON safety_contracts BEGIN {full}; END")
        while one.contracts[SCOPE].missing.phase is Phase.LIVE:
            placement = one.place(SCOPE, TERMS, 0.1)
            if placement.judged:
                await one.learn(placement, request_id="r", unsafe=True)
        execute(ledger, "DROP TRIGGER full")
        await send(one, [0.9], calls_after)
    with closing(SafetyStore(ledger)) as store:
        assert {stored.scope: stored.contract for stored in store.contracts()} == one.contracts
        [*_, (_, phase, reason)] = store.moves(SCOPE.key)
        assert (phase, reason.partition(":")[0]) == ("demoted", "missing")


async def test_each_judged_call_is_stored_and_forgotten_after_90_days_unlike_its_contract(ledger: Path) -> None:
    now = [0.0]
    with closing(open_owner(ledger, draw=lambda: 0.0, clock=lambda: now[0])) as one:
        for unsafe in (True, False, None):
            await one.learn(one.place(SCOPE, TERMS, None), request_id="r", unsafe=unsafe)
        rows = execute(ledger, "SELECT key, request_id, score, zone, rate, result FROM safety_pairs")
        assert rows == [(SCOPE.key, "r", None, "ask", 1.0, result) for result in ("unsafe", "safe", "missing")]
        before, now[0] = one.contracts[SCOPE], 91 * 86400.0
        await send(one, [0.9] * 2)
        await one.tick()
    with closing(SafetyStore(ledger)) as store:
        assert store.counts(SCOPE.key) == {("ask", "unsafe"): 2}
        [stored] = store.contracts()
    assert stored.contract.missing.calls == before.missing.calls + 2
