"""Settings, figures and pictures as people read them."""

from typing import Any

import pytest

from classifiers.report import markup
from classifiers.report.markup import plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        ([1, None], "1, –"),
        ({"sharpness": 20.0, "usual": None}, "sharpness 20.0, usual –"),
        ({"small": {"epochs": 3, "best": False}}, "small (epochs 3, best no)"),
    ],
)
def test_a_setting_reads_without_python_s_signs(value: Any, text: str) -> None:
    assert plain(value) == text


def test_hundreds_of_labels_make_no_matrix() -> None:
    labels = [f"label {index}" for index in range(200)]
    right = [(index, index, 1) for index in range(200)]
    assert markup.confusion("c", labels, right) == markup.confusion("c", [], []) == ""
    assert 'href="#cell-0-1"' in markup.confusion("c", labels, [(0, 0, 3), (0, 1, 1)])


def test_names_in_pictures_cannot_become_markup() -> None:
    assert "<b>" not in markup.curves("<b>", "<b>", "<b>", [("<b>", [(0, 1)]), ("<b>", [])])
    assert "<b>" not in markup.confusion("<b>", ["<b>"], [(0, 0, 1)])
