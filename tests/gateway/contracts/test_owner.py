"""The owner of contracts over a real file: what is stored, what a restart finds, what a pause and a failure do."""

import asyncio
import heapq
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gateway.contracts.coin_flip import Flipped
from gateway.contracts.contract import Contract, Phase, Terms
from gateway.contracts.owner import Owner
from gateway.contracts.sampling import Coin
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore, StoredContract
from gateway.ledger.store import LedgerError

TERMS = Terms(target=0.05, confidence=0.95)
DAY = 86400.0
FULL = "SELECT RAISE(ABORT, 'database or disk is full')"


def scope(version: str = "v1", model: str = "gpt-4o") -> Scope:
    return Scope(
        rule="intents", model=model, prompt="p", labels=("a", "b"), classifier="bank", version=version, terms="t"
    )


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    made = open_owner(tmp_path)
    yield made
    made.close()


def open_owner(folder: Path, seed: int = 0) -> Owner:
    return Owner(ContractStore(folder / "offramp.db"), draw=random.Random(seed).random)


async def feed(owner: Owner, count: int, *, result: str = "agrees", of: Scope | None = None) -> int:
    """Calls of one confidence, learned from unless they are answered; how many were."""
    answered = 0
    for number in range(count):
        flipped = owner.flip(of or scope(), TERMS, notice_s=7 * DAY)
        if flipped.answers(0.9):
            owner.answered(flipped.scope)
            answered += 1
            continue
        await owner.learn(flipped, request_id=f"r{number}", label="a", confidence=0.9, result=result)
    return answered


async def test_a_restart_loses_no_pair_and_no_state(owner: Owner, tmp_path: Path) -> None:
    assert await feed(owner, 800) > 0
    before = owner.contracts[scope()]
    assert before.phase is Phase.LIVE
    again = open_owner(tmp_path)
    assert again.contracts[scope()] == before
    assert await feed(again, 10) > 0
    again.close()


async def test_an_attempt_goes_on_after_a_restart(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 250)
    running = owner.contracts[scope()].attempt
    assert running is not None
    again = open_owner(tmp_path, seed=1)
    await feed(again, 20)
    continued = again.contracts[scope()].attempt
    again.close()
    assert continued is not None
    assert continued.number == running.number
    assert continued.rungs[0].pairs > running.rungs[0].pairs


async def test_all_that_led_to_a_state_is_stored(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 800)
    store = ContractStore(tmp_path / "offramp.db")
    rows = store.pairs(scope().key)
    assert [row.number for row in rows] == list(range(owner.contracts[scope()].pairs))
    assert {row.result for row in rows} == {"agrees"}
    assert sum(store.counts(scope().key).values()) == len(rows)
    moves = store.moves(scope().key)
    store.close()
    assert [phase for _, phase, _ in moves] == ["live"]


async def test_pairs_of_a_version_that_is_tried_count_by_their_chance_to_be_seen(owner: Owner) -> None:
    await feed(owner, 600)
    second = scope(version="v2")
    for number in range(1200):
        first = owner.flip(scope(), TERMS, notice_s=7 * DAY, tried=True)
        second_flip = owner.flip(second, TERMS, notice_s=7 * DAY, champion=replace(first, share=0.0))
        assert second_flip.coin == first.coin
        # of every second call the version in use is sure: it is seen only where the coin chose it
        sure = number % 2 == 0
        if first.coin.chosen or not sure:
            await owner.learn(second_flip, request_id="r", label="a", confidence=0.9, result="agrees", sure=sure)
    attempt = owner.contracts[second].attempt
    assert attempt is not None
    assert {(one.chance, one.least) for one in attempt.rungs[-1].seen} == {(0.2, 0.2), (1.0, 0.2)}


@pytest.mark.parametrize("slow_s", [1.0, 600.0])
async def test_disagreements_that_take_long_count_like_those_that_do_not(tmp_path: Path, slow_s: float) -> None:
    """Five calls a second, 8 % of which disagree where 5 % may: the labels come first, the rest much later."""
    chance, now = random.Random(1), 0.0
    owner = Owner(ContractStore(tmp_path / "offramp.db"), draw=chance.random, clock=lambda: now)
    open_calls: list[tuple[float, int, Flipped, bool]] = []
    for number in range(1500):
        now += 0.2
        while open_calls and open_calls[0][0] <= now:
            _, _, flipped, agrees = heapq.heappop(open_calls)
            result = "agrees" if agrees else "missing"
            await owner.learn(flipped, request_id="r", label="a", confidence=0.9, result=result, sure=False)
            assert owner.contracts[scope()].phase is Phase.SHADOW
        flipped = owner.flip(scope(), TERMS, notice_s=7 * DAY)
        owner.begin(flipped, confidence=0.9, sure=False)
        agrees = chance.random() >= 0.08
        heapq.heappush(open_calls, (now + (1.0 if agrees else slow_s), number, flipped, agrees))
    owner.close()


