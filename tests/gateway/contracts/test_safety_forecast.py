"""What is expected of a safety contract's sides, held against the sides that will decide."""

import math
import random
from collections.abc import Sequence

import pytest

from gateway.contracts.bets import Evidence
from gateway.contracts.bound import BoundRung, Side
from gateway.contracts.bounds import spend
from gateway.contracts.contract import Phase
from gateway.contracts.safety_forecast import Elsewhere, side_outlook, until_certified, until_live, until_withdrawn
from tests.conftest import Simulation

HEAVIEST = 20.0


def side(*rungs: tuple[float, float]) -> Side:
    """One with a running attempt. rungs: (calls, wrong) so far, the strictest first."""
    tried = tuple(
        BoundRung(threshold=0.9 - 0.1 * number, evidence=Evidence(target=0.05), calls=calls, wrong=wrong)
        for number, (calls, wrong) in enumerate(rungs)
    )
    return Side(target=0.05, confidence=0.975, heaviest=HEAVIEST, attempts=1, rungs=tried)


def took(one: Side, rates: Sequence[float], chance: random.Random) -> float:
    """Calls until it is live, where so many are wrong at each threshold; infinite where the attempt is given up."""
    count = 0
    while one.rungs:
        drawn = chance.random()
        certainty = next((rung.threshold for rung, rate in zip(one.rungs, rates, strict=True) if drawn < rate), 0.0)
        one = one.see(certainty, 1.0, threshold=None)
        count += 1
    return count if one.phase is Phase.LIVE else math.inf


def assert_forecast(simulation: Simulation, median: float, calls: Sequence[float], *, rel: float) -> None:
    """The forecast's median lies within the limits of the simulated one, and a share `rel` of them."""
    low, high = simulation.median_limits(calls)
    assert low * (1 - rel) - 2 <= median <= high * (1 + rel) + 2


@pytest.mark.parametrize("rate", [0.0, 0.0125])
def test_one_threshold_is_certified_when_forecast(simulation: Simulation, rate: float) -> None:
    chance = random.Random(1)
    calls = [took(side((0, 0)), [rate], chance) for _ in range(simulation.streams(60))]
    forecast = until_certified(0.05, rate, spend(0.025, 1))
    assert_forecast(simulation, forecast.median, calls, rel=0.05)
    assert forecast.most >= forecast.median


def test_a_ladder_goes_live_when_forecast(simulation: Simulation) -> None:
    """The estimates are a quarter, a half and three quarters of the target."""
    begun = side((40, 0), (40, 1), (40, 2))
    chance = random.Random(2)
    calls = [took(begun, [0.0125, 0.025, 0.0375], chance) for _ in range(simulation.streams(60))]
    assert_forecast(simulation, until_live(begun).median, calls, rel=0.05)


def test_what_is_wrong_too_often_is_given_up() -> None:
    assert until_certified(0.05, 0.06, 0.025).median == math.inf


@pytest.mark.parametrize("elsewhere", [Elsewhere(), Elsewhere(share=0.5, weight=8.0)])
def test_an_alarm_comes_when_forecast(simulation: Simulation, elsewhere: Elsewhere) -> None:
    chance = random.Random(3)
    live = _live()
    calls = [_until_withdrawn(live, elsewhere, chance) for _ in range(simulation.streams(100))]
    assert_forecast(simulation, until_withdrawn(0.05, HEAVIEST, elsewhere).median, calls, rel=0.1)


def _live() -> Side:
    one = side((0, 0))
    while one.rungs:
        one = one.see(0.0, 1.0, threshold=None)
    return one


def _until_withdrawn(one: Side, elsewhere: Elsewhere, chance: random.Random) -> int:
    count = 0
    while one.threshold is not None:
        count += 1
        wrong = chance.random() < 2 * one.target
        weight = HEAVIEST if wrong else elsewhere.weight if chance.random() < elsewhere.share else 1.0
        if chance.random() < 1 / weight:
            one = one.see(1.0 if wrong else 0.0, weight, threshold=one.threshold)
    return count


def test_before_an_attempt_several_shares_are_told() -> None:
    found = side_outlook(Side(target=0.05, confidence=0.975, heaviest=HEAVIEST), Elsewhere())
    assert (found.ordering, found.rung) == (80, None)
    assert list(found.certificate) == [0.0, 0.0125, 0.025]
    # with those that order, what docs/contract.md tells
    assert found.ordering + found.certificate[0.0].median == 184


def test_a_live_one_has_no_certificate_to_wait_for() -> None:
    found = side_outlook(_live(), Elsewhere())
    assert (found.ordering, found.rung, found.certificate) == (0, None, {})
    assert math.isfinite(found.alarm.median)
