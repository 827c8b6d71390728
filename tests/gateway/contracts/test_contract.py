"""What coins and checks make of a contract, without a file."""

import math
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.contracts.contract import EVERY, Coin, Contract, Phase, Zone, judged
from gateway.contracts.threshold import NEW, ScoreRow
from gateway.rules.rule import SafetyTerms, Terms
from gateway.spelling import Form

RULE, GUARD = Terms(target=0.05, confidence=0.95), SafetyTerms(missed=0.05, wrongly=0.05, confidence=0.95)
KINDS = pytest.mark.parametrize("terms", [RULE, GUARD], ids=["rule", "guard"])
CERTAINTIES = st.floats(0, 1)


def contract(terms: Terms | SafetyTerms, *thresholds: float | None, checks: int = 200) -> Contract:
    """One with so many checks of each side, none of them wrong: 200 make it live."""
    begun = Contract.new(terms)
    sides = []
    for side, threshold in zip(begun.sides, thresholds or [0.5] * len(begun.sides), strict=True):
        for _ in range(checks):
            side = side.see(wrong=False, nominal=1.0, chance=1.0, predicted=0.01)  # noqa: PLW2901
        sides.append(replace(side, threshold=threshold))
    return replace(begun, sides=tuple(sides))


def flip(of: Contract, score: float | None, draw: float = 0.0, **coin: object) -> Coin:
    return of.flip(Coin(key="k", score=score, **coin), draw)  # type: ignore[arg-type]


def wrong(coin: Coin, *, right: bool | None) -> Sequence[bool | None]:
    """right: whether the local answer is, or the judge finds the text safe; None where it gives no verdict."""
    if len(coin.acts) > 1:
        return judged(coin.acts, None if right is None else not right)
    return [not right if coin.acts[0] else None]


@KINDS
def test_in_shadow_every_call_is_checked_and_nothing_is_decided_until_the_evidence_is_there(
    terms: Terms | SafetyTerms,
) -> None:
    begun = Contract.new(terms)
    assert not begun.spent
    # all sides share what may fail
    assert sum(side.account.alpha for side in begun.sides) == pytest.approx(0.05)
    for _ in range(600):
        for score in (0.05, 0.95):
            coin = flip(begun, score, draw=0.99)
            assert begun.phases == (Phase.SHADOW,) * len(begun.sides) or coin.nominal != (1.0,) * len(begun.sides)
            begun = begun.see(coin, wrong(coin, right=score < 0.5 or terms is RULE))
            rows = [(0.05, 1.0, terms is RULE), (0.95, 1.0, terms is GUARD)] * 50
            begun = begun if begun.sides[0].threshold else replace(begun, known=EVERY).choose(rows, ())
    assert set(begun.phases) == {Phase.LIVE}
    assert begun.spent
    assert msgspec.json.decode(msgspec.json.encode(begun), type=Contract) == begun
    decided = {score: flip(begun, score, draw=0.99).zone for score in (0.05, 0.95)}
    assert decided == {0.05: Zone.ASK, 0.95: Zone.ANSWER} if terms is RULE else {0.05: Zone.PASS, 0.95: Zone.FLAG}


@given(
    terms=st.sampled_from([RULE, GUARD]),
    thresholds=st.tuples(st.none() | CERTAINTIES, st.none() | CERTAINTIES),
    live=st.tuples(st.booleans(), st.booleans()),
    score=st.none() | CERTAINTIES,
    draw=st.floats(0, 1, exclude_max=True),
    more=st.tuples(st.sampled_from([0, NEW]), st.booleans(), st.booleans(), CERTAINTIES),
)
def test_coins(
    terms: Terms | SafetyTerms,
    thresholds: tuple[float | None, float | None],
    live: tuple[bool, bool],
    score: float | None,
    draw: float,
    more: tuple[int, bool, bool, float],
) -> None:
    fresh, repeat, paused, predicted = more
    begun = contract(terms, *thresholds[: 1 if terms is RULE else 2])
    sides = [side if on else replace(side, account=replace(side.account, live=False))
             for side, on in zip(begun.sides, live, strict=False)]  # fmt: skip
    begun = replace(begun, sides=tuple(sides), fresh=fresh)
    coin = flip(begun, score, draw, repeat=repeat, paused=paused, predicted=predicted)
    # zones do not overlap, and both sides or none hold what is not one side's own
    assert sum(coin.acts) <= 1
    assert 0 < coin.chance <= 1
    if coin.zone is Zone.ASK:
        assert (coin.checked, coin.chance) == (True, 1.0)
    else:
        assert not paused
        side = sides[coin.zone is Zone.FLAG]
        certainty = 1 - (score or 0) if coin.zone is Zone.PASS else score or 0
        assert side.account.live
        assert certainty >= (side.threshold or 0.0)
        assert coin.checked is (draw < coin.chance and not repeat)
    if repeat:
        assert not any(coin.acts)
    # a call that may be wrong is checked at its nominal rate at least: no wrong one costs all
    for right in (True, False, None):
        for place, one in enumerate(wrong(coin, right=right)):
            assert not one or coin.nominal[place] <= coin.chance
        seen = begun.see(coin, wrong(coin, right=right))
        assert all(math.isfinite(log) for side in seen.sides for log in side.account.promise.logs)
    # while anything is new, half of the calls of a live side are checked
    assert not fresh or all(u >= 0.5 for u in coin.nominal)


