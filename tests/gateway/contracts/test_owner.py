"""The owner of contracts over a real file: what is stored, what a restart finds, what a pause and a failure do."""

import asyncio
import heapq
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts.contract import Contract, Flipped, Phase
from gateway.contracts.owner import Owner
from gateway.contracts.sampling import Coin
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore, StoredContract
from gateway.ledger.store import LedgerError
from gateway.rules.terms import Terms
from gateway.spelling import BARE, Form, forms_in

TERMS = Terms(target=0.05, confidence=0.95)
DAY = 86400.0
SCOPE = Scope(rule="intents", model="gpt-4o", prompt="p", labels=("a", "b"), classifier="bank", version="v1", terms="t")
NEXT = replace(SCOPE, version="v2")


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    with closing(open_owner(tmp_path)) as made:
        yield made


def open_owner(folder: Path, **more: Any) -> Owner:
    return Owner(ContractStore(folder / "offramp.db"), **{"draw": random.Random(0).random, **more})


def flip(owner: Owner, of: Scope = SCOPE, **more: Any) -> Flipped:
    return owner.flip(of, TERMS, notice_s=7 * DAY, **more)


async def learn(owner: Owner, flipped: Flipped, result: str = "agrees", **more: Any) -> None:
    await owner.learn(flipped, request_id="r", label="a", confidence=0.9, result=result, **more)


async def feed(owner: Owner, count: int, *, result: str = "agrees", of: Scope = SCOPE) -> int:
    """Calls of one confidence, learned from unless they are answered; how many were."""
    answered = 0
    for _ in range(count):
        flipped = flip(owner, of)
        if flipped.answers(0.9):
            owner.answered(flipped.scope)
            answered += 1
        else:
            await learn(owner, flipped, result)
    return answered


def execute(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "offramp.db")) as db, db:
        db.execute(statement)


def fill_disk(folder: Path) -> None:
    """From now on no state of a contract can be stored."""
    full = "SELECT RAISE(ABORT, 'database or disk is full')"
    execute(folder, f"CREATE TRIGGER full BEFORE INSERT ON contracts BEGIN {full}; END")


async def test_a_restart_loses_no_pair_and_no_state(owner: Owner, tmp_path: Path) -> None:
    assert await feed(owner, 800) > 0
    before = owner.contracts[SCOPE]
    assert before.phase is Phase.LIVE
    with closing(open_owner(tmp_path)) as again, closing(ContractStore(tmp_path / "offramp.db")) as store:
        assert again.contracts[SCOPE] == before
        rows = store.pairs(SCOPE.key)
        assert [row.number for row in rows] == list(range(before.pairs))
        assert {row.result for row in rows} == {"agrees"}
        assert sum(store.counts(SCOPE.key).values()) == len(rows)
        assert [phase for _, phase, _ in store.moves(SCOPE.key)] == ["live"]
        assert await feed(again, 10) > 0


async def test_a_form_is_learned_from_twenty_answers_and_outlives_a_restart(owner: Owner, tmp_path: Path) -> None:
    learned = Form(before="<", after=">", case="upper")
    for number in range(20):
        assert owner.form(SCOPE) == BARE
        # one word alone does not tell all upper case from others
        text, label = ("<CARD LOST>", "card lost") if number % 7 == 0 else ("<A>", "a")
        await learn(owner, flip(owner), "differs", shown=forms_in(text, label))
    assert (owner.form(SCOPE), owner.contracts[SCOPE].fresh_from) == (learned, 20)
    # what was asked before the form was known says nothing of it
    with closing(open_owner(tmp_path)) as again:
        assert again.form(SCOPE) == learned
        assert await feed(again, 800) > 0
        while again.contracts[SCOPE].pairs < 900:
            flipped = flip(again)
            await learn(again, flipped, shown=forms_in("card", "card"))
        assert (again.contracts[SCOPE].phase, again.form(SCOPE)) == (Phase.LIVE, learned)


