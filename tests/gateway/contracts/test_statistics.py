"""The statistics of contracts: evidence, bets, alarms, rates of audits, and what inconsistency leaves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc, betaincc, betaln

from gateway.contracts.bets import Alarm, Evidence, bets_above, bets_below
from gateway.contracts.bounds import spend, upper_at_any_time
from gateway.contracts.certificate import Attempt
from gateway.contracts.consistency import MOST, RepeatedAnswers, share
from gateway.contracts.detector import AlarmDetector
from gateway.contracts.evidence import against_at_least, against_at_most, weighted_against_at_least
from gateway.contracts.sampling import FRESH, LEAST, floor, live_rate
from gateway.intervals import clopper_pearson

TARGETS = st.sampled_from([0.005, 0.02, 0.08, 0.3])
SHARES = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6)


@given(st.integers(1, 2000), st.integers(0, 100))
def test_a_limit_for_any_time_is_wider_and_falls_with_each_agreement(pairs: int, wrong: int) -> None:
    wrong = min(wrong, pairs - 1)
    fixed, any_time = clopper_pearson(pairs, wrong, 0.05)[1], upper_at_any_time(pairs, wrong, 0.05)
    assert wrong / pairs < fixed <= any_time + 1e-9 <= 1 + 1e-9
    assert upper_at_any_time(pairs + 1, wrong, 0.05) <= any_time + 1e-9


def test_all_attempts_together_spend_no_more_than_there_is() -> None:
    parts = [spend(0.05, attempt) for attempt in range(1, 100_000)]
    assert math.fsum(parts) == pytest.approx(0.05, rel=1e-4)
    assert math.fsum(parts) < 0.05
    assert parts == sorted(parts, reverse=True)


@given(TARGETS, st.integers(0, 400), st.integers(0, 400))
def test_no_pair_is_expected_to_add_evidence_against_the_target_itself(target: float, pairs: int, wrong: int) -> None:
    """A supermartingale: at a rate of the very target, the next pair changes neither evidence on average."""
    wrong = min(wrong, math.ceil(3 * target * pairs))
    for against in (against_at_least, against_at_most):
        right, error = (math.exp(against(pairs + 1, wrong + number, target)) for number in (0, 1))
        before = math.exp(against(pairs, wrong, target))
        assert target * error + (1 - target) * right == pytest.approx(before, rel=1e-6, abs=1e-9)


@given(TARGETS, st.integers(0, 20_000), st.floats(0, 2))
def test_evidence_is_that_of_scipys_functions(target: float, pairs: int, times: float) -> None:
    wrong = min(pairs, round(times * target * pairs))
    whole = betaln(0.5 + wrong, 1 + pairs - wrong) - betaln(0.5, 1)
    ratio = whole - wrong * math.log(target) - (pairs - wrong) * math.log1p(-target)
    for against, part in ((against_at_least, betainc), (against_at_most, betaincc)):
        # scipy's shares lose digits, then vanish
        if (tail := part(0.5 + wrong, 1 + pairs - wrong, target)) > 1e-200:
            expected = math.log(tail / part(0.5, 1, target)) + ratio
            assert against(np.array([pairs, pairs]), np.array([wrong, wrong]), target) == pytest.approx(
                expected, rel=1e-8, abs=1e-8
            )


@given(st.floats(0.01, 0.3), st.floats(0.05, 1), st.floats(0, 1))
def test_a_pair_wins_nothing_on_average_where_the_rate_is_the_target(target: float, rate: float, sure: float) -> None:
    # one call: sure ones are seen with the coin's chance, the others always; the target is their rate on the whole
    kinds = {"chance": [rate, 1.0], "least": [rate, rate]}
    won = sure * (1 - rate)
    for kind, chance in ((0, sure * rate), (1, 1 - sure)):
        pairs = np.eye(2, dtype=int)[kind]
        for wrong, often in ((1, target), (0, 1 - target)):
            won += chance * often * float(np.exp(weighted_against_at_least(pairs, pairs * wrong, target, **kinds)))
    assert won == pytest.approx(1)


@given(target=st.floats(0.001, 0.5), split=st.floats(0.0, 1.0), one=st.floats(1.0, 20.0), other=st.floats(1.0, 20.0))
def test_at_the_target_no_bet_wins_or_loses_on_average(target: float, split: float, one: float, other: float) -> None:
    """Over all calls: of those of weight w one in w is judged. A right call can never lose all."""

    def expected(bet: float, kinds: list[tuple[float, float, bool]]) -> float:
        return sum(
            often * ((1 + bet * weight * (wrong - target)) / weight + (1 - 1 / weight))
            for often, weight, wrong in kinds
        )

    right = [((1 - target) * split, one, False), ((1 - target) * (1 - split), other, False)]
    for bet in bets_below(target):
        assert expected(-bet, [(target, 1.0, True), *right]) == pytest.approx(1)
        assert bet * (1 - target) < 1
    for bet in bets_above(target, 20.0):
        assert expected(bet, [(target, one, True), *right]) == pytest.approx(1)
        assert bet * 20.0 * target < 1


def test_a_weight_that_breaks_the_promise_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be wrong"):
        Evidence(target=0.05).see(wrong=True, weight=2.0)
    with pytest.raises(ValueError, match="beyond"):
        Alarm(target=0.05, heaviest=20.0).see(wrong=False, weight=21.0)


def test_a_lower_threshold_waits_for_the_stricter_one_and_what_was_certified_stays() -> None:
    def see(attempt: Attempt, confidence: float, pairs: int, *, agrees: bool = True) -> Attempt:
        for _ in range(pairs):
            attempt = attempt.see(confidence, agrees=agrees)
        return attempt

    lower = see(Attempt.begin((0.9, 0.5), number=1, target=0.05, confidence=0.95), 0.7, 300)
    assert (lower.rungs[1].proven, lower.certified) == (True, None)
    both = see(lower, 0.95, 100)
    assert both.certified == both.rungs[1]
    assert see(both, 0.95, 50, agrees=False).certified is not None
    for thresholds in ((), (0.5, 0.9), (0.9, 0.9)):
        with pytest.raises(ValueError, match="each below the one before"):
            Attempt.begin(thresholds, number=1, target=0.05, confidence=0.95)


@given(st.lists(st.booleans(), max_size=50), st.sampled_from([0.02, 0.1]))
def test_the_level_grows_by_no_more_than_one_an_audit_at_the_target(audits: list[bool], target: float) -> None:
    """What makes LIMIT the mean time between false alarms."""
    detector = AlarmDetector(target=target)
    for agrees in audits:
        detector = detector.see(agrees=agrees)
    if not detector.alarmed:
        expected = target * detector.see(agrees=False).level + (1 - target) * detector.see(agrees=True).level
        assert expected == pytest.approx(detector.level + 1)


def test_the_rate_of_audits_falls_to_its_floor() -> None:
    falling = [live_rate(audits, 0.02) for audits in (0, 100, 1000, 100_000, 10_000_000)]
    assert (falling[0], falling[-1]) == (pytest.approx(FRESH), 0.02)
    assert falling == sorted(falling, reverse=True)


@given(st.integers(0, 100_000), st.floats(LEAST, FRESH))
def test_a_coin_has_few_rates_and_none_much_under_the_floor(audits: int, lowest: float) -> None:
    rate = live_rate(audits, lowest)
    assert rate in {live_rate(0, step) for step in (0.01, 0.02, 0.05, 0.1, 0.2)} | {0.01, 0.02, 0.05, 0.1}
    assert rate >= 0.95 * lowest


@pytest.mark.parametrize(
    ("audits", "answered_a_day", "delay_days", "lowest"),
    [
        (735, 0, 7, FRESH),
        (735, 100, 1, FRESH),
        (735, 3000, 7, 0.035),
        (735, 10**7, 7, LEAST),
        (math.inf, 10**7, 7, FRESH),
    ],
)
def test_more_traffic_or_more_patience_needs_a_lower_floor(
    audits: float, answered_a_day: int, delay_days: int, lowest: float
) -> None:
    assert floor(audits, answered_a_day=answered_a_day, delay_days=delay_days) == pytest.approx(lowest)


@given(st.lists(SHARES, min_size=1, max_size=5))
def test_nobody_disagrees_less_than_inconsistency_leaves_room_for(texts: list[list[float]]) -> None:
    """texts: of each, how often each answer is given."""
    parts = [np.array(one) / sum(one) for one in texts]
    differ = float(np.mean([1 - (part**2).sum() for part in parts]))
    best = float(np.mean([1 - part.max() for part in parts]))
    assert 1 - math.sqrt(1 - differ) <= best + 1e-12


@pytest.mark.parametrize(
    ("asked", "differ", "target", "refused"),
    [
        (300, 30, 0.02, True),
        (300, 30, 0.08, False),
        (300, 0, 0.02, False),
        (40, 4, 0.02, False),
        (19, 19, 0.02, False),
        (20, 20, 0.02, True),
    ],
)
def test_only_what_is_out_of_reach_beyond_doubt_is_refused(
    asked: int, differ: int, target: float, *, refused: bool
) -> None:
    seen = [(0.9, number >= differ) for number in range(asked)]
    assert bool(RepeatedAnswers.of(seen).refusal(target)) is refused


def test_looking_again_and_again_refuses_no_more() -> None:
    """The target is just what is in reach: refused on at most 2.5 % of streams, looked at 29 times each."""
    inconsistent = 1 - (1 - 0.05) ** 2
    differ = (np.random.default_rng(0).random((40, MOST)) < inconsistent).cumsum(axis=1)
    looks = range(19, MOST, 10)
    refused = sum(
        any(RepeatedAnswers(asked=look + 1, differ=int(stream[look])).refusal(0.05) for look in looks)
        for stream in differ
    )
    assert refused <= 3


def test_repeats_stop_when_enough_is_known_and_go_on_where_refused() -> None:
    assert share(0.02, known=0, refused=False) == 0.02
    assert share(0.02, known=MOST, refused=False) == 0
    assert 0 < share(0.02, known=MOST, refused=True) < 0.02
