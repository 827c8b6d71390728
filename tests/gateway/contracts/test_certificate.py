import numpy as np
import pytest

from gateway.contracts.bounds import spend
from gateway.contracts.certificate import Attempt, ladder
from gateway.contracts.evidence import against_at_least


def attempt(*thresholds: float, number: int = 1) -> Attempt:
    return Attempt.begin(thresholds, number=number, target=0.05, confidence=0.95)


def see(attempt: Attempt, confidence: float, pairs: int, *, agrees: bool = True) -> Attempt:
    for _ in range(pairs):
        attempt = attempt.see(confidence, agrees=agrees)
    return attempt


def test_a_threshold_counts_what_reaches_it() -> None:
    found = see(see(attempt(0.9, 0.5), 0.9, 3), 0.7, 2, agrees=False)
    assert [(rung.pairs, rung.wrong) for rung in found.rungs] == [(3, 0), (5, 2)]


def test_certified_by_the_pair_whose_evidence_suffices() -> None:
    enough = next(n for n in range(1, 200) if against_at_least(n, 0, 0.05) >= -np.log(spend(0.05, 1)))
    before = see(attempt(0.9), 0.95, enough - 1)
    assert before.certified is None
    after = before.see(0.95, agrees=True)
    assert after.certified == after.rungs[0]


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


def test_a_ladder_leads_from_what_is_quickest_down_to_the_target() -> None:
    chance = np.random.default_rng(0)
    confidences = chance.random(4000)
    agrees = chance.random(4000) > 0.2 * (1 - confidences)
    found = ladder(confidences.tolist(), agrees.tolist(), target=0.05, alpha=0.03)
    assert 2 <= len(found) <= 12
    assert list(found) == sorted(found, reverse=True)
    # disagreement above a threshold t is 0.1 (1 - t): the target lies at one half
    assert found[-1] == pytest.approx(0.5, abs=0.15)
    assert found[0] > 0.6


def test_no_ladder_where_nothing_is_good_enough() -> None:
    assert ladder([], [], target=0.05, alpha=0.03) == ()
    assert ladder([0.9] * 100, [False] * 100, target=0.05, alpha=0.03) == ()


def test_equal_confidences_are_one_threshold() -> None:
    assert ladder([0.9] * 200, [True] * 200, target=0.05, alpha=0.03) == (0.9,)
