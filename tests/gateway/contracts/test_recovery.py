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
from gateway.contracts.coin_flip import Flipped
from gateway.contracts.contract import Contract, Phase, Terms
from gateway.contracts.detector import AlarmDetector
from gateway.contracts.owner import Owner
from gateway.contracts.recovery import interrupted
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore
from gateway.ledger.store import LedgerError

TERMS = Terms(target=0.05, confidence=0.95)
SCOPE = Scope(rule="r", model="m", prompt="p", labels=("a",), classifier="c", version="v", terms="t", sent_to="one/m")
OTHER = replace(SCOPE, prompt="other")


@pytest.fixture
def chance() -> random.Random:
    return random.Random(3)


def here(_: str) -> str:
    return "one/m"


def away(_: str) -> str:
    return "two/m"


def owner(
    folder: Path, chance: random.Random, *, alone: bool = True, first: Callable[[str], str] | None = None
) -> Owner:
    store = ContractStore(folder / "offramp.db", read_only=not alone)
    return Owner(store, draw=chance.random, alone=alone, first=first)


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


async def attempt_of(folder: Path, chance: random.Random, count: int = 240, *, hang: float = 0.0) -> Contract:
    """A contract whose attempt runs, in a gateway that was killed."""
    one = owner(folder, chance)
    await feed(one, chance, 220)
    await feed(one, chance, count - 220, hang=hang)
    found = one.contracts[SCOPE]
    killed(one)
    assert found.attempt is not None
    return found


