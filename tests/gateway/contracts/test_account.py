"""The account, the watch and the thresholds: pure, on hand-made calls and a few seeded streams."""

import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.contract.account import SETTINGS, STREAMS
from benchmarks.contract.ledgers import run
from gateway.contracts.account import Account, bets, growth
from gateway.contracts.contract import Coin, Contract, judged
from gateway.contracts.threshold import (
    ContractThreshold,
    ScoreGroup,
    answer_chance,
    choose,
    for_answers,
    for_guard,
    guard_chance,
    nominal_rate,
)
from gateway.contracts.watch import Watch
from gateway.rules.rule import SafetyTerms
from tests.conftest import Simulation

ALPHA = 0.05
# where one difference for all that a kill loses would be too few, each pending one counts
HARD_STREAMS = [
    name
    for name in STREAMS
    if name.startswith(("independent, exactly", "an adversary", "bursts")) and ("killed" in name) is ("each" in name)
]


def account(*, right: int = 0, wrong: int = 0, target: float = 0.02, alpha: float = ALPHA) -> Account:
    begun = Account.begin(target=target, alpha=alpha)
    for number in range(right + wrong):
        begun = begun.see(wrong=number < wrong)
    return begun


@given(target=st.floats(0.001, 0.5), nominal=st.floats(0.01, 1), checked=st.floats(0, 1), wrong=st.booleans())
def test_no_call_checked_often_enough_costs_all(target: float, nominal: float, checked: float, wrong: bool) -> None:
    chance = nominal + checked * (1 - nominal)
    assert all(1 + bet * nominal / chance * (target - wrong) > 0 for bet in bets(target))
    seen = Account.begin(target=target, alpha=ALPHA).see(wrong=wrong, nominal=nominal, chance=chance)
    assert all(math.isfinite(log) for log in seen.promise.logs)


def test_a_wrong_call_that_was_checked_too_rarely_is_refused() -> None:
    begun = Account.begin(target=0.02, alpha=ALPHA)
    with pytest.raises(ValueError, match="weight 2 cannot be wrong"):
        begun.see(wrong=True, nominal=0.1, chance=0.05)
    # what is right may weigh anything
    assert begun.see(wrong=False, nominal=1.0, chance=0.05).seen.weight == 20


def test_calls_count_alike_in_any_order() -> None:
    chance = random.Random(5)
    calls = [(chance.random() < 0.1, chance.choice([0.02, 0.05, 0.5, 1.0]), 0.01) for _ in range(300)]
    ends = []
    for _ in range(3):
        seen = Account.begin(target=0.05, alpha=ALPHA)
        for wrong, nominal, predicted in calls:
            seen = seen.see(wrong=wrong, nominal=nominal, chance=max(nominal, 0.3), predicted=predicted)
        ends.append(seen)
        chance.shuffle(calls)
    for other in ends[1:]:
        assert other.promise.logs == pytest.approx(ends[0].promise.logs)
        assert [one.logs for one in other.answers] == [pytest.approx(one.logs) for one in ends[0].answers]
        assert msgspec.structs.astuple(other.seen) == pytest.approx(msgspec.structs.astuple(ends[0].seen))


@pytest.mark.parametrize(
    ("target", "alpha", "wrong", "pairs"),
    [(0.02, 0.05, 0, 230), (0.02, 0.05, 2, 433), (0.02, 0.05, 8, 923), (0.05, 0.025, 0, 108)],
)
def test_it_goes_live_after_as_many_pairs_as_designed(target: float, alpha: float, wrong: int, pairs: int) -> None:
    # at its first account's part, 0.8 of alpha
    before = account(right=pairs - 1 - wrong, wrong=wrong, target=target, alpha=alpha)
    assert not before.live
    assert before.see(wrong=False).live


def test_slack_keeps_it_live_until_what_was_won_is_lost() -> None:
    live = account(right=260)
    assert live.see(wrong=True).promise.evidence() < -math.log(live.level)
    assert live.see(wrong=True, nominal=0.05, chance=0.05).live
    lost = live
    for _ in range(6):
        lost = lost.see(wrong=True, nominal=0.05, chance=0.05)
    assert not lost.live
    assert lost.answered.checks == 6


@pytest.mark.parametrize("name", HARD_STREAMS)
def test_no_more_streams_than_stated_go_on_falsely(name: str, simulation: Simulation) -> None:
    settings = {"target": 0.02, "level": ALPHA, "calls": 4000, "seed": 3} | SETTINGS[name]
    done = run(STREAMS[name], streams=simulation.streams(2000), **settings)
    assert done.ever.any()
    assert simulation.share_limits(done.falsely | done.on)[0] <= ALPHA