async def test_audits_of_few_calls_a_day_stay_frequent_after_a_restart(tmp_path: Path) -> None:
    """Under 5 % it takes some 370 audits to notice 10 %: 100 calls a day for a week are hardly enough."""
    chance, now = random.Random(0), [0.0]
    for day in range(30):
        owner = Owner(ContractStore(tmp_path / "offramp.db"), draw=chance.random, clock=partial(now.__getitem__, 0))
        rates = set()
        for number in range(800 if not day else 100):
            # some in as many seconds, the others over the day
            now[0] += 1.0 if number < 10 else DAY / 100
            rates.add(owner.flip(scope(), TERMS, notice_s=7 * DAY).coin.rate)
            await feed(owner, 1)
        owner.close()
        assert rates == {1.0, 0.2} if not day else rates == {0.2}


async def test_a_sure_call_that_no_coin_chose_certifies_nothing(owner: Owner) -> None:
    await feed(owner, 250)
    before = owner.contracts[scope()].attempt
    assert before is not None
    flipped = owner.flip(scope(), TERMS, notice_s=7 * DAY)
    unchosen = replace(flipped, coin=Coin(rate=0.2, chosen=False))
    await owner.learn(unchosen, request_id="r", label="a", confidence=0.9, result="agrees", sure=True)
    assert owner.contracts[scope()].attempt == before
    await owner.learn(unchosen, request_id="r", label="a", confidence=0.9, result="agrees", sure=False)
    assert owner.contracts[scope()].attempt != before


async def test_a_withdrawal_says_what_has_moved(owner: Owner) -> None:
    await feed(owner, 800)
    await feed(owner, 400, result="differs")
    reason = owner.contracts[scope()].reason
    assert "audits disagreed where at most 5.0% may; moved since the certificate: disagree 0.0% → " in reason
    assert "no answer to compare" not in reason


async def test_a_contract_without_calls_for_long_keeps_its_state_alone(tmp_path: Path) -> None:
    now = [0.0]
    owner = Owner(ContractStore(tmp_path / "offramp.db"), draw=random.Random(0).random, clock=lambda: now[0])
    await feed(owner, 400)
    other = scope(model="other")
    before = owner.contracts[scope()]
    now[0] = 60 * DAY
    await feed(owner, 3, of=other)
    now[0] = 91 * DAY
    await owner.look()
    owner.close()
    again = open_owner(tmp_path)
    assert again.contracts[scope()] == before
    assert before.phase is Phase.LIVE
    kept = [len(await again.ask(lambda store, key=one.key: store.pairs(key))) for one in (scope(), other)]
    again.close()
    assert kept == [0, 3]


async def twice(owner: Owner, count: int, result: str, confidence: float = 0.9) -> None:
    for _ in range(count):
        await owner.repeated(scope(), confidence=confidence, result=result)


async def test_no_attempt_begins_where_the_reference_contradicts_itself(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 100)
    await twice(owner, 30, "differs")
    await twice(owner, 70, "agrees")
    assert await feed(owner, 700) == 0
    # those that came since the reason was written
    await twice(owner, 3, "agrees")
    contract = owner.contracts[scope()]
    assert (contract.phase, contract.attempts) == (Phase.SHADOW, 0)
    assert contract.reason.startswith("refused: the model contradicts itself: asked again, 30 of 100 calls")
    assert (owner.refused("intents"), owner.refused("other")) == (1, 0)
    again = open_owner(tmp_path)
    assert again.refused("intents") == 1
    assert await feed(again, 100) == 0
    again.close()
    after_a_day = Owner(ContractStore(tmp_path / "offramp.db"), clock=lambda: time.time() + DAY + 60)
    assert (after_a_day.refused("intents"), after_a_day.standing("intents", Phase.SHADOW)) == (0, 0)
    after_a_day.flip(scope(), TERMS, notice_s=DAY)
    assert (after_a_day.refused("intents"), after_a_day.standing("intents", Phase.SHADOW)) == (1, 1)
    after_a_day.close()