async def test_pairs_of_a_version_that_is_tried_count_by_their_chance_to_be_seen(owner: Owner) -> None:
    await feed(owner, 600)
    for number in range(1200):
        first = flip(owner, tried=True)
        second = flip(owner, NEXT, champion=replace(first, share=0.0))
        assert second.coin == first.coin
        # of every second call the version in use is sure: it is seen only where the coin chose it
        sure = number % 2 == 0
        if first.coin.chosen or not sure:
            await learn(owner, second, sure=sure)
    attempt = owner.contracts[NEXT].attempt
    assert attempt is not None
    assert {(one.chance, one.least) for one in attempt.rungs[-1].seen} == {(0.2, 0.2), (1.0, 0.2)}


async def test_disagreements_that_take_long_count_like_those_that_do_not(tmp_path: Path) -> None:
    """Five calls a second, 8 % of which disagree where 5 % may: the labels come first, the rest ten minutes later."""
    chance, now = random.Random(1), 0.0
    open_calls: list[tuple[float, int, Flipped, bool]] = []
    with closing(open_owner(tmp_path, draw=chance.random, clock=lambda: now)) as owner:
        for number in range(1500):
            now += 0.2
            while open_calls and open_calls[0][0] <= now:
                _, _, flipped, agrees = heapq.heappop(open_calls)
                await learn(owner, flipped, "agrees" if agrees else "missing", sure=False)
                assert owner.contracts[SCOPE].phase is Phase.SHADOW
            flipped = flip(owner)
            owner.begin(flipped, confidence=0.9, sure=False)
            agrees = chance.random() >= 0.08
            heapq.heappush(open_calls, (now + (1.0 if agrees else 600.0), number, flipped, agrees))


async def test_a_sure_call_that_no_coin_chose_certifies_nothing(owner: Owner) -> None:
    await feed(owner, 250)
    before = owner.contracts[SCOPE].attempt
    unchosen = replace(flip(owner), coin=Coin(rate=0.2, chosen=False))
    await learn(owner, unchosen, sure=True)
    assert before is not None
    assert owner.contracts[SCOPE].attempt == before
    await learn(owner, unchosen, sure=False)
    assert owner.contracts[SCOPE].attempt != before


async def test_a_contract_without_calls_for_long_keeps_its_state_alone(tmp_path: Path) -> None:
    now = [0.0]
    other = replace(SCOPE, model="other")
    with closing(open_owner(tmp_path, clock=lambda: now[0])) as owner:
        await feed(owner, 400)
        before = owner.contracts[SCOPE]
        now[0] = 60 * DAY
        await feed(owner, 3, of=other)
        now[0] = 91 * DAY
        await owner.tick()
    with closing(open_owner(tmp_path)) as again:
        assert again.contracts[SCOPE] == before
        assert before.phase is Phase.LIVE
        kept = [len(await again.ask(lambda store, key=one.key: store.pairs(key))) for one in (SCOPE, other)]
    assert kept == [0, 3]


async def repeat(owner: Owner, count: int, result: str, confidence: float = 0.9) -> None:
    for _ in range(count):
        await owner.repeated(SCOPE, confidence=confidence, result=result)


async def test_no_attempt_begins_where_the_reference_contradicts_itself(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 100)
    await repeat(owner, 30, "differs")
    await repeat(owner, 70, "agrees")
    assert await feed(owner, 700) == 0
    contract = owner.contracts[SCOPE]
    assert (contract.phase, contract.attempts) == (Phase.SHADOW, 0)
    assert contract.reason.startswith("refused: the model contradicts itself: asked again, 30 of 100 calls")
    assert (owner.refused("intents"), owner.refused("other")) == (1, 0)
    now = [0.0]
    with closing(open_owner(tmp_path, clock=lambda: now[0])) as again:
        assert again.refused("intents") == 1
        assert await feed(again, 100) == 0
        now[0] = DAY + 60
        assert (again.refused("intents"), again.standing("intents", Phase.SHADOW)) == (0, 0)
        flip(again)
        assert (again.refused("intents"), again.standing("intents", Phase.SHADOW)) == (1, 1)