@pytest.mark.parametrize(
    ("passes", "flags", "zones"),
    [
        (0.9, 0.8, [Zone.PASS, Zone.ASK, Zone.FLAG]),
        # both would do what lies between 0.3 and 0.7
        (0.3, 0.3, [Zone.PASS, Zone.ASK, Zone.FLAG]),
        (None, 0.3, [Zone.ASK, Zone.FLAG, Zone.FLAG]),
        (0.0, 0.0, [Zone.ASK] * 3),
    ],
)
def test_what_both_sides_of_a_guard_would_do_is_the_judges(
    passes: float | None, flags: float, zones: list[Zone]
) -> None:
    guard = contract(GUARD, passes, flags)
    assert [flip(guard, score).zone for score in (0.05, 0.5, 0.95)] == zones
    assert flip(guard, None).zone is Zone.ASK


def test_judges_verdicts_count_for_the_side_whose_calls_they_are() -> None:
    sides = ((True, False), (False, True), (False, False))
    verdicts = [judged(acts, unsafe) for acts in sides for unsafe in (True, False, None)]
    passed = [(True, None), (None, False), (True, None)]
    flagged = [(False, None), (None, True), (None, True)]
    assert verdicts == [*passed, *flagged, (False, None), (None, False), (None, None)]


@KINDS
def test_wrong_calls_raise_an_alarm_and_coins_from_before_it_count_for_nothing(terms: Terms | SafetyTerms) -> None:
    live = steady = contract(terms)
    # a guard lets unsafe texts pass; its other side stands
    coin = flip(live, 0.95 if terms is RULE else 0.05)
    for _ in range(300):
        steady = steady.see(coin, wrong(coin, right=True))
    assert steady.phases == live.phases
    before, checks = live, 0
    while not live.alarms[0]:
        live, checks = live.see(coin, wrong(coin, right=False)), checks + 1
    assert checks < 30
    side = live.sides[0]
    assert (side.phase, side.threshold, side.account.seen.checks) == (Phase.SHADOW, None, 0)
    assert f"of {checks} checks differed where at most 5.0% may" in side.reason or "latest answers" in side.reason
    assert side.account.level < before.sides[0].account.level / 4
    assert (live.alarms[1:], live.sides[1:]) == (before.alarms[1:], before.sides[1:])
    assert live.see(coin, wrong(coin, right=False)) == live
    known = live.learn(coin, wrong=True)
    assert (known.sides, known.known) == (live.sides, live.known + 1)


def test_errors_that_nobody_predicted_are_suspected_and_then_an_alarm_before_any_check() -> None:
    live = contract(RULE)
    forwarded = flip(live, 0.2, predicted=0.05)
    for _ in range(200):
        live = live.learn(forwarded, wrong=False)
    usual = flip(live, 0.9, predicted=0.01)
    for _ in range(4):
        live = live.learn(forwarded, wrong=True)
    suspected = flip(live, 0.9, predicted=0.01)
    assert (usual.nominal[0], suspected.nominal[0]) == (0.05, 0.5)
    live = live.see(suspected, [False])
    for _ in range(10):
        live = live.learn(forwarded, wrong=True)
    assert (live.alarms, live.sides[0].reason) == (
        (1,), "the model's latest answers differ from what was expected of them"
    )  # fmt: skip