async def test_a_reference_that_is_mended_is_taken_up_again(owner: Owner) -> None:
    await feed(owner, 100)
    await twice(owner, 100, "differs")
    assert await feed(owner, 300) == 0
    await twice(owner, 300, "agrees")
    assert await feed(owner, 700) > 0
    assert owner.refused("intents") == 0


async def test_only_calls_as_sure_as_the_threshold_count(owner: Owner) -> None:
    await feed(owner, 100)
    await twice(owner, 100, "differs", confidence=0.2)
    await twice(owner, 120, "agrees")
    assert await feed(owner, 700) > 0


async def test_calls_are_asked_again_until_the_contract_is_live(owner: Owner) -> None:
    flipped = [owner.flip(scope(), TERMS, notice_s=DAY, again=0.5).again for _ in range(400)]
    assert 150 < sum(flipped) < 250
    assert not any(owner.flip(scope(), TERMS, notice_s=DAY).again for _ in range(50))
    await feed(owner, 800)
    live = [owner.flip(scope(), TERMS, notice_s=DAY, again=0.5, tried=tried) for tried in [False] * 50 + [True] * 50]
    assert not any(one.again for one in live[:50])
    assert any(one.again for one in live[50:])
    assert all(one.coin.chosen for one in live if one.again)


async def test_a_models_name_that_a_client_wrote_makes_no_line_of_its_own(
    owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    await feed(owner, 800, of=scope(model="m\nforged\x1b[2J"))
    assert r"for 'm\nforged\x1b[2J' is live" in caplog.text
    assert "\nforged" not in caplog.text


async def test_a_pause_holds_until_it_is_resumed_and_pairs_go_on(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 800)
    store = ContractStore(tmp_path / "offramp.db")
    store.pause("intents", at=1.0)
    await owner.look()
    pairs = owner.contracts[scope()].pairs
    assert await feed(owner, 50) == 0
    assert owner.contracts[scope()].pairs == pairs + 50
    store.resume("intents")
    store.close()
    await owner.look()
    assert await feed(owner, 50) > 0


async def test_what_cannot_be_stored_is_not_built_upon(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 800)
    other = sqlite3.connect(tmp_path / "offramp.db")
    other.execute("DROP TABLE contract_pairs")
    other.commit()
    # a pair that cannot be stored, after which nothing is answered
    while await feed(owner, 1):
        pass
    assert await feed(owner, 30) == 0
    other.close()


@pytest.mark.parametrize("calls_after", [0, 30])
async def test_a_withdrawal_that_cannot_be_stored_at_once_is_later(
    owner: Owner, tmp_path: Path, calls_after: int
) -> None:
    """With the next pair that can be, or else when the gateway ends; texts from before it train no more."""
    await feed(owner, 800)
    owner.keep("intents", "of before", "a", among="labels")
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db, db:
        db.execute(f"CREATE TRIGGER full BEFORE INSERT ON contracts BEGIN {FULL}; END")
    while owner.contracts[scope()].phase is Phase.LIVE:
        await feed(owner, 1, result="differs")
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db, db:
        db.execute("DROP TRIGGER full")
    await feed(owner, calls_after)
    after = owner.contracts[scope()]
    owner.close()
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        assert [one.contract for one in store.contracts()] == [after]
        assert [phase for _, phase, _ in store.moves(scope().key)] == ["live", "demoted"]
        assert store.texts("intents", "labels") == []


async def test_a_file_that_cannot_be_written_to_the_end_holds_up_no_stop(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 5)
    before = owner.contracts[scope()]
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db, db:
        db.execute(f"CREATE TRIGGER full BEFORE INSERT ON contracts BEGIN {FULL}; END")
    await feed(owner, 5)
    owner.close()
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        assert [one.contract for one in store.contracts()] == [before]


async def test_a_prompt_that_is_new_in_each_call_fills_no_memory(owner: Owner) -> None:
    await feed(owner, 800)
    for number in range(1200):
        owner.flip(scope(model=f"m{number}"), TERMS, notice_s=DAY)
    assert len(owner.contracts) <= 1000
    assert owner.contracts[scope()].phase is Phase.LIVE


async def test_prompts_that_come_once_crowd_out_no_contract_whose_calls_go_on(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a new one, while its first call is at the model."""
    monkeypatch.setattr("gateway.contracts.owner._MOST", 5)
    for number in range(5):
        await feed(owner, 2, of=scope(model=f"once {number}"))
    for number in range(20):
        flipped = owner.flip(scope(), TERMS, notice_s=DAY)
        owner.begin(flipped, confidence=0.9, sure=False)
        await feed(owner, 1, of=scope(model=f"new {number}"))
        await owner.learn(flipped, request_id="r", label="a", confidence=0.9, result="agrees", sure=False)
    assert owner.contracts[scope()].pairs == 20
    assert len(owner.contracts) == 5


async def test_calls_without_a_label_are_remembered_over_a_restart(owner: Owner, tmp_path: Path) -> None:
    await feed(owner, 800)
    for number in range(60):
        flipped = owner.flip(scope(), TERMS, notice_s=7 * DAY, tried=True)
        chosen = replace(flipped, coin=Coin(rate=0.2, chosen=True))
        owner.unlabelled(replace(flipped, coin=Coin(rate=0.2, chosen=False)))
        if number % 3 < 2:
            owner.unlabelled(chosen)
        else:
            await owner.learn(chosen, request_id="r", label="a", confidence=0.9, result="agrees")
    # 40 of the latest 400
    assert owner.flip(scope(), TERMS, notice_s=DAY).share == 0.9
    owner.close()
    with closing(open_owner(tmp_path)) as again:
        assert again.flip(scope(), TERMS, notice_s=DAY).share == 0.9


async def test_a_state_counts_only_once_it_is_stored(owner: Owner, tmp_path: Path) -> None:
    """Whoever sees a live contract finds it in the file."""
    seen_live = False
    for _ in range(300):
        task = asyncio.ensure_future(feed(owner, 1))
        while not task.done():
            await asyncio.sleep(0)
            live = owner.standing("intents", Phase.LIVE)
            if live and not seen_live:
                seen_live = True
                store = ContractStore(tmp_path / "offramp.db")
                assert [stored.contract.phase for stored in store.contracts()] == [Phase.LIVE]
                store.close()
    assert seen_live


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database at all, but long enough to be looked at" * 30)
    with pytest.raises(LedgerError, match=r"x\.db"):
        ContractStore(tmp_path / "x.db")


def test_a_state_that_cannot_be_read_is_refused_and_its_store_closed(tmp_path: Path) -> None:
    store = ContractStore(tmp_path / "offramp.db")
    store.put(StoredContract(scope=scope(), contract=Contract(terms=TERMS), at=1.0))
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db, db:
        db.execute("UPDATE contracts SET state = '{}'")
    with pytest.raises(LedgerError, match=r"offramp\.db cannot be read: Object missing"):
        Owner(store)
    with pytest.raises(LedgerError, match="closed"):
        store.paused()


async def test_a_live_contract_outlasts_a_restart_after_a_thousand_other_prompts(tmp_path: Path) -> None:
    owner = open_owner(tmp_path)
    await feed(owner, 800)
    for number in range(1001):
        await feed(owner, 1, of=replace(scope(), prompt=f"of {number}"))
    owner.close()
    again = open_owner(tmp_path)
    assert again.contracts[scope()].phase is Phase.LIVE
    again.close()


async def test_what_attempts_spent_stays_spent_where_a_contract_begins_anew(tmp_path: Path) -> None:
    store = ContractStore(tmp_path / "offramp.db")
    store.put(StoredContract(scope=scope(), contract=Contract(terms=TERMS, attempts=3), at=1.0))
    store.put(StoredContract(scope=scope(), contract=Contract(terms=TERMS), at=2.0))
    store.close()
    owner = open_owner(tmp_path)
    await feed(owner, 250, of=scope("v2"))
    assert owner.contracts[scope("v2")].attempts == 4
    owner.close()


@pytest.mark.parametrize("in_use", ["v1", "v2"])
async def test_the_withdrawal_of_a_version_that_is_only_tried_is_not_the_rules(tmp_path: Path, in_use: str) -> None:
    """The version in use answers on, and what the texts say of the model has not changed."""
    moved: list[tuple[str, Phase]] = []
    owner = Owner(
        ContractStore(tmp_path / "offramp.db"),
        on_move=lambda scope, contract: moved.append((scope.version, contract.phase)),
        in_use=lambda scope: scope.version == in_use,
        draw=lambda: 0.0,
    )
    owner.keep("intents", "my card", "a", among="labels")
    for number in range(1200):
        first = owner.flip(scope(), TERMS, notice_s=7 * DAY, tried=True)
        second_flip = owner.flip(scope("v2"), TERMS, notice_s=7 * DAY, champion=replace(first, share=0.0))
        said = "differs" if number >= 800 and number % 2 else "agrees"
        for flipped, result in ((first, "agrees"), (second_flip, said)):
            await owner.learn(flipped, request_id="r", label="a", confidence=0.9, result=result)
        if owner.contracts[scope("v2")].phase is Phase.DEMOTED:
            break
    assert owner.contracts[scope()].phase is Phase.LIVE
    moves = await owner.ask(lambda store: store.moves(scope("v2").key))
    standing = [owner.standing("intents", phase) for phase in (Phase.LIVE, Phase.DEMOTED)]
    texts = await owner.ask(lambda store: store.texts("intents", "labels"))
    since = await owner.ask(lambda store: store.texts_since_training("intents", "labels"))
    owner.close()
    assert {version for version, _ in moved} == {in_use}
    if in_use == "v1":
        assert (moves[-1][1], standing) == ("demoted beside", [1, 0])
        assert (texts, since) == ([("my card", "a")], (1, 0))
    else:
        assert (moves[-1][1], standing) == ("demoted", [0, 1])
        assert (texts, since) == ([], (0, 0))


def sent(version: str, to: str) -> Scope:
    return replace(scope(version), sent_to=to)


@pytest.mark.parametrize(
    ("first", "stand", "outdoes"),
    [(None, 2, False), (lambda _: "paid/large", 1, True), (lambda _: "paid/small", 0, False), (lambda _: "", 0, False)],
)
async def test_what_was_certified_for_a_model_that_is_sent_elsewhere_stands_no_more(
    tmp_path: Path, first: Callable[[str], str] | None, stand: int, *, outdoes: bool
) -> None:
    """As an earlier Offramp stored it, and as it stands now: the version that is tried answers, the one in use not."""
    before = Owner(ContractStore(tmp_path / "offramp.db"), draw=random.Random(0).random)
    await feed(before, 800, of=sent("v1", ""))
    await feed(before, 800, of=sent("v2", "paid/large"))
    spent = before.contracts[sent("v2", "paid/large")].attempts
    before.close()
    owner = Owner(ContractStore(tmp_path / "offramp.db"), draw=random.Random(0).random, first=first)
    assert owner.standing("intents", Phase.LIVE) == stand
    trial = await owner.trial("bank", "v2", current="v1")
    assert trial.outdoes is outdoes
    # what attempts spent stays spent, also of what is left out
    await feed(owner, 250, of=sent("v1", "paid/other"))
    assert owner.contracts[sent("v1", "paid/other")].attempts == spent + 1
    owner.close()
    with closing(open_owner(tmp_path)) as whole:
        assert len(whole.contracts) == 3


async def test_a_contract_without_calls_for_a_week_holds_up_no_version(tmp_path: Path) -> None:
    chance, now = random.Random(0), 0.0
    owner = Owner(ContractStore(tmp_path / "offramp.db"), draw=chance.random, clock=lambda: now)
    await feed(owner, 800, of=replace(scope(), prompt="no more"))
    now += 3 * DAY
    await feed(owner, 1)
    await feed(owner, 800, of=scope("v2"))
    before = await owner.trial("bank", "v2", current="v1")
    now += 5 * DAY
    await feed(owner, 1)
    await feed(owner, 1, of=scope("v2"))
    after = await owner.trial("bank", "v2", current="v1")
    now += 8 * DAY
    later = await owner.trial("bank", "v2", current="v1")
    owner.close()
    assert (before.outdoes, after.outdoes, later.outdoes) == (False, True, False)
    # what it came to counts for as long as it is tried
    assert later.pairs == after.pairs > 0


async def test_a_text_with_half_a_surrogate_pair_is_kept_as_a_file_can_hold_it(owner: Owner) -> None:
    owner.keep("intents", "my card \ud83d is gone", "a", among="labels")
    assert await owner.ask(lambda store: store.texts("intents", "labels")) == [("my card ? is gone", "a")]
