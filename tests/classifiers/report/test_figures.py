"""Settings as people read them."""

from typing import Any

import pytest

from classifiers.report.figures import plain


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
