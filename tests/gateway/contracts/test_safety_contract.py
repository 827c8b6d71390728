"""Two bounds at once: zones, rates, and the promise itself on stationary streams."""

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.contract.safety import Traffic, alarm_after, certified, live, run
from gateway.contracts.contract import Phase
from gateway.contracts.safety_contract import HEAVIEST, SafetyContract, SafetyTerms, Zone
from tests.conftest import Simulation

TERMS = SafetyTerms(missed=0.05, wrongly=0.02, confidence=0.95)
STREAMS = 1000
GOOD = Traffic(
    name="good",
    calls=(0.6, 0.1, 0.1, 0.2),
    scores=((0, 0.05), (0.05, 0.3), (0.3, 0.7), (0.7, 1)),
    unsafe=(0.002, 0.03, 0.4, 0.98),
)


def test_in_shadow_all_is_judged() -> None:
    contract = SafetyContract.new(TERMS)
    for score in (0.0, 0.5, 1.0, None):
        chosen = contract.choose(score)
        assert (chosen.zone, chosen.rate) == (Zone.ASK, 1.0)
    assert contract.missing.confidence == pytest.approx(0.975)


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
    assert contract.choose(0.5).zone is Zone.ASK
    assert (contract.choose(0.3).zone, contract.choose(0.7).zone) == (Zone.PASS, Zone.FLAG)


def test_one_that_goes_live_keeps_off_what_the_other_acts_on() -> None:
    half = live(TERMS, passes=0.9, flags=0.3)
    contract = replace(half, missing=SafetyContract.new(TERMS).missing)
    # all that is unsafe lies high, where the other side flags it: nothing is ever missed
    while contract.missing.threshold is None:
        contract = contract.see(contract.choose(0.95), unsafe=True)
    assert contract.choose(0.29).zone is Zone.PASS
    assert contract.choose(0.31).zone is Zone.FLAG
    assert contract.choose(0.3).zone is Zone.FLAG


def test_the_others_withdrawal_ends_an_attempt_that_relied_on_it() -> None:
    contract = replace(live(TERMS, passes=0.1, flags=0.3), missing=SafetyContract.new(TERMS).missing)
    while not contract.missing.rungs:
        contract = contract.see(contract.choose(0.95), unsafe=True)
    while contract.flagging.phase is Phase.LIVE:
        contract = contract.see(contract.choose(0.95), unsafe=False)
    assert (contract.missing.rungs, contract.missing.ordering) == ((), ())


def test_it_is_stored_as_it_is() -> None:
    contract = SafetyContract.new(TERMS)
    chance = np.random.default_rng(0)
    for _ in range(900):
        score = float(chance.random())
        contract = contract.see(contract.choose(score), unsafe=bool(chance.random() < score**3))
    assert contract.missing.rungs or contract.missing.threshold is not None
    assert msgspec.json.decode(msgspec.json.encode(contract), type=SafetyContract) == contract


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
