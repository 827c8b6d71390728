"""The owner of contracts over a real file: what counts, what is stored, what a restart finds, what a failure does."""

import asyncio
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.contracts.contract import Coin, Contract, Phase, Zone
from gateway.contracts.memory import ContractMemory, leaving
from gateway.contracts.owner import DrawnCall, Outcome, Owner
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore, StoredContract
from gateway.contracts.threshold import NEW
from gateway.ledger.store import LedgerError
from gateway.rules.rule import SafetyTerms, Terms
from gateway.spelling import BARE, Form, forms_in

RULE, GUARD = Terms(target=0.05, confidence=0.95), SafetyTerms(missed=0.05, wrongly=0.05, confidence=0.95)
KINDS = pytest.mark.parametrize("terms", [RULE, GUARD], ids=["rule", "guard"])
SCOPE = Scope(rule="intents", model="gpt-4o", prompt="p", classifier="bank", terms="t")
HELD_OUT = {
    Terms: [(number / 100, 1.0, number < 40) for number in range(100)] * 5,
    SafetyTerms: [(number / 100, 1.0, number > 50) for number in range(100)] * 5,
}
DAY = 86400.0
Kind = Terms | SafetyTerms


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    with closing(opened(tmp_path)) as made:
        yield made


def opened(folder: Path, **more: Any) -> Owner:
    return Owner(ContractStore(folder / "offramp.db"), **{"draw": random.Random(0).random, **more})


async def draw(owner: Owner, terms: Kind = RULE, score: float | None = 0.95, scope: Scope = SCOPE, **more: Any) -> Coin:
    fields = {"version": "v1", "held_out": HELD_OUT[type(terms)], **more}
    return await owner.draw(DrawnCall(scope=scope, terms=terms, score=score, **fields))


async def learn(owner: Owner, coin: Coin, result: str = "agrees", **more: Any) -> None:
    await owner.learn(coin, Outcome(request_id="r", result=result, label="a", **more))


async def feed(owner: Owner, count: int, terms: Kind = RULE, *, differs: bool = False, **more: Any) -> int:
    """Calls of high scores, and for a guard of low ones, too, learned from unless they are decided here; how many
    were."""
    decided = 0
    for _ in range(count):
        for score in (0.95,) if terms is RULE else (0.05, 0.95):
            coin = await draw(owner, terms, score, **more)
            if coin.decides:
                owner.answered(coin)
                decided += 1
            elif terms is RULE:
                await learn(owner, coin, "differs" if differs else "agrees")
            else:
                await learn(owner, coin, "unsafe" if (score > 0.5) is not differs else "safe")
    return decided


def state(owner: Owner, scope: Scope = SCOPE) -> Contract:
    contract = owner.find(scope.key)
    assert contract is not None
    return contract


def seen(owner: Owner) -> list[tuple[int, int]]:
    """Checks and wrong ones of each side."""
    return [(side.account.seen.checks, side.account.seen.wrong) for side in state(owner).sides]


def execute(folder: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "offramp.db")) as db, db:
        return db.execute(statement).fetchall()


def fill_disk(folder: Path) -> None:
    """From now on no state of a contract can be stored."""
    full = "SELECT RAISE(ABORT, 'database or disk is full')"
    execute(folder, f"CREATE TRIGGER full BEFORE INSERT ON contract_accounts BEGIN {full}; END")


async def kill(owner: Owner) -> None:
    """What a process that is killed leaves: all that was written so far."""
    await owner.ask(lambda store: store.close())


@KINDS
async def test_it_goes_live_and_a_restart_goes_on_where_it_was(terms: Kind, tmp_path: Path) -> None:
    moves: list[tuple[str, Phase]] = []
    with closing(opened(tmp_path, on_move=lambda *move: moves.append(move))) as owner:
        assert await feed(owner, 50, terms) == 0
        assert await feed(owner, 250, terms) > 100
        # what is decided here after the last check is noted at the end
        for _ in range(5):
            coin = await draw(owner, terms)
            owner.answered(coin) if coin.decides else owner.leave(coin)
        sides = len(state(owner).sides)
        assert moves == [("intents", Phase.LIVE)] * sides
        assert (owner.standing("intents", Phase.LIVE), owner.standing("other", Phase.LIVE)) == (sides, 0)
    before, stored = state(owner), execute(tmp_path, "SELECT zone, count(*) FROM contract_checks GROUP BY zone")
    assert {zone for zone, _ in stored} == ({"ask", "answer"} if terms is RULE else {"ask", "pass", "flag"})
    with closing(opened(tmp_path)) as again:
        assert state(again) == before
        assert before.sides[-1].decided > 50
        assert await feed(again, 10, terms) > 0
        # a threshold is chosen with what was known before
        assert state(again).sides[0].threshold == pytest.approx(before.sides[0].threshold or 0, abs=0.1)
        assert [phase for _, phase, _ in await again.ask(lambda store: store.moves(SCOPE.key))] == ["live"] * sides


