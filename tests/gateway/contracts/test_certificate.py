import pytest

from gateway.contracts.certificate import Attempt


def attempt(*thresholds: float, number: int = 1) -> Attempt:
    return Attempt.begin(thresholds, number=number, target=0.05, confidence=0.95)


def see(attempt: Attempt, confidence: float, pairs: int, *, agrees: bool = True) -> Attempt:
    for _ in range(pairs):
        attempt = attempt.see(confidence, agrees=agrees)
    return attempt


def test_a_lower_threshold_waits_for_the_stricter_one() -> None:
    found = see(attempt(0.9, 0.5), 0.7, 300)
    assert found.rungs[1].proven
    assert found.certified is None
    assert see(found, 0.95, 100).certified == see(found, 0.95, 100).rungs[1]


def test_what_was_certified_stays_so_in_its_attempt() -> None:
    found = see(see(attempt(0.9), 0.95, 200), 0.95, 50, agrees=False)
    assert found.certified is not None


def test_each_attempt_asks_for_more() -> None:
    assert see(attempt(0.9), 0.95, 90).certified is not None
    assert see(attempt(0.9, number=5), 0.95, 90).certified is None


@pytest.mark.parametrize("thresholds", [(), (0.5, 0.9), (0.9, 0.9)])
def test_thresholds_must_fall(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="each below the one before"):
        attempt(*thresholds)
