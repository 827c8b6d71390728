"""The owner of safety contracts: what it stores counts, what it cannot store does not, and a restart loses nothing."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.contracts.contract import Phase
from gateway.contracts.safety_contract import SafetyTerms, Zone
from gateway.contracts.safety_owner import SafetyOwner
from gateway.contracts.safety_store import SafetyStore
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore
from gateway.ledger.store import LedgerError

TERMS = SafetyTerms(missed=0.05, wrongly=0.05, confidence=0.95)
SCOPE = Scope(rule="safety", model="judge", prompt="p", labels=("a",), classifier="c", version="1", terms="t")
NEXT = Scope(rule="safety", model="judge", prompt="p", labels=("a",), classifier="c", version="2", terms="t")


def owner(path: Path, seed: int = 0) -> SafetyOwner:
    return SafetyOwner(SafetyStore(path), draw=random.Random(seed).random)


async def send(one: SafetyOwner, scores: list[float], scope: Scope = SCOPE) -> list[Zone]:
    """Calls of which those above one half are unsafe."""
    zones = []
    for score in scores:
        placed = one.place(scope, TERMS, score)
        zones.append(placed.chosen.zone)
        if placed.judged:
            await one.learn(placed, request_id="r", unsafe=score > 0.5)
    return zones


async def test_it_goes_live_and_is_the_same_after_a_restart(tmp_path: Path) -> None:
    moves: list[tuple[str, Phase]] = []
    first = SafetyOwner(
        SafetyStore(tmp_path / "l.db"),
        on_move=lambda scope, side: moves.append((scope.rule, side.phase)),
        draw=random.Random(0).random,
    )
    assert await send(first, [0.1, 0.9]) == [Zone.ASK, Zone.ASK]
    await send(first, [0.1, 0.9] * 400)
    assert (await send(first, [0.1, 0.9])) == [Zone.PASS, Zone.FLAG]
    assert moves == [("safety", Phase.LIVE)] * 2
    assert (first.standing("safety", Phase.LIVE), first.standing("other", Phase.LIVE)) == (2, 0)
    before = first.contracts
    first.close()
    second = owner(tmp_path / "l.db")
    assert second.contracts == before
    second.close()
    with closing(SafetyStore(tmp_path / "l.db")) as store:
        counts = store.counts(SCOPE.key)
        assert counts["ask", "unsafe"] > 100
        assert counts.get(("pass", "unsafe"), 0) == 0
        assert {phase for _, phase, _ in store.moves(SCOPE.key)} == {"live"}
        assert {reason.partition(":")[0] for _, _, reason in store.moves(SCOPE.key)} == {"missing", "flagging"}


async def test_another_version_begins_in_shadow_and_alpha_is_spent_over_both(tmp_path: Path) -> None:
    one = owner(tmp_path / "l.db")
    await send(one, [0.1, 0.9] * 400)
    assert (await send(one, [0.1, 0.9], NEXT)) == [Zone.ASK, Zone.ASK]
    await send(one, [0.1, 0.9] * 100, NEXT)
    assert {scope.version: contract.missing.attempts for scope, contract in one.contracts.items()} == {"1": 1, "2": 2}
    one.close()


async def test_a_paused_rule_asks_about_all_and_goes_on_learning(tmp_path: Path) -> None:
    one = owner(tmp_path / "l.db")
    await send(one, [0.1, 0.9] * 400)
    with closing(ContractStore(tmp_path / "l.db")) as store:
        store.pause("safety", 1.0)
    await one.look()
    assert await send(one, [0.1, 0.9] * 5) == [Zone.ASK] * 10
    assert one.standing("safety", Phase.LIVE) == 2
    with closing(ContractStore(tmp_path / "l.db")) as store:
        store.resume("safety")
    await one.look()
    assert await send(one, [0.1, 0.9]) == [Zone.PASS, Zone.FLAG]
    one.close()


async def test_what_cannot_be_stored_is_not_built_upon(tmp_path: Path) -> None:
    failed: list[int] = []
    one = SafetyOwner(SafetyStore(tmp_path / "l.db"), on_failure=lambda: failed.append(1), draw=lambda: 0.0)
    await send(one, [0.1, 0.9] * 400)
    with closing(sqlite3.connect(tmp_path / "l.db")) as db:
        db.execute("ALTER TABLE safety_pairs RENAME TO gone")
        db.commit()
    await send(one, [0.1])
    assert failed == [1]
    assert await send(one, [0.1]) == [Zone.ASK]
    with closing(sqlite3.connect(tmp_path / "l.db")) as db:
        db.execute("ALTER TABLE gone RENAME TO safety_pairs")
        db.commit()
    await send(one, [0.1])
    assert await send(one, [0.1]) == [Zone.PASS]
    one.close()


async def test_a_state_that_cannot_be_read_is_refused_and_its_store_closed(tmp_path: Path) -> None:
    one = owner(tmp_path / "l.db")
    await send(one, [0.1])
    one.close()
    with closing(sqlite3.connect(tmp_path / "l.db")) as db, db:
        db.execute("UPDATE safety_contracts SET state = '{}'")
    store = SafetyStore(tmp_path / "l.db")
    with pytest.raises(LedgerError, match=r"l\.db cannot be read: Object missing"):
        SafetyOwner(store)
    with pytest.raises(LedgerError, match="closed"):
        store.paused()


@pytest.mark.parametrize("calls_after", [0, 30])
async def test_a_withdrawal_that_cannot_be_stored_at_once_is_later(tmp_path: Path, calls_after: int) -> None:
    one = owner(tmp_path / "l.db")
    await send(one, [0.1, 0.9] * 400)
    with closing(sqlite3.connect(tmp_path / "l.db")) as db, db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON safety_contracts BEGIN SELECT RAISE(ABORT, 'full'); END")
    while one.contracts[SCOPE].missing.phase is Phase.LIVE:
        placed = one.place(SCOPE, TERMS, 0.1)
        if placed.judged:
            await one.learn(placed, request_id="r", unsafe=True)
    with closing(sqlite3.connect(tmp_path / "l.db")) as db, db:
        db.execute("DROP TRIGGER full")
    await send(one, [0.9] * calls_after)
    after = one.contracts
    one.close()
    with closing(SafetyStore(tmp_path / "l.db")) as store:
        assert {stored.scope: stored.contract for stored in store.contracts()} == after
        [*_, (_, phase, reason)] = store.moves(SCOPE.key)
        assert (phase, reason.partition(":")[0]) == ("demoted", "missing")


@pytest.mark.parametrize("unsafe", [True, False, None])
async def test_each_judged_call_is_stored_with_what_was_said(tmp_path: Path, unsafe: bool | None) -> None:
    one = owner(tmp_path / "l.db")
    await one.learn(one.place(SCOPE, TERMS, None), request_id="req_1", unsafe=unsafe)
    one.close()
    with closing(sqlite3.connect(tmp_path / "l.db")) as db:
        rows = db.execute("SELECT key, request_id, score, zone, rate, result FROM safety_pairs").fetchall()
    said = {True: "unsafe", False: "safe", None: "missing"}[unsafe]
    assert rows == [(SCOPE.key, "req_1", None, "ask", 1.0, said)]


async def test_judged_calls_are_forgotten_after_90_days_and_the_contract_is_not(tmp_path: Path) -> None:
    now = [0.0]
    one = SafetyOwner(SafetyStore(tmp_path / "l.db"), draw=lambda: 0.0, clock=lambda: now[0])
    await send(one, [0.1] * 3)
    before, now[0] = one.contracts, 91 * 86400.0
    await send(one, [0.9] * 2)
    await one.look()
    one.close()
    with closing(SafetyStore(tmp_path / "l.db")) as store:
        assert store.counts(SCOPE.key) == {("ask", "unsafe"): 2}
        [stored] = store.contracts()
    assert stored.contract.flagging == before[SCOPE].flagging
    assert stored.contract.missing.calls == 2
