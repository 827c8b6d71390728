import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc, betaincc, betaln

from gateway.contracts.evidence import against_at_least, against_at_most, weighted_against_at_least

TARGETS = st.sampled_from([0.005, 0.02, 0.08, 0.3])


@given(TARGETS, st.integers(0, 400), st.integers(0, 400))
def test_no_pair_is_expected_to_add_evidence_against_the_target_itself(target: float, pairs: int, wrong: int) -> None:
    """A supermartingale: at a rate of the very target, the next pair changes neither evidence on average."""
    wrong = min(wrong, math.ceil(3 * target * pairs))
    for against in (against_at_least, against_at_most):
        before = math.exp(against(pairs, wrong, target))
        after = target * math.exp(against(pairs + 1, wrong + 1, target)) + (1 - target) * math.exp(
            against(pairs + 1, wrong, target)
        )
        assert after == pytest.approx(before, rel=1e-6, abs=1e-9)


def test_many_counts_at_once_are_as_each_alone() -> None:
    pairs, wrong = np.array([10, 200, 3000]), np.array([0, 3, 70])
    for against in (against_at_least, against_at_most):
        alone = [against(int(n), int(x), 0.02) for n, x in zip(pairs, wrong, strict=True)]
        assert against(pairs, wrong, 0.02) == pytest.approx(alone)


@given(st.sampled_from([0.005, 0.02, 0.08, 0.3]), st.integers(0, 20_000), st.floats(0, 2))
def test_evidence_is_that_of_scipys_functions(target: float, pairs: int, times: float) -> None:
    wrong = min(pairs, round(times * target * pairs))
    whole = betaln(0.5 + wrong, 1 + pairs - wrong) - betaln(0.5, 1)
    ratio = whole - wrong * math.log(target) - (pairs - wrong) * math.log1p(-target)
    for against, share in ((against_at_least, betainc), (against_at_most, betaincc)):
        # scipy's shares lose digits, then vanish
        if (part := share(0.5 + wrong, 1 + pairs - wrong, target)) > 1e-200:
            expected = math.log(part / share(0.5, 1, target)) + ratio
            assert against(pairs, wrong, target) == pytest.approx(expected, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(("pairs", "wrong"), [(1, 0), (1, 1), (200, 0), (800, 6), (2000, 19), (2000, 60)])
def test_pairs_that_were_sure_to_be_seen_weigh_as_without_weights(pairs: int, wrong: int) -> None:
    found = weighted_against_at_least(np.array([pairs]), np.array([wrong]), 0.02, chance=[1], least=[1])
    assert float(found) == pytest.approx(against_at_least(pairs, wrong, 0.02), abs=0.15)


@given(st.floats(0.01, 0.3), st.floats(0.05, 1), st.floats(0, 1))
def test_a_pair_wins_nothing_on_average_where_the_rate_is_the_target(target: float, rate: float, sure: float) -> None:
    # one call: sure ones are seen with the coin's chance, the others always; the target is their rate on the whole
    kinds = {"chance": [rate, 1.0], "least": [rate, rate]}
    won = sure * (1 - rate)
    for kind, share in ((0, sure * rate), (1, 1 - sure)):
        for wrong, chance in ((1, target), (0, 1 - target)):
            pairs, errors = np.eye(2, dtype=int)[kind], np.eye(2, dtype=int)[kind] * wrong
            won += share * chance * float(np.exp(weighted_against_at_least(pairs, errors, target, **kinds)))
    assert won == pytest.approx(1)