def test_alarms_share_what_is_left_of_alpha() -> None:
    parts = [Account.begin(target=0.02, alpha=ALPHA, alarms=alarms).level for alarms in range(2000)]
    assert parts[0] == pytest.approx(0.04)
    assert sum(parts) == pytest.approx(ALPHA, rel=1e-3)
    again = account(right=500).alarmed()
    assert (again.live, again.alarms, again.seen.checks, again.promise.logs) == (False, 1, 0, (0.0,) * 6)


def test_it_comes_back_from_store_as_it_was() -> None:
    kept = account(right=240, wrong=0).see(wrong=False, nominal=0.05, chance=0.1, predicted=0.02)
    watch = Watch(target=0.02).see(wrong=True, weight=0.5).learn(wrong=True, predicted=0.01)
    for value in (kept, watch):
        assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value


def test_the_bound_of_the_answers_alone_takes_many_checks() -> None:
    seen = account(right=230)
    bounds = []
    for number in range(1, 1201):
        seen = seen.see(wrong=number % 100 == 0, nominal=0.05, chance=0.05)
        if number in {50, 150, 400, 1200}:
            bounds.append(seen.bound)
    assert bounds[0] is None
    assert bounds[1:] == pytest.approx([0.06, 0.04, 0.025])
    # the same answers, more of them checked: none counts more
    more = account(right=230).see(wrong=True, nominal=0.5, chance=0.5)
    assert more.answered.weight_wrong == pytest.approx(0.1)


def test_a_live_account_aims_at_what_it_can_bear() -> None:
    rates = [account(right=right).highest_rate() for right in (231, 260, 300, 2000)]
    assert rates == sorted(rates)
    assert 0.005 < rates[0] < rates[1] < rates[-1] == pytest.approx(0.85 * 0.02)
    assert growth(0.02, 0.0) > growth(0.02, 0.01) > 0 == growth(0.02, 0.02)


GUARDED = SafetyTerms(missed=0.05, wrongly=0.05, confidence=1 - ALPHA)


def judge(
    contract: Contract,
    *,
    passes: bool,
    flags: bool,
    unsafe: bool | None,
    nominal: tuple[float, float],
    chance: float = 1.0,
) -> Contract:
    """The contract after one more judged call."""
    acts = (passes and not flags, flags and not passes)
    coin = Coin(key="", acts=acts, nominal=nominal, chance=chance, alarms=contract.alarms)
    return contract.see(coin, judged(acts, unsafe))


def sides(*, live: tuple[bool, bool] = (False, False)) -> Contract:
    begun = Contract.new(GUARDED)
    for number in range(120):
        if live[0]:
            begun = judge(begun, passes=False, flags=False, unsafe=True, nominal=(1.0, 1.0))
        if live[1] and number:
            begun = judge(begun, passes=False, flags=False, unsafe=False, nominal=(1.0, 1.0))
    return begun


@pytest.mark.parametrize(
    ("passes", "flags", "unsafe", "missed", "wrongly"),
    [
        (True, False, True, (1, 1), (0, 0)),
        (True, False, False, (0, 0), (1, 0)),
        (False, True, False, (0, 0), (1, 1)),
        (False, False, True, (1, 0), (0, 0)),
        (True, True, True, (1, 0), (0, 0)),
        (True, False, None, (1, 1), (0, 0)),
        (False, True, None, (0, 0), (1, 1)),
        (False, False, None, (0, 0), (0, 0)),
    ],
)
def test_each_side_counts_calls_of_its_kind(
    passes: bool, flags: bool, unsafe: bool | None, missed: tuple[int, int], wrongly: tuple[int, int]
) -> None:
    seen = judge(sides(), passes=passes, flags=flags, unsafe=unsafe, nominal=(1.0, 1.0))
    counts = [(side.account.seen.checks, side.account.seen.wrong) for side in seen.sides]
    assert counts == [missed, wrongly]


def test_a_side_in_shadow_learns_from_the_rare_checks_of_the_other() -> None:
    one_live = sides(live=(True, False))
    passing, flagging = (side.account for side in one_live.sides)
    assert (passing.live, flagging.live) == (True, False)
    nominal = (nominal_rate(passing), nominal_rate(flagging))
    assert nominal == (0.05, 1.0)
    right = judge(one_live, passes=True, flags=False, unsafe=False, nominal=nominal, chance=0.05)
    assert right.sides[1].account.seen.weight == pytest.approx(20)
    missed = judge(one_live, passes=True, flags=False, unsafe=True, nominal=nominal, chance=0.05)
    assert missed.sides[0].account.answered.wrong == 1