async def test_a_reference_that_is_mended_is_taken_up_again(owner: Owner) -> None:
    """Calls less sure than the threshold count neither for nor against it."""
    await feed(owner, 100)
    await repeat(owner, 100, "differs", confidence=0.2)
    await repeat(owner, 100, "differs")
    assert await feed(owner, 300) == 0
    await repeat(owner, 300, "agrees")
    assert await feed(owner, 700) > 0
    assert owner.refused("intents") == 0


async def test_calls_are_asked_again_until_the_contract_is_live(owner: Owner) -> None:
    assert 150 < sum(flip(owner, again=0.5).again for _ in range(400)) < 250
    assert not any(flip(owner).again for _ in range(50))
    await feed(owner, 800)
    assert not any(flip(owner, again=0.5).again for _ in range(50))
    tried = [flip(owner, again=0.5, tried=True) for _ in range(50)]
    assert any(one.again for one in tried)
    assert all(one.coin.chosen for one in tried if one.again)


async def test_a_models_name_that_a_client_wrote_makes_no_line_of_its_own(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    await feed(owner, 800, of=replace(SCOPE, model="m\nforged\x1b[2J"))
    assert r"for 'm\nforged\x1b[2J' is live" in caplog.text
    assert "\nforged" not in caplog.text


async def test_a_pause_holds_until_it_is_resumed_and_pairs_go_on(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 800)
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        store.pause("intents", at=1.0)
        await owner.tick()
        pairs = owner.contracts[SCOPE].pairs
        assert await feed(owner, 50) == 0
        assert owner.contracts[SCOPE].pairs == pairs + 50
        store.resume("intents")
    await owner.tick()
    assert await feed(owner, 50) > 0


async def test_what_cannot_be_stored_is_not_built_upon(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 800)
    execute(tmp_path, "DROP TABLE contract_pairs")
    # a pair that cannot be stored, after which nothing is answered
    while await feed(owner, 1):
        pass
    assert await feed(owner, 30) == 0


@pytest.mark.parametrize("calls_after", [0, 30])
async def test_a_withdrawal_that_cannot_be_stored_at_once_is_later(
    owner: Owner, tmp_path: Path, calls_after: int
) -> None:
    """With the next pair that can be, or else when the gateway ends; texts from before it train no more."""
    await feed(owner, 800)
    owner.keep("intents", "of before", "a", among="labels")
    fill_disk(tmp_path)
    while owner.contracts[SCOPE].phase is Phase.LIVE:
        await feed(owner, 1, result="differs")
    execute(tmp_path, "DROP TRIGGER full")
    await feed(owner, calls_after)
    owner.close()
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        assert [one.contract for one in store.contracts()] == [owner.contracts[SCOPE]]
        assert [phase for _, phase, _ in store.moves(SCOPE.key)] == ["live", "demoted"]
        assert store.texts("intents", "labels") == []


async def test_a_prompt_that_is_new_in_each_call_fills_no_memory(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor crowds out a live contract, or one whose first call is at the model."""
    monkeypatch.setattr("gateway.contracts.owner._MOST", 5)
    await feed(owner, 800)
    for number in range(20):
        flipped = flip(owner, NEXT)
        owner.begin(flipped, confidence=0.9, sure=False)
        await feed(owner, 1, of=replace(SCOPE, prompt=f"new {number}"))
        await learn(owner, flipped, sure=False)
    assert owner.contracts[NEXT].pairs == 20
    assert owner.contracts[SCOPE].phase is Phase.LIVE
    assert len(owner.contracts) == 5


async def test_calls_without_a_label_are_remembered_over_a_restart(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 800)
    for number in range(60):
        flipped = flip(owner, tried=True)
        chosen = replace(flipped, coin=Coin(rate=0.2, chosen=True))
        owner.unlabelled(replace(flipped, coin=Coin(rate=0.2, chosen=False)))
        if number % 3 < 2:
            owner.unlabelled(chosen)
        else:
            await learn(owner, chosen)
    # 40 of the latest 400
    assert flip(owner).share == 0.9
    owner.close()
    with closing(open_owner(tmp_path)) as again:
        assert flip(again).share == 0.9


async def test_a_state_counts_only_once_it_is_stored(owner: Owner, tmp_path: Path) -> None:
    """Whoever sees a live contract finds it in the file."""
    await feed(owner, 200)
    while not owner.standing("intents", Phase.LIVE):
        task = asyncio.ensure_future(feed(owner, 1))
        while not task.done() and not owner.standing("intents", Phase.LIVE):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0)
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        assert [stored.contract.phase for stored in store.contracts()] == [Phase.LIVE]
    await task


def test_a_state_that_cannot_be_read_is_refused_and_its_store_closed(tmp_path: Path) -> None:
    store = ContractStore(tmp_path / "offramp.db")
    store.put(StoredContract(scope=SCOPE, contract=Contract(terms=TERMS), at=1.0))
    execute(tmp_path, "UPDATE contracts SET state = '{}'")
    with pytest.raises(LedgerError, match=r"offramp\.db cannot be read: Object missing"):
        Owner(store)
    with pytest.raises(LedgerError, match="closed"):
        store.paused()


async def test_what_attempts_spent_stays_spent_where_a_contract_begins_anew(tmp_path: Path) -> None:
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        store.put(StoredContract(scope=SCOPE, contract=Contract(terms=TERMS, attempts=3), at=1.0))
        store.put(StoredContract(scope=SCOPE, contract=Contract(terms=TERMS), at=2.0))
    with closing(open_owner(tmp_path)) as owner:
        await feed(owner, 250, of=NEXT)
        assert owner.contracts[NEXT].attempts == 4


@pytest.mark.parametrize("in_use", ["v1", "v2"])
async def test_the_withdrawal_of_a_version_that_is_only_tried_is_not_the_rules(tmp_path: Path, in_use: str) -> None:
    """The version in use answers on, and what the texts say of the model has not changed."""
    moved: list[str] = []
    owner = open_owner(
        tmp_path,
        on_move=lambda scope, _: moved.append(scope.version),
        in_use=lambda scope: scope.version == in_use,
        draw=lambda: 0.0,
    )
    owner.keep("intents", "my card", "a", among="labels")
    for number in range(1200):
        first = flip(owner, tried=True)
        second = flip(owner, NEXT, champion=replace(first, share=0.0))
        await learn(owner, first)
        await learn(owner, second, "differs" if number >= 800 and number % 2 else "agrees")
        if owner.contracts[NEXT].phase is Phase.DEMOTED:
            break
    assert owner.contracts[SCOPE].phase is Phase.LIVE
    move = (await owner.ask(lambda store: store.moves(NEXT.key)))[-1][1]
    standing = [owner.standing("intents", phase) for phase in (Phase.LIVE, Phase.DEMOTED)]
    texts = await owner.ask(lambda store: store.texts("intents", "labels"))
    owner.close()
    assert set(moved) == {in_use}
    if in_use == "v1":
        assert (move, standing, texts) == ("demoted challenger", [1, 0], [("my card", "a")])
    else:
        assert (move, standing, texts) == ("demoted", [0, 1], [])


async def test_a_contract_without_calls_for_a_week_holds_up_no_version(tmp_path: Path) -> None:
    now = [0.0]
    with closing(open_owner(tmp_path, clock=lambda: now[0])) as owner:
        await feed(owner, 800, of=replace(SCOPE, prompt="no more"))
        now[0] += 3 * DAY
        await feed(owner, 1)
        await feed(owner, 800, of=NEXT)
        trials = [await owner.trial("bank", "v2", current="v1")]
        now[0] += 5 * DAY
        await feed(owner, 1)
        await feed(owner, 1, of=NEXT)
        trials.append(await owner.trial("bank", "v2", current="v1"))
        now[0] += 8 * DAY
        trials.append(await owner.trial("bank", "v2", current="v1"))
    assert [trial.outdoes for trial in trials] == [False, True, False]
    # what it came to counts for as long as it is tried
    assert trials[2].pairs == trials[1].pairs > 0


async def test_a_text_with_half_a_surrogate_pair_is_kept_as_a_file_can_hold_it(owner: Owner) -> None:
    owner.keep("intents", "my card \ud83d is gone", "a", among="labels")
    assert await owner.ask(lambda store: store.texts("intents", "labels")) == [("my card ? is gone", "a")]
