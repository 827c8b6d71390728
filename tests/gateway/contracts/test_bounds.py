import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaincinv

from gateway.contracts.bounds import (
    beta_quantile,
    clopper_pearson,
    is_rate_below,
    spend,
    upper_at_any_time,
)


@pytest.mark.parametrize(("bound", "pairs"), [(0.05, 59), (0.02, 149), (0.01, 299)])
def test_without_a_single_error_the_known_numbers_of_pairs(bound: float, pairs: int) -> None:
    """shared/facts/peers.md: zero errors seen, 95 % confidence."""
    assert clopper_pearson(pairs, 0, 0.05)[1] <= bound < clopper_pearson(pairs - 1, 0, 0.05)[1]


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(1e-9, 1 - 1e-9))
def test_quantiles_equal_those_of_scipy(a: int, b: int, share: float) -> None:
    assert beta_quantile(a, b, share) == pytest.approx(float(betaincinv(a, b, share)), abs=1e-10)


@given(st.integers(1, 3000), st.integers(0, 200), st.floats(1e-6, 0.5), st.floats(0.001, 0.9))
def test_a_limit_is_compared_as_it_is_computed(pairs: int, wrong: int, alpha: float, bound: float) -> None:
    limit = clopper_pearson(pairs, min(wrong, pairs), alpha)[1]
    if abs(limit - bound) > 1e-9:
        assert is_rate_below(pairs, min(wrong, pairs), alpha, bound) == (limit <= bound)


@given(st.integers(1, 2000), st.integers(0, 100))
def test_a_limit_for_any_time_is_wider(pairs: int, wrong: int) -> None:
    wrong = min(wrong, pairs - 1)
    fixed, any_time = clopper_pearson(pairs, wrong, 0.05)[1], upper_at_any_time(pairs, wrong, 0.05)
    assert wrong / pairs < fixed <= any_time + 1e-9
    assert any_time <= 1


@given(st.integers(1, 500), st.integers(0, 50))
def test_another_agreement_lowers_the_limit(pairs: int, wrong: int) -> None:
    wrong = min(wrong, pairs)
    assert upper_at_any_time(pairs + 1, wrong, 0.05) <= upper_at_any_time(pairs, wrong, 0.05) + 1e-9


def test_all_attempts_together_spend_no_more_than_there_is() -> None:
    parts = [spend(0.05, attempt) for attempt in range(1, 100_000)]
    assert math.fsum(parts) == pytest.approx(0.05, rel=1e-4)
    assert math.fsum(parts) < 0.05
    assert parts == sorted(parts, reverse=True)
