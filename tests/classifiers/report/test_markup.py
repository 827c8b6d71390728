"""Settings, figures and pictures as people read them."""

import re
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


def test_a_day_without_a_value_has_its_place_and_no_bar() -> None:
    drawn = markup.bars("Saved", {"2026-03-02": 4.0, "2026-02-27": 1.0, "2026-03-01": -1.0}, "${:.2f}".format)
    found = re.findall(r'x="([\d.]+)" y="[\d.]+" width="76.5" height="([\d.]+)"><title>(.*?)</title>', drawn)
    assert found == [
        ("0.0", "24.0", "2026-02-27: $1.00"),
        ("170.0", "0.0", "2026-03-01: $-1.00"),
        ("255.0", "96.0", "2026-03-02: $4.00"),
    ]
    assert re.findall(r">([^<>]+)</text>", drawn) == ["$4.00", "2026-02-27", "2026-03-02"]
    assert markup.bars("Saved", {}, str) == ""


def test_no_picture_has_a_style_of_its_own() -> None:
    drawn = markup.curves("c", "x", "y", [("a", [(0, 1)]), ("b", [])]) + markup.confusion("c", ["a"], [(0, 0, 1)])
    assert "style=" not in drawn
