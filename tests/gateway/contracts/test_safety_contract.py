"""Two bounds at once: what moves a side, zones, rates, and the promise itself on stationary streams."""

import math
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.contract.safety import Traffic, alarm_after, certified, live, run
from gateway.contracts.bound import Side
from gateway.contracts.contract import Phase
from gateway.contracts.safety_contract import HEAVIEST, SafetyContract, Zone
from gateway.rules.terms import SafetyTerms
from tests.conftest import Simulation

TERMS = SafetyTerms(missed=0.05, wrongly=0.02, confidence=0.95)
NEW = SafetyContract.new(TERMS)
STREAMS = 1000
GOOD = Traffic(
    name="good",
    calls=(0.6, 0.1, 0.1, 0.2),
    scores=((0, 0.05), (0.05, 0.3), (0.3, 0.7), (0.7, 1)),
    unsafe=(0.002, 0.03, 0.4, 0.98),
)


def through(side: Side, certainties: Sequence[float]) -> Side:
    for certainty in certainties:
        side = side.see(certainty, 1.0, threshold=side.threshold)
    return side


def certified_side() -> Side:
    side = through(NEW.missing, [0.1] * 80)
    # what was seen for ordering certifies nothing
    assert (side.phase, side.attempts, len(side.ordering), side.acts(1.0)) == (Phase.SHADOW, 1, 0, False)
    assert all(rung.calls == 0 for rung in side.rungs)
    while side.phase is not Phase.LIVE:
        side = through(side, [0.1])
    return side


def test_a_certified_side_acts_above_its_threshold_and_counts_what_was_chosen_under_it() -> None:
    side = certified_side()
    assert (side.acts(1.0), side.acts(0.1), side.acts(None)) == (True, False, False)
    assert side.see(1.0, 1.0, threshold=None) == replace(side, calls=side.calls + 1)
    # without a verdict a call counts against it and never for it
    assert side.see(0.1, 1.0, threshold=side.threshold, unknown=True) == replace(side, calls=side.calls + 1)
    counted = side.see(1.0, 1.0, threshold=side.threshold, unknown=True).alarm
    assert counted is not None
    assert side.alarm is not None
    assert counted.wrong == side.alarm.wrong + 1


def test_errors_withdraw_a_side_and_it_begins_anew() -> None:
    steady = failed = through(certified_side(), [0.1] * 300)
    assert steady.phase is Phase.LIVE
    while failed.phase is Phase.LIVE:
        failed = through(failed, [1.0, 0.1, 0.1])
    assert (failed.phase, failed.threshold, failed.alarm) == (Phase.DEMOTED, None, None)
    assert failed.calls - steady.calls < 60
    again = through(failed, [0.1] * 80)
    assert (again.phase, again.attempts) == (Phase.SHADOW, 2)
    # an attempt without hope is given up, and where the most certain are wrong none begins
    while again.rungs:
        again = through(again, [1.0, *[0.1] * 5])
    assert (again.phase, again.threshold) == (Phase.SHADOW, None)
    wrong = through(NEW.missing, [1.0] * 80)
    assert (wrong.rungs, wrong.attempts, len(wrong.ordering)) == ((), 0, 40)


def test_in_shadow_all_is_judged() -> None:
    for score in (0.0, 0.5, 1.0, None):
        chosen = NEW.choose(score)
        assert (chosen.zone, chosen.rate) == (Zone.ASK, 1.0)


@given(st.floats(0, 1), st.floats(0.01, 0.49), st.floats(0.5, 0.99))
def test_zones_and_rates(score: float, passes: float, flags: float) -> None:
    chosen = live(TERMS, passes=passes, flags=flags).choose(score)
    assert 1 / HEAVIEST <= chosen.rate <= 1
    if chosen.zone is Zone.ASK:
        assert chosen.rate == 1
        assert passes <= score + 1e-9
        assert score <= flags + 1e-9
    else:
        assert chosen.rate <= 0.3
        assert score <= passes + 1e-9 if chosen.zone is Zone.PASS else score >= flags


def test_what_is_nearer_to_the_threshold_is_audited_more_often() -> None:
    contract = live(TERMS, passes=0.4, flags=0.8)
    assert contract.choose(0.39).rate > contract.choose(0.1).rate > contract.choose(0.001).rate == 1 / HEAVIEST
    assert contract.choose(0.81).rate > contract.choose(0.95).rate > contract.choose(1.0).rate == 1 / HEAVIEST
    assert contract.choose(None).rate == 1.0


def test_where_both_would_act_the_judge_is_asked() -> None:
    contract = live(TERMS, passes=0.6, flags=0.4)
    assert [contract.choose(score).zone for score in (0.3, 0.5, 0.7)] == [Zone.PASS, Zone.ASK, Zone.FLAG]


def test_one_that_goes_live_keeps_off_what_the_other_acts_on() -> None:
    contract = replace(live(TERMS, passes=0.9, flags=0.3), missing=NEW.missing)
    # all that is unsafe lies high, where the other side flags it: nothing is ever missed
    while contract.missing.threshold is None:
        contract = contract.see(contract.choose(0.95), unsafe=True)
    assert [contract.choose(score).zone for score in (0.29, 0.3, 0.31)] == [Zone.PASS, Zone.FLAG, Zone.FLAG]


def test_the_others_withdrawal_ends_an_attempt_that_relied_on_it() -> None:
    contract = replace(live(TERMS, passes=0.1, flags=0.3), missing=NEW.missing)
    while not contract.missing.rungs:
        contract = contract.see(contract.choose(0.95), unsafe=True)
    assert msgspec.json.decode(msgspec.json.encode(contract), type=SafetyContract) == contract
    while contract.flagging.phase is Phase.LIVE:
        contract = contract.see(contract.choose(0.95), unsafe=False)
    assert (contract.missing.rungs, contract.missing.ordering) == ((), ())


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 20.0), (1.0, 3.0, 20.0)])
@pytest.mark.parametrize("target", [0.05, 0.02])
def test_a_bound_that_does_not_hold_is_hardly_ever_certified(
    simulation: Simulation, target: float, weights: tuple[float, ...]
) -> None:
    streams = simulation.streams(STREAMS)
    violates = certified(
        share=1.01 * target, target=target, alpha=0.05, weights=weights, calls=1000, streams=streams, seed=3
    )
    assert simulation.share_limits(violates.tolist())[0] <= 0.05


def test_a_bound_that_holds_is_certified(simulation: Simulation) -> None:
    streams = simulation.streams(200)
    runs = certified(share=0.01, target=0.05, alpha=0.025, weights=(1.0, 20.0), calls=800, streams=streams, seed=4)
    assert simulation.share_limits(runs.tolist())[1] > 0.9


def test_the_whole_contract_keeps_both_bounds(simulation: Simulation) -> None:
    runs = [run(GOOD, TERMS, calls=2500, seed=seed) for seed in range(simulation.streams(60, least=10))]
    assert simulation.share_limits([stream.violates for stream in runs])[0] <= 0.05
    assert simulation.median_limits([stream.live[1] for stream in runs])[0] < 2000
    assert simulation.median_limits([stream.alone for stream in runs])[1] > 0.15


def test_a_change_for_the_worse_is_noticed(simulation: Simulation) -> None:
    worse = replace(GOOD, unsafe=(0.1, 0.3, 0.4, 0.98))
    contract = live(TERMS, passes=0.1, flags=0.9)
    calls = [alarm_after(worse, contract, calls=4000, seed=seed) for seed in range(simulation.streams(10, least=3))]
    assert max(calls) < math.inf