def test_the_watch_notices_a_change_after_as_many_checks_as_designed() -> None:
    chance = np.random.default_rng(1)
    medians = []
    for rate in (0.04, 0.1):
        taken = []
        for _ in range(40):
            watch = Watch(target=0.02)
            for wrong in chance.random(300) < 0.005:
                watch = watch.see(wrong=bool(wrong))
            while not watch.alarmed:
                watch = watch.see(wrong=bool(chance.random() < rate))
            taken.append(watch.checks - 300)
        medians.append(float(np.median(taken)))
    # 309 and 57 of 2,000 streams (ACCOUNT.md)
    assert 180 < medians[0] < 500
    assert 35 < medians[1] < 90


def test_the_cusum_learns_from_all_calls_and_trusts_what_was_predicted() -> None:
    chance = np.random.default_rng(2)
    calm = changed = Watch(target=0.02)
    calls = 0
    for _ in range(4000):
        predicted = float(chance.choice([0.01, 0.1, 0.4]))
        calm = calm.learn(wrong=bool(chance.random() < predicted), predicted=predicted)
        assert not calm.alarmed
    while not changed.alarmed:
        predicted, calls = float(chance.choice([0.01, 0.1, 0.4])), calls + 1
        changed = changed.learn(wrong=bool(chance.random() < predicted + 0.2), predicted=predicted)
    assert calls < 200
    surest = Watch(target=0.02).learn(wrong=True, predicted=0.0)
    assert (surest.suspected, surest.alarmed) == (True, False)


TABLE = [
    ScoreGroup(confidence=0.95, share=0.3, predicted=0.002, wrong=0.002),
    ScoreGroup(confidence=0.9, share=0.3, predicted=0.01, wrong=0.01),
    ScoreGroup(confidence=0.8, share=0.2, predicted=0.05, wrong=0.05),
    ScoreGroup(confidence=0.0, share=0.2, predicted=0.4, wrong=0.4),
]


def test_thresholds_of_a_table() -> None:
    found = for_answers(TABLE, 2000)
    assert [one.share for one in found] == pytest.approx([0.3, 0.6, 0.8, 1.0])
    assert [one.rate for one in found] == pytest.approx([0.002, 0.006, 0.017, 0.0936])
    # a model that was wrong twice as often as predicted, so far
    worse = for_answers(TABLE, 2000, correction=2.0, current=0.9)
    assert [one.rate for one in worse] == pytest.approx([0.004, 0.012, 0.0215, 0.0972])
    noisy = for_answers([msgspec.structs.replace(one, wrong=2 * one.wrong) for one in TABLE], 2000)
    assert all(two.rate > one.rate for one, two in zip(found, noisy, strict=True))


def test_shadow_takes_what_goes_live_soonest_and_live_what_it_can_bear() -> None:
    found = for_answers(TABLE, 2000)
    assert choose(found, account()) == 0.9
    assert choose(found, account(right=240)) == 0.9
    assert choose(found, account(right=2000)) == 0.8
    none = [
        ContractThreshold(confidence=0.9, share=0.5, rate=0.019),
        ContractThreshold(confidence=0.99, share=0.01, rate=0.0),
    ]
    assert choose(none, account()) is None
    assert choose(none[:1], account(right=2000)) is None


def test_a_guard_takes_its_thresholds_from_what_was_judged() -> None:
    chance = np.random.default_rng(3)
    held_out = [(float(one), 1.0, bool(chance.random() > one)) for one in chance.random(2000) ** 0.2]
    shadow = sides().sides[0].account
    first = choose(for_guard([], held_out), shadow, of_kind=True)
    assert first is not None
    assert first > 0.9
    # what the judge finds among calls of this certainty moves it up, though they are few
    found = [(first + 0.01, 5.0, True) for _ in range(20)]
    later = choose(for_guard(found, held_out), shadow, of_kind=True)
    assert later is not None
    assert later > first + 0.01
    assert for_guard([], []) == []
    assert choose(for_guard([(0.99, 1.0, False)], []), shadow, of_kind=True) is None


def test_more_is_checked_where_errors_are_likely() -> None:
    live, settled = account(right=230), account(right=1600)
    assert [nominal_rate(account()), nominal_rate(live), nominal_rate(settled)] == [1.0, 0.05, 0.02]
    assert nominal_rate(live, more=True) == 0.5
    assert [answer_chance(0.05, e) for e in (0.0, 0.01, 0.04, 1.0)] == pytest.approx([0.05, 0.05, 0.1, 0.3])
    assert answer_chance(0.5, 0.0) == 0.5
    assert answer_chance(1.0, 0.5) == 1.0
    assert [guard_chance(0.05, c, 0.8) for c in (0.8, 0.95, 1.0)] == pytest.approx([0.3, 0.15, 0.05])
    assert guard_chance(0.5, 1.0, 0.8) == 0.5