@pytest.mark.parametrize(("calls", "detour"), [(60, False), (60, True)])
async def test_kills_certify_nothing_that_disagrees_too_often(
    tmp_path: Path, chance: random.Random, calls: int, *, detour: bool
) -> None:
    """8 % of the calls hang until the gateway is killed, so that no disagreement is ever heard of. detour: each time
    it then starts once with another route."""
    for _ in range(2400 // calls):
        one = owner(tmp_path, chance, first=here)
        await feed(one, chance, calls, hang=0.08)
        assert one.contracts[SCOPE].phase is Phase.SHADOW
        killed(one)
        if detour:
            owner(tmp_path, chance, first=away).close()


async def test_one_call_counts_for_each_kill_and_is_stored(tmp_path: Path, chance: random.Random) -> None:
    before = await attempt_of(tmp_path, chance)
    for kills in (1, 2):
        one = owner(tmp_path, chance)
        after = one.contracts[SCOPE]
        await feed(one, chance, 1, hang=1.0)
        killed(one)
        assert after.attempt is not None
        assert before.attempt is not None
        counted = [(rung.pairs, rung.wrong) for rung in after.attempt.rungs]
        assert counted == [(rung.pairs + kills, rung.wrong + kills) for rung in before.attempt.rungs]
        assert replace(after, attempt=before.attempt) == before


@pytest.mark.parametrize("stop", [Owner.close, killed])
@pytest.mark.parametrize("starts", [1, 2])
async def test_what_another_route_keeps_away_counts_once_it_is_reached_again(
    tmp_path: Path, chance: random.Random, starts: int, stop: Callable[[Owner], None]
) -> None:
    before = await attempt_of(tmp_path, chance, 241, hang=1.0)
    for _ in range(starts):
        one = owner(tmp_path, chance, first=away)
        assert SCOPE not in one.contracts
        await feed(one, chance, 240, of=replace(OTHER, sent_to="two/m"))
        stop(one)
    for _ in range(2):
        with closing(owner(tmp_path, chance, first=here)) as again:
            assert again.contracts == {SCOPE: interrupted(before)} != {SCOPE: before}


async def test_a_stop_under_another_route_costs_nothing_that_it_kept_away(
    tmp_path: Path, chance: random.Random
) -> None:
    one = owner(tmp_path, chance)
    await feed(one, chance, 240)
    before = one.contracts
    one.close()
    one = owner(tmp_path, chance, first=away)
    await feed(one, chance, 240, of=replace(OTHER, sent_to="two/m"))
    killed(one)
    with closing(owner(tmp_path, chance, first=here)) as again:
        assert again.contracts == before


async def test_a_start_that_is_killed_while_it_counts_counts_each_once(tmp_path: Path, chance: random.Random) -> None:
    one = owner(tmp_path, chance)
    for scope in (SCOPE, OTHER):
        await feed(one, chance, 240, of=scope)
        await feed(one, chance, 1, hang=1.0, of=scope)
    before = one.contracts
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


@pytest.mark.parametrize("stop", [Owner.close, killed])
async def test_only_what_calls_came_to_counts(
    tmp_path: Path, chance: random.Random, stop: Callable[[Owner], None]
) -> None:
    one = owner(tmp_path, chance)
    await feed(one, chance, 240)
    await feed(one, chance, 240, of=OTHER)
    before = one.contracts
    one.close()
    one = owner(tmp_path, chance)
    await feed(one, chance, 1, hang=1.0)
    stop(one)
    with closing(owner(tmp_path, chance)) as again:
        assert again.contracts == {SCOPE: interrupted(before[SCOPE]), OTHER: before[OTHER]}


@pytest.mark.parametrize("detour", [False, True])
async def test_after_a_kill_of_an_earlier_gateway_all_attempts_count(
    tmp_path: Path, chance: random.Random, *, detour: bool
) -> None:
    one = owner(tmp_path, chance)
    await feed(one, chance, 240)
    await feed(one, chance, 240, of=OTHER)
    before = one.contracts
    one.close()
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db, db:
        db.execute("DROP TABLE contract_serving")
        db.execute("CREATE TABLE contract_serving (since REAL NOT NULL) STRICT")
        db.execute("INSERT INTO contract_serving VALUES (1.0)")
    if detour:
        owner(tmp_path, chance, first=away).close()
    for _ in range(2):
        with closing(owner(tmp_path, chance, first=here)) as again:
            assert again.contracts == {scope: interrupted(contract) for scope, contract in before.items()}


async def test_a_stop_that_leaves_nothing_costs_nothing(tmp_path: Path, chance: random.Random) -> None:
    one = owner(tmp_path, chance)
    await feed(one, chance, 240)
    before = one.contracts
    one.close()
    with closing(owner(tmp_path, chance)) as again:
        assert again.contracts == before


async def test_a_start_that_no_call_comes_to_costs_nothing(tmp_path: Path, chance: random.Random) -> None:
    """The port is taken, say, or another part cannot be opened."""
    one = owner(tmp_path, chance)
    await feed(one, chance, 240)
    before = one.contracts
    one.close()
    for _ in range(2):
        killed(owner(tmp_path, chance))
    with closing(owner(tmp_path, chance)) as again:
        assert again.contracts == before
    # after a kill it is counted once, not by each start
    one = owner(tmp_path, chance)
    await feed(one, chance, 1, hang=1.0)
    killed(one)
    for _ in range(2):
        killed(owner(tmp_path, chance))
    with closing(owner(tmp_path, chance)) as again:
        assert again.contracts == {SCOPE: interrupted(before[SCOPE])}


async def test_a_first_call_that_cannot_be_noted_is_by_the_next(tmp_path: Path, chance: random.Random) -> None:
    await attempt_of(tmp_path, chance)
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


async def test_calls_that_waited_for_one_that_is_no_pair_count(tmp_path: Path, chance: random.Random) -> None:
    one = owner(tmp_path, chance)
    await feed(one, chance, 240)
    before = one.contracts[SCOPE].attempt
    (first, _), second = call(one), call(one)
    await end(one, *second)
    assert one.contracts[SCOPE].attempt == before
    one.leave(first)
    one.close()
    after = one.contracts
    running = after[SCOPE].attempt
    assert before is not None
    assert running is not None
    assert [rung.pairs for rung in running.rungs] == [rung.pairs + 1 for rung in before.rungs]
    with closing(owner(tmp_path, chance)) as again:
        assert again.contracts == after


async def test_a_certificate_may_come_of_a_call_that_leaves(tmp_path: Path, chance: random.Random) -> None:
    moved: list[Phase] = []
    store = ContractStore(tmp_path / "offramp.db")
    one = Owner(store, draw=chance.random, on_move=lambda _, contract: moved.append(contract.phase))
    await feed(one, chance, 240)
    first, _ = call(one)
    await feed(one, chance, 600)
    assert (one.contracts[SCOPE].phase, moved) == (Phase.SHADOW, [])
    one.leave(first)
    moves = await one.ask(lambda store: store.moves(SCOPE.key))
    assert (one.contracts[SCOPE].phase, moved, [phase for _, phase, _ in moves]) == (Phase.LIVE, [Phase.LIVE], ["live"])
    one.close()


async def test_a_stop_that_leaves_calls_under_way_is_as_a_kill(tmp_path: Path, chance: random.Random) -> None:
    one = owner(tmp_path, chance)
    await feed(one, chance, 240)
    await feed(one, chance, 1, hang=1.0)
    before = one.contracts[SCOPE]
    one.close()
    with closing(owner(tmp_path, chance)) as again:
        assert again.contracts[SCOPE] == interrupted(before) != before


async def test_who_only_looks_changes_nothing(tmp_path: Path, chance: random.Random) -> None:
    before = await attempt_of(tmp_path, chance)
    with closing(owner(tmp_path, chance, alone=False)) as one:
        assert one.contracts[SCOPE] == before
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
    assert not before.seen or rung.evidence(0.05) < before.evidence(0.05)


@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.LIVE])
def test_without_an_attempt_nothing_changes(phase: Phase) -> None:
    contract = Contract(terms=TERMS, phase=phase, pairs=300)
    assert interrupted(contract) == contract
