"""What a stop leaves of calls that were under way: told to end, a gateway loses none; after a kill they are not missed
just where they disagree."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.contracts.certificate import Attempt, Rung, ThresholdCounts
from gateway.contracts.contract import Contract, Flipped, Phase
from gateway.contracts.detector import AlarmDetector
from gateway.contracts.owner import Owner
from gateway.contracts.recovery import interrupted
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore
from gateway.ledger.store import LedgerError
from gateway.rules.terms import Terms

TERMS = Terms(target=0.05, confidence=0.95)
SCOPE = Scope(rule="r", model="m", prompt="p", labels=("a",), classifier="c", version="v", terms="t", sent_to="one/m")
OTHER = replace(SCOPE, prompt="other")
AWAY = replace(OTHER, sent_to="two/m")


@pytest.fixture
def chance() -> random.Random:
    return random.Random(3)


def owner(folder: Path, chance: random.Random, *, alone: bool = True, first: str | None = "one/m") -> Owner:
    """first: where models are sent; None: contracts of every route are taken up."""
    store = ContractStore(folder / "offramp.db", read_only=not alone)
    return Owner(store, draw=chance.random, alone=alone, first=None if first is None else lambda _: first)


def call(one: Owner, of: Scope = SCOPE) -> tuple[Flipped, bool]:
    """One that has begun, and whether it is sure."""
    flipped = one.flip(of, TERMS, notice_s=86400)
    sure = flipped.sure(0.9)
    one.begin(flipped, confidence=0.9, sure=sure)
    return flipped, sure


async def end(one: Owner, flipped: Flipped, sure: bool) -> None:
    await one.learn(flipped, request_id="r", label="a", confidence=0.9, result="agrees", sure=sure)


async def feed(one: Owner, chance: random.Random, count: int, *, hang: float = 0.0, of: Scope = SCOPE) -> None:
    """Calls that agree, but for those that hang: they would disagree, and are not over while the gateway lives."""
    for _ in range(count):
        flipped, sure = call(one, of)
        if chance.random() >= hang and not flipped.answers(0.9):
            await end(one, flipped, sure)


def killed(one: Owner) -> None:
    """As after kill -9, once what was begun is written: the file is let go, and nothing more is written."""
    one._writer.close()


async def attempts_run(folder: Path, chance: random.Random) -> dict[Scope, Contract]:
    """Two contracts whose attempts run, in a gateway that was told to end."""
    with closing(owner(folder, chance)) as one:
        for scope in (SCOPE, OTHER):
            await feed(one, chance, 240, of=scope)
    assert all(contract.attempt for contract in one.contracts.values())
    return dict(one.contracts)


Stop = Callable[[Owner], None]
Start = tuple[str, Scope | None, Stop]
"""Where models are sent, the contract of a call that hangs, and how the gateway stops."""


@pytest.mark.parametrize(
    ("starts", "counted"),
    [
        ([], set()),
        ([("one/m", None, killed)] * 2, set()),
        ([("one/m", SCOPE, Owner.close)], {SCOPE}),
        ([("one/m", SCOPE, killed)], {SCOPE}),
        ([("one/m", SCOPE, killed), *[("one/m", None, killed)] * 2], {SCOPE}),
        ([("two/m", AWAY, Owner.close)], set()),
        ([("two/m", AWAY, killed)], set()),
        ([("one/m", SCOPE, killed), *[("two/m", AWAY, killed)] * 2], {SCOPE}),
        ([("one/m", SCOPE, killed), ("two/m", AWAY, Owner.close)], {SCOPE}),
    ],
)
async def test_after_a_stop_one_call_counts_where_calls_were_under_way(
    tmp_path: Path, chance: random.Random, starts: list[Start], counted: set[Scope]
) -> None:
    """Once: not again with each start, and where another route keeps calls away, when they come again."""
    before = await attempts_run(tmp_path, chance)
    for first, hanging, stop in starts:
        one = owner(tmp_path, chance, first=first)
        assert (SCOPE in one.contracts) is (first == "one/m")
        if hanging:
            await feed(one, chance, 1, hang=1.0, of=hanging)
        stop(one)
    expected = {scope: interrupted(before[scope]) if scope in counted else before[scope] for scope in before}
    for _ in range(2):
        with closing(owner(tmp_path, chance)) as again:
            assert again.contracts == expected


async def test_kills_certify_nothing_that_disagrees_too_often(tmp_path: Path, chance: random.Random) -> None:
    """8 % of the calls hang until the gateway is killed, so that no disagreement is ever seen. Every second time it
    then starts once with another route."""
    for number in range(24):
        one = owner(tmp_path, chance)
        await feed(one, chance, 100, hang=0.08)
        assert one.contracts[SCOPE].phase is Phase.SHADOW
        killed(one)
        if number % 2:
            owner(tmp_path, chance, first="two/m").close()


async def test_one_call_counts_for_each_kill_and_is_stored(tmp_path: Path, chance: random.Random) -> None:
    before = (await attempts_run(tmp_path, chance))[SCOPE].attempt
    for kills in range(3):
        one = owner(tmp_path, chance)
        after = one.contracts[SCOPE].attempt
        await feed(one, chance, 1, hang=1.0)
        killed(one)
        assert before is not None
        assert after is not None
        assert [(rung.pairs, rung.wrong) for rung in after.rungs] == [
            (rung.pairs + kills, rung.wrong + kills) for rung in before.rungs
        ]


async def test_a_start_that_is_killed_while_it_counts_counts_each_once(tmp_path: Path, chance: random.Random) -> None:
    before = await attempts_run(tmp_path, chance)
    one = owner(tmp_path, chance)
    for scope in (SCOPE, OTHER):
        await feed(one, chance, 1, hang=1.0, of=scope)
    killed(one)
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db:
        [(key,)] = db.execute("SELECT key FROM contracts ORDER BY at LIMIT 1").fetchall()
        stopped = "BEFORE INSERT ON contracts WHEN NEW.key = '{}' BEGIN SELECT RAISE(ABORT, 'killed'); END"
        with db:
            db.execute(f"CREATE TRIGGER stopped {stopped.format(key)}")
        with pytest.raises(LedgerError, match="killed"):
            owner(tmp_path, chance)
        with db:
            db.execute("DROP TRIGGER stopped")
    with closing(owner(tmp_path, chance)) as again:
        assert again.contracts == {scope: interrupted(contract) for scope, contract in before.items()}


async def test_a_first_call_that_cannot_be_noted_is_by_the_next(tmp_path: Path, chance: random.Random) -> None:
    await attempts_run(tmp_path, chance)
    one = owner(tmp_path, chance)
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db, db:
        db.execute("ALTER TABLE contract_serving RENAME TO gone")
    flipped, sure = call(one)
    await one.ask(lambda store: store.paused())
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db, db:
        db.execute("ALTER TABLE gone RENAME TO contract_serving")
    call(one)
    await end(one, flipped, sure)
    before = one.contracts[SCOPE]
    killed(one)
    with closing(owner(tmp_path, chance)) as again:
        assert again.contracts[SCOPE] == interrupted(before)


async def test_a_certificate_may_come_of_a_call_that_leaves(tmp_path: Path, chance: random.Random) -> None:
    """Calls that waited for one that is no pair count once it leaves."""
    moved: list[Phase] = []
    store = ContractStore(tmp_path / "offramp.db")
    with closing(Owner(store, draw=chance.random, on_move=lambda _, moving: moved.append(moving.phase))) as one:
        await feed(one, chance, 240)
        first, _ = call(one)
        await feed(one, chance, 600)
        assert (one.contracts[SCOPE].phase, moved) == (Phase.SHADOW, [])
        one.leave(first)
        moves = await one.ask(lambda store: store.moves(SCOPE.key))
        assert (one.contracts[SCOPE].phase, moved) == (Phase.LIVE, [Phase.LIVE])
        assert [phase for _, phase, _ in moves] == ["live"]
    with closing(owner(tmp_path, chance)) as again:
        assert again.contracts == one.contracts


async def test_who_only_looks_changes_nothing(tmp_path: Path, chance: random.Random) -> None:
    before = await attempts_run(tmp_path, chance)
    one = owner(tmp_path, chance)
    await feed(one, chance, 1, hang=1.0)
    killed(one)
    with closing(owner(tmp_path, chance, alone=False, first=None)) as reader:
        assert reader.contracts == before
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        assert store.serving()


async def test_what_agrees_is_certified_in_spite_of_kills(tmp_path: Path, chance: random.Random) -> None:
    for _ in range(3):
        one = owner(tmp_path, chance)
        await feed(one, chance, 300)
        killed(one)
    with closing(owner(tmp_path, chance)) as one:
        assert one.contracts[SCOPE].phase is Phase.LIVE


def contracts() -> Iterator[tuple[Contract, float]]:
    """Contracts with an attempt, and the least chance that the call which was under way may have had."""
    attempt = Attempt.begin([0.9], number=1, target=0.05, confidence=0.95)
    begun = Contract(terms=TERMS, attempts=1, attempt=attempt)

    def with_seen(*chances: float) -> Contract:
        rung = Rung(threshold=0.9, seen=tuple(ThresholdCounts(chance=1.0, least=one, pairs=30) for one in chances))
        return replace(begun, attempt=replace(attempt, rungs=(rung,)))

    yield begun, 0.2
    yield with_seen(1.0), 1.0
    yield with_seen(1.0, 0.2), 0.2
    live = replace(with_seen(1.0), phase=Phase.LIVE, threshold=0.95)
    yield replace(live, detector=AlarmDetector(target=0.05)), 0.2
    yield replace(live, detector=AlarmDetector(target=0.05, audits=100_000)), 0.01


@pytest.mark.parametrize(("contract", "least"), list(contracts()))
def test_the_call_weighs_as_much_as_it_may_have_weighed(contract: Contract, least: float) -> None:
    after = interrupted(contract)
    assert after.attempt is not None
    assert contract.attempt is not None
    [before], [rung] = contract.attempt.rungs, after.attempt.rungs
    assert rung == before.see(agrees=False, chance=least, least=least)
    assert interrupted(replace(contract, attempt=None)) == replace(contract, attempt=None)