def test_too_many_differences_lead_back_to_shadow_without_an_alarm_and_few_enough_lead_out_again() -> None:
    begun, coin = contract(RULE, checks=100), flip(contract(RULE), 0.9)
    assert begun.phases == (Phase.LIVE,)
    while begun.phases == (Phase.LIVE,):
        begun = begun.see(replace(coin, nominal=(0.3,), chance=0.3), [True])
    assert (begun.alarms, begun.sides[0].account.seen.wrong) == ((0,), begun.sides[0].account.seen.checks - 100)
    assert "too many to go on; it is in shadow" in begun.sides[0].reason
    for _ in range(400):
        begun = begun.see(flip(begun, 0.9), [False])
    assert (begun.phases, begun.sides[0].watch.checks) != ((Phase.SHADOW,), 0)


def test_half_is_checked_until_60_checks_of_a_new_dated_model_or_a_guards_new_version_are_in() -> None:
    rule, guard = contract(RULE), contract(GUARD).of_version("1")
    coin = flip(rule, 0.9)
    rule = rule.learn(coin, wrong=False, model="m-1").learn(coin, wrong=False)
    assert (flip(rule, 0.9).nominal, rule.of_version("1").of_version("2").fresh) == ((0.05,), 0)
    assert (guard.fresh, guard.of_version("1").fresh) == (0, 0)
    for fresh in (rule.learn(coin, wrong=False, model="m-2"), guard.of_version("2")):
        for _ in range(NEW):
            new = flip(fresh, 0.9)
            assert set(new.nominal) == {0.5}
            fresh = fresh.see(new, wrong(new, right=not fresh.guards))  # noqa: PLW2901
        assert set(flip(fresh, 0.9).nominal) == {0.05}
    assert rule.learn(coin, wrong=False, model="m-1").fresh == 0


@KINDS
def test_each_check_that_a_stop_cut_off_counts_as_wrong(terms: Terms | SafetyTerms) -> None:
    stopped = contract(terms)
    assert stopped.lost() == stopped
    pending = (2.25, 1)[: len(stopped.sides)]
    lost = replace(stopped, pending=pending).lost()
    for side, before, weight in zip(lost.sides, stopped.sides, pending, strict=True):
        assert side.account.seen.weight_wrong == pytest.approx(weight)
        # of what was answered here, too, though an end of the gateway is no change of the model
        assert side.account.answered.weight_wrong == pytest.approx(weight)
        assert side.watch == before.watch
    assert not any(lost.pending)


def test_a_right_call_of_the_other_side_weighs_no_more_than_one_for_the_watch() -> None:
    guard = contract(SafetyTerms(missed=0.1, wrongly=0.1, confidence=0.95))
    flagged = flip(guard, 0.95)
    for _ in range(3):
        guard = guard.see(flagged, (None, True))
    # the flagging side takes up what passes, which is checked less
    passed = replace(flip(guard, 0.05), nominal=(0.02, 0.05), chance=0.02)
    assert all(total > 0 for total in guard.see(passed, judged(passed.acts, unsafe=False)).sides[1].watch.sums)


@KINDS
def test_answers_of_another_form_begin_accounts_anew_where_there_is_evidence(terms: Terms | SafetyTerms) -> None:
    upper = Form(case="upper")
    reformed = contract(terms).reformed(upper)
    assert (set(reformed.alarms), set(reformed.phases), reformed.form) == ({1}, {Phase.SHADOW}, upper)
    assert flip(reformed, 0.9).form == upper
    assert "have the form 'LABEL'" in reformed.sides[0].reason
    untried = Contract.new(terms).reformed(upper)
    assert (set(untried.alarms), untried.form, untried.spent) == ({0}, upper, False)


def test_thresholds_are_chosen_from_known_calls_and_from_those_of_training() -> None:
    rows: list[ScoreRow] = [(number / 1000, 1.0, number < 400) for number in range(1000)]
    assert Contract.new(RULE).choose(rows, ()).sides[0].threshold is None
    seen = replace(Contract.new(RULE), known=EVERY)
    (rule,) = seen.choose(rows, ()).sides
    assert rule.threshold == pytest.approx(0.42, abs=0.1)
    assert seen.choose((), rows).sides == (rule,)
    # unsafe texts are those of high scores
    unsafe: list[ScoreRow] = [(score, weight, not low) for score, weight, low in rows]
    passes, flags = Contract.new(GUARD).choose(unsafe, ()).sides
    assert 0.55 < (passes.threshold or 0) < 0.7
    assert 0.35 < (flags.threshold or 0) < 0.5
    for terms in (RULE, GUARD):
        assert {side.threshold for side in contract(terms).choose((), ()).sides} == {None}
    # where even the most certain are often wrong there is none
    coins = [(number / 1000, 1.0, number % 2 == 0) for number in range(1000)]
    assert Contract.new(RULE).choose(coins, ()).sides[0].threshold is None
