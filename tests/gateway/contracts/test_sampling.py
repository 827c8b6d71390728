import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts.sampling import FRESH, LEAST, flip, floor, live_rate


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_a_coin_falls_as_its_rate_says(rate: float, draw: float) -> None:
    assert flip(rate, draw).chosen == (draw < rate)
    assert flip(rate, draw).rate == rate


def test_a_rate_of_one_audits_all_and_a_rate_of_zero_none() -> None:
    assert flip(1.0, 0.999999).chosen
    assert not flip(0.0, 0.0).chosen


def test_the_rate_falls_from_fresh_to_the_floor() -> None:
    falling = [live_rate(audits, 0.02) for audits in (0, 100, 1000, 100_000, 10_000_000)]
    assert falling[0] == pytest.approx(FRESH)
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == 0.02


@given(st.integers(0, 100_000), st.floats(LEAST, FRESH))
def test_a_coin_has_few_rates_and_none_much_under_the_floor(audits: int, lowest: float) -> None:
    rate = live_rate(audits, lowest)
    assert rate in {live_rate(0, step) for step in (0.01, 0.02, 0.05, 0.1, 0.2)} | {0.01, 0.02, 0.05, 0.1}
    assert rate >= 0.95 * lowest


def test_more_traffic_or_more_patience_needs_a_lower_floor() -> None:
    assert floor(735, answered_a_day=0, delay_days=7) == FRESH
    assert floor(735, answered_a_day=100, delay_days=1) == FRESH
    assert floor(735, answered_a_day=3000, delay_days=7) == pytest.approx(0.035)
    assert floor(735, answered_a_day=10_000_000, delay_days=7) == LEAST
    assert floor(math.inf, answered_a_day=10_000_000, delay_days=7) == FRESH