@given(order=st.permutations(range(12)), kinds=st.lists(st.sampled_from("dam-"), min_size=12, max_size=12))
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("terms", [RULE, GUARD], ids=["rule", "guard"])
def test_an_account_is_the_same_in_whatever_order_answers_come(
    terms: Kind, order: list[int], kinds: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """d: differs, a: agrees, m: missing, -: no check after all."""

    async def account(places: list[int]) -> Any:
        with closing(opened(tmp_path_factory.mktemp("o"), clock=lambda: 1.0)) as owner:
            await feed(owner, 30, terms)
            coins = [await draw(owner, terms, 0.95 if number % 3 else 0.05) for number in range(12)]
            for place in places:
                if kinds[place] == "-":
                    owner.leave(coins[place])
                else:
                    words = {"d": "differs", "a": "agrees"} if terms is RULE else {"d": "unsafe", "a": "safe"}
                    await learn(owner, coins[place], words.get(kinds[place], "missing"))
            await owner.ask(lambda _: None)
            return [side.account for side in state(owner).sides]

    assert asyncio.run(account(list(order))) == asyncio.run(account(list(range(12))))


async def test_differences_that_take_long_count_like_agreements_that_do_not(tmp_path: Path) -> None:
    """Every twelfth call differs and takes ten minutes, where 5 % may."""
    now = [0.0]
    late: list[Coin] = []
    with closing(opened(tmp_path, clock=lambda: now[0])) as owner:
        for number in range(1500):
            now[0] += 1.0
            coin = await draw(owner)
            assert not coin.decides
            if number % 12 == 5:
                late.append(coin)
            else:
                await learn(owner, coin)
        assert state(owner).sides[0].account.seen.wrong > 5
        wrong = seen(owner)[0][1]
        await learn(owner, late[0], "differs")
        assert seen(owner)[0][1] == wrong


@KINDS
async def test_each_check_is_stored_with_the_chance_of_its_coin(terms: Kind, owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 150, terms)
    while (coin := await draw(owner, terms)).decides:
        pass
    (nominal,) = {coin.nominal[-1]}
    assert (nominal, coin.checked, coin.acts[-1]) == (0.05, True, True)
    assert 0.05 <= coin.chance < 1
    before = state(owner).sides[-1].account.seen.weight
    await learn(owner, coin, "agrees" if terms is RULE else "safe")
    assert state(owner).sides[-1].account.seen.weight - before == pytest.approx(nominal / coin.chance)
    columns = "score, zone, chance, version, result"
    row = execute(tmp_path, f"SELECT {columns} FROM contract_checks ORDER BY rowid DESC LIMIT 1")
    assert row == [(0.95, coin.zone.value, coin.chance, "v1", "agrees" if terms is RULE else "safe")]
    await learn(owner, await draw(owner, terms, None), "missing")
    row = execute(tmp_path, "SELECT score, result FROM contract_checks ORDER BY rowid DESC LIMIT 1")
    assert row == [(None, "missing")]


@KINDS
@pytest.mark.parametrize("under_way", [0, 1, 3, 40])
async def test_a_kill_counts_each_check_under_way_as_wrong(terms: Kind, under_way: int, tmp_path: Path) -> None:
    owner = opened(tmp_path)
    await feed(owner, 30, terms)
    owner.leave(await draw(owner, terms))
    coins = [await draw(owner, terms) for _ in range(under_way)]
    # of what is over and waits, that which is wrong is not lost either
    for coin in coins[-2:-1]:
        await learn(owner, coin, "differs" if terms is RULE else "safe")
    before = seen(owner)
    await kill(owner)
    with closing(opened(tmp_path)) as again:
        assert seen(again) == [*before[:-1], (before[-1][0] + under_way, before[-1][1] + under_way)]
        # nothing more comes of what was under way
        for coin in coins:
            await learn(again, coin, "differs" if terms is RULE else "safe")
        assert seen(again)[-1][1] == under_way
    with closing(opened(tmp_path)) as third:
        assert seen(third) == seen(again)


async def test_answers_that_do_not_come_are_differences_and_say_nothing_of_what_was_expected(tmp_path: Path) -> None:
    with closing(opened(tmp_path, draw=lambda: 0.0)) as owner:
        await feed(owner, 300)
        known, (checks, wrong) = state(owner).known, *seen(owner)
        for _ in range(3):
            await learn(owner, await draw(owner), "missing")
        assert (state(owner).alarms, state(owner).known, seen(owner)) == ((0,), known, [(checks + 3, wrong + 3)])
        assert len(await owner.ask(lambda store: store.known(SCOPE.key, "v1", newest=999))) == known


async def test_a_text_is_forwarded_as_soon_as_its_check_differs(tmp_path: Path) -> None:
    chance = [0.0]
    with closing(opened(tmp_path, draw=lambda: chance[0])) as owner:
        await feed(owner, 200)
        coin = await draw(owner, text=7)
        busy, chance[0] = threading.Event(), 0.999
        writing = asyncio.create_task(owner.ask(lambda _: busy.wait()))
        learning = asyncio.create_task(learn(owner, coin, "differs"))
        await asyncio.sleep(0.01)
        assert [(await draw(owner, text=text)).decides for text in (7, 8)] == [False, True]
        busy.set()
        await asyncio.gather(writing, learning)


@KINDS
async def test_alarms_and_alpha_outlive_memory_and_restarts(
    terms: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt that is new in each call fills no memory, and takes back none of what was spent."""
    monkeypatch.setattr("gateway.contracts.owner._MOST", 3)
    now, score = [1.0], 0.95 if terms is RULE else 0.05
    with closing(opened(tmp_path, draw=lambda: 0.0, clock=lambda: now[0])) as owner:
        await feed(owner, 200, terms)
        owner.keep("intents", "of before", "a", among="labels")
        now[0] = 2.0
        while not state(owner).alarms[0]:
            await feed(owner, 1, terms, differs=True)
        before = state(owner)
        await feed(owner, 20, terms, scope=replace(SCOPE, prompt="busy"))
        busy = await draw(owner, terms, scope=replace(SCOPE, prompt="busy"))
        for number in range(6):
            now[0] += 1
            await feed(owner, 1, terms, scope=replace(SCOPE, prompt=f"new {number}"))
        assert owner.find(SCOPE.key) is None
        assert owner.find(busy.key) is not None
        # what training knew of the version counts for nothing
        again = await draw(owner, terms, score)
        assert (again.alarms, again.acts[0], state(owner).sides[0].threshold) == (before.alarms, False, None)
        assert state(owner).sides[0].account == before.sides[0].account
        assert await owner.ask(lambda store: store.texts("intents", "labels")) == []
    with closing(opened(tmp_path)) as third:
        assert (await draw(third, terms, score)).acts[0] is False
        assert state(third).alarms == before.alarms
        # another version has its own scores
        assert (await draw(third, terms, score, version="v2")).acts[0] is True


async def test_checks_of_a_contract_that_leaves_memory_count_as_wrong_and_mix_with_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.contracts.owner._MOST", 1)
    with closing(opened(tmp_path)) as owner:
        await feed(owner, 23)
        early = await draw(owner)
        await feed(owner, 1, scope=replace(SCOPE, prompt="new"))
        late = await draw(owner)
        assert seen(owner) == [(4, 1)]
        await learn(owner, early)
        await learn(owner, late)
        assert seen(owner) == [(5, 1)]


async def test_a_contract_that_leaves_memory_while_its_coin_is_flipped_takes_its_check_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.contracts.owner._MOST", 1)
    with closing(opened(tmp_path)) as owner:
        await feed(owner, 23)
        before = seen(owner)
        # another version is taken up, while another contract comes
        _, coin = await asyncio.gather(owner.load(replace(SCOPE, prompt="new"), RULE), draw(owner, version="v2"))
        await learn(owner, coin)
        assert seen(owner) == [(before[0][0] + 1, 0)]


def test_the_idle_leave_memory_before_those_with_a_check_under_way_and_what_is_not_stored_leaves_last() -> None:
    contract, at = Contract.new(RULE), (2, 3, 1, 4, 0)
    kept = [ContractMemory(scope=replace(SCOPE, prompt=str(one)), contract=contract, at=one) for one in at]
    for busy in kept[2:4]:
        busy.order.begin(Coin(key="k"), now=0.0)
    remaining = kept[::-1]
    for one in kept:
        assert leaving(remaining, lambda _, key: key == kept[-1].scope.key) is one
        remaining.remove(one)


async def test_repeats_within_the_hour_and_texts_that_differed_stand_outside(tmp_path: Path) -> None:
    now = [10_000.0]
    with closing(opened(tmp_path, clock=lambda: now[0])) as owner:
        await feed(owner, 20)
        await feed(owner, 3, text=7)
        assert seen(owner) == [(1, 0)]
        now[0] += 3600
        await feed(owner, 1, text=7)
        assert seen(owner) == [(2, 0)]
        await feed(owner, 150)
        # what is live answers a repeat without a coin, unless its check differed
        assert [(await draw(owner, text=7)).decides for _ in range(50)] == [True] * 50
        while (coin := await draw(owner, text=random.getrandbits(60))).decides:
            pass
        await learn(owner, coin, "differs")
        checks, known, now[0] = seen(owner), state(owner).known, now[0] + 9000
        for _ in range(50):
            again = await draw(owner, text=coin.text)
            assert (again.decides, again.checked, again.acts) == (False, True, (False,))
            await learn(owner, again)
        assert (seen(owner), state(owner).known) == (checks, known)
        assert not (await draw(owner, text=coin.text, version="v2")).repeat


async def test_texts_that_a_guards_judge_knows_are_no_sides(owner: Owner) -> None:
    await feed(owner, 200, GUARD)
    for _ in range(100):
        coin = await draw(owner, GUARD, 0.05, known=True)
        assert (coin.zone, coin.checked, coin.acts) == (Zone.ASK, True, (False, False))
        await learn(owner, coin, "unsafe")
    assert state(owner).alarms == (0, 0)


async def test_a_guards_new_version_is_checked_more_after_a_restart_too(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 300, GUARD)
    owner.close()
    with closing(opened(tmp_path)) as again:
        assert set((await draw(again, GUARD)).nominal) == {0.05}
        assert set((await draw(again, GUARD, version="v2")).nominal) == {0.5}
        assert state(again).fresh == NEW


@KINDS
async def test_a_pause_holds_until_it_is_resumed_and_checks_go_on(terms: Kind, owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 200, terms)
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        store.pause("intents", at=1.0)
        await owner.tick()
        before = seen(owner)
        assert await feed(owner, 20, terms) == 0
        assert [after[0] - was[0] for after, was in zip(seen(owner), before, strict=True)] == [20] * len(before)
        assert owner.standing("intents", Phase.LIVE) == len(before)
        store.resume("intents")
    await owner.tick()
    assert await feed(owner, 50, terms) > 0


@KINDS
async def test_nothing_is_decided_on_a_state_that_cannot_be_stored(terms: Kind, tmp_path: Path) -> None:
    failed: list[int] = []
    with closing(opened(tmp_path, on_failure=lambda: failed.append(1))) as owner:
        await feed(owner, 200, terms)
        fill_disk(tmp_path)
        while not failed:
            await feed(owner, 1, terms)
        assert await feed(owner, 30, terms) == 0
        assert len(failed) > 30
        execute(tmp_path, "DROP TRIGGER full")
        await feed(owner, 1, terms)
        assert await feed(owner, 50, terms) > 0


@KINDS
@pytest.mark.parametrize("calls_after", [0, 30])
async def test_an_alarm_that_cannot_be_stored_at_once_is_later(terms: Kind, calls_after: int, tmp_path: Path) -> None:
    """With the next check that can be, or else when the gateway ends."""
    owner = opened(tmp_path, draw=lambda: 0.0)
    await feed(owner, 200, terms)
    fill_disk(tmp_path)
    while not state(owner).alarms[0]:
        await feed(owner, 1, terms, differs=True)
    execute(tmp_path, "DROP TRIGGER full")
    await feed(owner, calls_after, terms)
    owner.close()
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        assert [one.contract for one in store.contracts()] == [state(owner)]
        assert "alarm" in [phase for _, phase, _ in store.moves(SCOPE.key)]


def test_a_state_that_cannot_be_read_is_refused_and_its_store_closed(tmp_path: Path) -> None:
    store = ContractStore(tmp_path / "offramp.db")
    store.put(StoredContract(scope=SCOPE, contract=Contract.new(RULE), at=1.0))
    execute(tmp_path, "UPDATE contract_accounts SET state = '{}'")
    with pytest.raises(LedgerError, match=r"offramp\.db cannot be read: Object missing"):
        Owner(store)
    with pytest.raises(LedgerError, match="closed"):
        store.paused()


async def test_a_reader_counts_nothing(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 23)
    await draw(owner)
    await owner.ask(lambda _: None)
    before = execute(tmp_path, "SELECT * FROM contract_accounts")
    store, failed = ContractStore(tmp_path / "offramp.db", read_only=True), []
    with closing(Owner(store, alone=False, on_failure=lambda: failed.append(1))) as reader:
        assert (await draw(reader)).nominal == (1.0,)
        assert seen(reader) == [(3, 0)]
    assert (execute(tmp_path, "SELECT * FROM contract_accounts"), failed) == (before, [])


async def test_a_form_is_learned_from_twenty_answers_and_outlives_a_restart(owner: Owner, tmp_path: Path) -> None:
    learned = Form(before="<", after=">", case="upper")
    for number in range(20):
        assert owner.form(SCOPE.key) == BARE
        # one word alone does not tell all upper case from others
        text, label = ("<CARD LOST>", "card lost") if number % 7 == 0 else ("<A>", "a")
        await learn(owner, await draw(owner), "differs", shown=forms_in(text, label))
    # what was asked before the form was known says nothing of it
    assert (owner.form(SCOPE.key), state(owner).alarms, seen(owner)) == (learned, (0,), [(0, 0)])
    owner.close()
    with closing(opened(tmp_path)) as again:
        assert again.form(SCOPE.key) == learned
        assert await feed(again, 300, version="v2") > 0


async def test_where_the_model_contradicts_itself_is_known_over_a_restart(tmp_path: Path) -> None:
    now = [DAY]
    with closing(opened(tmp_path, clock=lambda: now[0])) as owner:
        coin = await draw(owner)
        for number in range(100):
            await owner.repeated(coin, "differs" if number < 30 else "agrees")
        await owner.repeated(coin, "missing")
        await learn(owner, coin)
    with closing(opened(tmp_path, clock=lambda: now[0])) as again:
        assert (again.refused("intents"), again.refused("other")) == (1, 0)
        now[0] = 2 * DAY + 1
        assert (again.refused("intents"), again.standing("intents", Phase.SHADOW)) == (0, 0)
        await draw(again)
        assert (again.refused("intents"), again.standing("intents", Phase.SHADOW)) == (1, 1)


async def test_calls_are_asked_again_until_the_contract_is_live(owner: Owner) -> None:
    assert 150 < sum([(await draw(owner, again=0.5)).again for _ in range(400)]) < 250
    assert not any([(await draw(owner)).again for _ in range(50)])
    await feed(owner, 150, scope=replace(SCOPE, prompt="live"))
    assert not any([(await draw(owner, scope=replace(SCOPE, prompt="live"), again=0.5)).again for _ in range(50)])


async def test_checks_are_forgotten_after_90_days_unlike_their_contract(tmp_path: Path) -> None:
    now = [0.0]
    other = replace(SCOPE, model="other")
    with closing(opened(tmp_path, clock=lambda: now[0])) as owner:
        await feed(owner, 200)
        before = state(owner)
        now[0] = 60 * DAY
        await feed(owner, 3, scope=other)
        now[0] = 91 * DAY
        await owner.tick()
    assert execute(tmp_path, "SELECT key, count(*) FROM contract_checks GROUP BY key") == [(other.key, 3)]
    with closing(opened(tmp_path)) as again:
        assert state(again).sides[0].account == before.sides[0].account


async def test_a_models_name_that_a_client_wrote_makes_no_line_of_its_own(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    await feed(owner, 200, scope=replace(SCOPE, model="m\nforged\x1b[2J"))
    assert r"for 'm\nforged\x1b[2J': live" in caplog.text
    assert "\nforged" not in caplog.text


async def test_a_text_with_half_a_surrogate_pair_is_kept_as_a_file_can_hold_it(owner: Owner) -> None:
    owner.keep("intents", "my card \ud83d is gone", "a", among="labels", weight=20)
    (kept,) = await owner.ask(lambda store: store.texts("intents", "labels"))
    assert (kept.text, kept.label, kept.weight) == ("my card ? is gone", "a", 20)
