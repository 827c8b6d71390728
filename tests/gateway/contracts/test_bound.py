"""One side of a safety contract: what moves it from phase to phase, and what says nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts.bets import Alarm, Evidence, bets_above, bets_below
from gateway.contracts.bound import Side
from gateway.contracts.contract import Phase

NEW = Side(target=0.05, confidence=0.975, heaviest=20.0)


def through(side: Side, certainties: list[float | None], *, weight: float = 1.0) -> Side:
    for certainty in certainties:
        side = side.see(certainty, weight, threshold=side.threshold)
    return side


def lived() -> Side:
    side = through(NEW, [0.1] * 80)
    while side.phase is not Phase.LIVE:
        side = through(side, [0.1])
    return side


Kinds = list[tuple[float, float, bool]]
"""(how often, weight, whether it is wrong): of calls of weight w one in w is judged."""


def expected(bet: float, target: float, kinds: Kinds, sign: int) -> float:
    """The mean of what a bet is multiplied by over all calls, judged or not."""
    return sum(
        often * ((1 + sign * bet * weight * (wrong - target)) / weight + (1 - 1 / weight))
        for often, weight, wrong in kinds
    )


@given(target=st.floats(0.001, 0.5), split=st.floats(0.0, 1.0), one=st.floats(1.0, 20.0), other=st.floats(1.0, 20.0))
def test_at_the_target_no_bet_wins_or_loses_on_average(target: float, split: float, one: float, other: float) -> None:
    right: Kinds = [((1 - target) * split, one, False), ((1 - target) * (1 - split), other, False)]
    for bet in bets_below(target):
        assert expected(bet, target, [(target, 1.0, True), *right], -1) == pytest.approx(1)
    for bet in bets_above(target, 20.0):
        assert expected(bet, target, [(target, one, True), *right], 1) == pytest.approx(1)


@given(st.floats(0.001, 0.5), st.floats(1.0, 100.0))
def test_no_right_call_can_lose_all(target: float, heaviest: float) -> None:
    assert all(1 - bet * heaviest * target > 0 for bet in bets_above(target, heaviest))
    assert all(1 - bet * (1 - target) > 0 for bet in bets_below(target))


def test_a_weight_that_breaks_the_promise_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be wrong"):
        Evidence(target=0.05).see(wrong=True, weight=2.0)
    with pytest.raises(ValueError, match="beyond"):
        Alarm(target=0.05, heaviest=20.0).see(wrong=False, weight=21.0)


def test_it_acts_on_nothing_until_it_is_certified() -> None:
    side = through(NEW, [0.1] * 80)
    assert (side.phase, side.attempts, len(side.ordering)) == (Phase.SHADOW, 1, 0)
    assert not side.acts(1.0)
    live = lived()
    assert live.phase is Phase.LIVE
    assert live.threshold is not None
    assert live.threshold > 0.1
    assert (live.acts(1.0), live.acts(0.1), live.acts(None)) == (True, False, False)
    assert "certified at" in live.reason


def test_calls_chosen_under_another_threshold_say_nothing() -> None:
    live = lived()
    assert live.see(1.0, 1.0, threshold=None) == replace(live, calls=live.calls + 1)


def test_where_the_most_certain_are_wrong_no_attempt_begins() -> None:
    side = through(Side(target=0.05, confidence=0.975, heaviest=20.0), [1.0] * 80)
    assert (side.rungs, side.attempts, len(side.ordering)) == ((), 0, 40)
    assert side.reason.startswith("no threshold is worth an attempt: of 80 calls")


def test_what_was_seen_for_ordering_certifies_nothing() -> None:
    side = through(NEW, [0.1] * 80)
    assert all(rung.calls == 0 for rung in side.rungs)


def test_errors_withdraw_it_and_it_begins_anew() -> None:
    live = lived()
    steady = through(live, [0.1] * 300)
    assert steady.phase is Phase.LIVE
    failed = steady
    while failed.phase is Phase.LIVE:
        failed = through(failed, [1.0, 0.1, 0.1])
    assert (failed.phase, failed.threshold, failed.alarm) == (Phase.DEMOTED, None, None)
    assert "where at most 5.0% may be" in failed.reason
    assert failed.calls - steady.calls < 60
    again = through(failed, [0.1] * 80)
    assert (again.phase, again.attempts) == (Phase.SHADOW, 2)


def test_a_bound_that_cannot_hold_is_given_up() -> None:
    side = through(NEW, [0.1] * 80)
    while side.rungs:
        side = through(side, [1.0, *[0.1] * 5])
    assert (side.phase, side.threshold) == (Phase.SHADOW, None)
    assert "no certificate" in side.reason


def test_no_verdict_counts_against_and_never_for() -> None:
    live = lived()
    assert live.see(0.1, 1.0, threshold=live.threshold, unknown=True) == replace(live, calls=live.calls + 1)
    assert live.alarm is not None
    counted = live.see(1.0, 1.0, threshold=live.threshold, unknown=True).alarm
    assert counted is not None
    assert counted.wrong == live.alarm.wrong + 1
