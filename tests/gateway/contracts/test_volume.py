"""The volume that says how rare audits may become follows the traffic, up and down."""

import pytest

from gateway.contracts.volume import Volume

DAY = 86400.0


def days(volume: Volume, count: int, calls: int, *, since: float, period_s: float = 3.5 * DAY) -> float:
    """So many days with so many calls each, looked at 10 times a day; the volume that is told at the end."""
    found = 0.0
    for step in range(1, 10 * count + 1):
        for _ in range(calls // 10):
            volume.add()
        found = volume.a_day(now=since + step * DAY / 10, period_s=period_s)
    return found


@pytest.mark.parametrize("lasted_s", [0.0, 10.0, DAY / 2, DAY])
def test_a_first_day_that_is_not_over_has_the_calls_that_came(lasted_s: float) -> None:
    volume = Volume(since=5.0)
    for _ in range(10):
        volume.add()
    assert volume.a_day(now=5.0 + lasted_s, period_s=DAY) == 10


def test_what_was_long_ago_does_not_count() -> None:
    volume = Volume(since=0.0)
    assert days(volume, 100, 1000, since=0.0) == pytest.approx(1000)
    assert days(volume, 1, 10, since=100 * DAY) > 500
    assert days(volume, 7, 10, since=101 * DAY) == pytest.approx(10)


def test_a_period_that_has_just_begun_has_the_one_before() -> None:
    volume = Volume(since=0.0)
    assert days(volume, 4, 1000, since=0.0) == pytest.approx(1000)
    assert volume.a_day(now=4 * DAY + 60.0, period_s=3.5 * DAY) == pytest.approx(1000, rel=0.01)
