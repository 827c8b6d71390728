"""What is expected of a contract, held against the attempt, the detector and the sides that will decide."""

import math
import random
from collections.abc import Callable, Sequence

import pytest

from gateway.contracts.bets import Evidence
from gateway.contracts.bound import BoundRung, Side
from gateway.contracts.bounds import spend
from gateway.contracts.certificate import Attempt
from gateway.contracts.contract import Contract, Phase
from gateway.contracts.detector import AlarmDetector
from gateway.contracts.forecast import outlook, until_alarm, until_certificate
from gateway.contracts.safety_forecast import Elsewhere, side_outlook, until_certified, until_live, until_withdrawn
from gateway.rules.terms import Terms
from tests.conftest import Simulation

DAY = 86400.0
HEAVIEST = 20.0
TERMS = Terms(target=0.05, confidence=0.95)
ATTEMPT = Attempt.begin([0.8], number=1, target=0.05, confidence=0.95)
Forecast = Callable[..., None]


@pytest.fixture
def forecast(simulation: Simulation) -> Forecast:
    """Holds a forecast's median against the limits of the simulated one, with a share `rel` to either side."""

    def check(median: float, count: Callable[[random.Random], float], *, rel: float, streams: int = 60) -> None:
        chance = random.Random(2)
        low, high = simulation.median_limits([count(chance) for _ in range(simulation.streams(streams))])
        assert low * (1 - rel) - 2 <= median <= high * (1 + rel) + 2

    return check


@pytest.mark.parametrize("rate", [0.0, 0.01])
def test_a_certificate_comes_when_forecast(forecast: Forecast, rate: float) -> None:
    def pairs(chance: random.Random) -> float:
        attempt, count = ATTEMPT, 0
        while attempt.certified is None:
            attempt, count = attempt.see(0.9, agrees=chance.random() >= rate), count + 1
        return count

    certificate = until_certificate(0.05, rate, spend(0.05, 1))
    assert certificate.most >= certificate.median
    forecast(certificate.median, pairs, rel=0.05)


@pytest.mark.parametrize("target", [0.02, 0.05])
def test_an_alarm_comes_when_forecast(forecast: Forecast, target: float) -> None:
    def audits(chance: random.Random) -> float:
        detector = AlarmDetector(target=target)
        while not detector.alarmed:
            detector = detector.see(agrees=chance.random() >= 2 * target)
        return detector.audits

    forecast(until_alarm(target, 2 * target).median, audits, rel=0.1)


def test_audits_come_down_to_what_notices_in_time() -> None:
    contract = Contract(terms=TERMS, phase=Phase.LIVE, threshold=0.8, detector=AlarmDetector(target=0.05))
    busy = outlook(contract, calls=20_000, surer=10_000, days=2.0, notice_s=7 * DAY)
    idle = outlook(contract, calls=20, surer=10, days=2.0, notice_s=7 * DAY)
    assert busy.audits_a_day is not None
    assert idle.audits_a_day == pytest.approx(5 * 0.2)
    assert busy.alarm.median / busy.audits_a_day < 7
    assert (busy.certificate, busy.seen) == (None, None)


def side(*rungs: tuple[float, float]) -> Side:
    """One with a running attempt. rungs: (calls, wrong) so far, the strictest first."""
    tried = tuple(
        BoundRung(threshold=0.9 - 0.1 * number, evidence=Evidence(target=0.05), calls=calls, wrong=wrong)
        for number, (calls, wrong) in enumerate(rungs)
    )
    return Side(target=0.05, confidence=0.975, heaviest=HEAVIEST, attempts=1, rungs=tried)


def live() -> Side:
    one = side((0, 0))
    while one.rungs:
        one = one.see(0.0, 1.0, threshold=None)
    return one


@pytest.mark.parametrize(
    ("begun", "rates"),
    [
        (side((0, 0)), [0.0]),
        (side((0, 0)), [0.0125]),
        # the estimates are a quarter, a half and three quarters of the target
        (side((40, 0), (40, 1), (40, 2)), [0.0125, 0.025, 0.0375]),
    ],
    ids=["without errors", "one threshold", "three thresholds"],
)
def test_a_side_goes_live_when_forecast(forecast: Forecast, begun: Side, rates: Sequence[float]) -> None:
    def calls(chance: random.Random) -> float:
        """Until it is live, where so many are wrong at each threshold; infinite where the attempt is given up."""
        one, count = begun, 0
        while one.rungs:
            drawn = chance.random()
            certainty = next((rung.threshold for rung, rate in zip(one.rungs, rates, strict=True) if drawn < rate), 0.0)
            one, count = one.see(certainty, 1.0, threshold=None), count + 1
        return count if one.phase is Phase.LIVE else math.inf

    expected = until_live(begun) if len(rates) > 1 else until_certified(0.05, rates[0], spend(0.025, 1))
    assert expected.most >= expected.median
    forecast(expected.median, calls, rel=0.05)
    assert until_certified(0.05, 0.06, 0.025).median == math.inf


@pytest.mark.parametrize("elsewhere", [Elsewhere(), Elsewhere(share=0.5, weight=8.0)])
def test_a_side_is_withdrawn_when_forecast(forecast: Forecast, elsewhere: Elsewhere) -> None:
    begun = live()

    def calls(chance: random.Random) -> float:
        one, count = begun, 0
        while one.threshold is not None:
            count += 1
            wrong = chance.random() < 2 * one.target
            weight = HEAVIEST if wrong else elsewhere.weight if chance.random() < elsewhere.share else 1.0
            if chance.random() < 1 / weight:
                one = one.see(1.0 if wrong else 0.0, weight, threshold=one.threshold)
        return count

    forecast(until_withdrawn(0.05, HEAVIEST, elsewhere).median, calls, rel=0.1, streams=100)


def test_a_sides_outlook_follows_its_phase() -> None:
    new = side_outlook(Side(target=0.05, confidence=0.975, heaviest=HEAVIEST), Elsewhere())
    assert (new.ordering, new.rung, list(new.certificate)) == (80, None, [0.0, 0.0125, 0.025])
    # with those that order, what docs/contract.md says
    assert new.ordering + new.certificate[0.0].median == 184
    certified = side_outlook(live(), Elsewhere())
    assert (certified.ordering, certified.rung, certified.certificate) == (0, None, {})
    assert math.isfinite(certified.alarm.median)
