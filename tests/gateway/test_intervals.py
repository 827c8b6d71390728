"""Limits of a rate, held against those of scipy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaincinv

from gateway.intervals import beta_quantile, clopper_pearson, is_rate_below


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(1e-9, 1 - 1e-9))
def test_quantiles_equal_those_of_scipy(a: int, b: int, share: float) -> None:
    assert beta_quantile(a, b, share) == pytest.approx(float(betaincinv(a, b, share)), abs=1e-10)


@given(st.integers(1, 3000), st.integers(0, 200), st.floats(1e-6, 0.5), st.floats(0.001, 0.9))
def test_a_limit_is_compared_as_it_is_computed(pairs: int, wrong: int, alpha: float, bound: float) -> None:
    limit = clopper_pearson(pairs, min(wrong, pairs), alpha)[1]
    if abs(limit - bound) > 1e-9:
        assert is_rate_below(pairs, min(wrong, pairs), alpha, bound) == (limit <= bound)
