"""What is expected of a contract, held against the attempt and the detector that will decide."""

import math
import random

import pytest

from gateway.contracts.bounds import spend
from gateway.contracts.certificate import Attempt
from gateway.contracts.contract import Contract, Phase, Terms
from gateway.contracts.detector import AlarmDetector
from gateway.contracts.forecast import outlook, until_alarm, until_certificate
from tests.conftest import Simulation

DAY = 86400.0
TERMS = Terms(target=0.05, confidence=0.95)


def pairs_of_an_attempt(rate: float, chance: random.Random, attempt: Attempt) -> int:
    count = 0
    while attempt.certified is None:
        attempt = attempt.see(0.9, agrees=chance.random() >= rate)
        count += 1
    return count


def attempt(number: int = 1) -> Attempt:
    return Attempt.begin([0.8], number=number, target=0.05, confidence=0.95)


@pytest.mark.parametrize("rate", [0.0, 0.01])
def test_a_certificate_comes_when_forecast(simulation: Simulation, rate: float) -> None:
    chance = random.Random(1)
    pairs = [pairs_of_an_attempt(rate, chance, attempt()) for _ in range(simulation.streams(60))]
    low, high = simulation.median_limits(pairs)
    forecast = until_certificate(0.05, rate, spend(0.05, 1))
    assert low * 0.95 - 2 <= forecast.median <= high * 1.05 + 2
    assert forecast.most >= forecast.median


@pytest.mark.parametrize("target", [0.02, 0.05])
def test_an_alarm_comes_when_forecast(simulation: Simulation, target: float) -> None:
    chance = random.Random(2)
    audits = []
    for _ in range(simulation.streams(60)):
        detector = AlarmDetector(target=target)
        while not detector.alarmed:
            detector = detector.see(agrees=chance.random() >= 2 * target)
        audits.append(detector.audits)
    low, high = simulation.median_limits(audits)
    assert low * 0.9 <= until_alarm(target, 2 * target).median <= high * 1.1


def test_under_a_day_there_is_no_volume() -> None:
    contract = Contract(terms=TERMS, attempt=attempt(), attempts=1, pairs=240)
    found = outlook(contract, calls=240, surer=120, days=0.5, notice_s=7 * DAY)
    assert found.calls_a_day is None
    assert found.certificate is not None


def test_a_threshold_that_no_call_reaches_is_never_certified() -> None:
    contract = Contract(terms=TERMS, attempt=attempt(), attempts=1, pairs=240)
    found = outlook(contract, calls=240, surer=0, days=2.0, notice_s=7 * DAY)
    assert found.certificate is not None
    assert found.certificate.median == math.inf


def test_audits_come_down_to_what_notices_in_time() -> None:
    contract = Contract(terms=TERMS, phase=Phase.LIVE, threshold=0.8, detector=AlarmDetector(target=0.05))
    busy = outlook(contract, calls=20_000, surer=10_000, days=2.0, notice_s=7 * DAY)
    idle = outlook(contract, calls=20, surer=10, days=2.0, notice_s=7 * DAY)
    assert busy.audits_a_day is not None
    assert idle.audits_a_day == pytest.approx(5 * 0.2)
    assert busy.alarm.median / busy.audits_a_day < 7
    assert (busy.certificate, busy.seen) == (None, None)
