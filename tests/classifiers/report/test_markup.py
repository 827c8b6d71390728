"""Settings and figures as people read them."""

from typing import Any

import pytest

from classifiers.report.markup import counted, interval, plain, within


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "–"),
        (20.0, "20.0"),
        (True, "yes"),
        ("frozen", "frozen"),
        ([1, None], "1, –"),
        ({"sharpness": 20.0, "usual": None}, "sharpness 20.0, usual –"),
        ({"small": {"epochs": 3, "best": False}}, "small (epochs 3, best no)"),
        ({}, ""),
    ],
)
def test_a_setting_is_told_without_python_s_signs(value: Any, told: str) -> None:
    assert plain(value) == told


def test_what_was_measured_on_nothing_has_no_interval() -> None:
    nothing, none_of_all = (None, (0.0, 1.0)), (0.0, (0.0, 0.793))
    assert (interval(*nothing), within(*nothing)) == ("", "–")
    assert (interval(*none_of_all), within(*none_of_all)) == ("0.0 – 79.3 %", "0.0 % (0.0 – 79.3 %)")


def test_one_is_not_told_as_many() -> None:
    assert [counted(count, "row") for count in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
