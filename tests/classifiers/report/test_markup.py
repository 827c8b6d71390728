"""Settings, figures and pictures as people read them."""

import re
from typing import Any

import pytest

from classifiers.report import markup
from classifiers.report.markup import counted, interval, plain, within


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


def test_a_share_of_nothing_has_no_interval() -> None:
    nothing, none_of_all = (None, (0.0, 1.0)), (0.0, (0.0, 0.793))
    assert (interval(*nothing), within(*nothing)) == ("", "–")
    assert (interval(*none_of_all), within(*none_of_all)) == ("0.0 – 79.3 %", "0.0 % (0.0 – 79.3 %)")
    assert [counted(count, "row") for count in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]


def test_columns_of_figures_are_known() -> None:
    rows = [["1k, head", 1, "–"], ["clean", 20, "3.0 %"], ["3", 3, ""]]
    assert markup.numeric_columns(rows, 3) == [False, True, True]
    assert markup.numeric_columns([], 1) == [False]


def test_of_hundreds_of_labels_those_with_most_errors_are_drawn() -> None:
    labels = [f"label {index}" for index in range(200)]
    right = [(index, index, 1) for index in range(200)]
    assert markup.confusion("c", labels, right) == markup.confusion("c", [], []) == ""
    some = markup.confusion("c", labels, [*right, (7, 9, 2)])
    assert (some.count("<rect"), some.count("label 7"), some.count("label 8")) == (3, 5, 0)
    errors = [(index, (index + 1) % 200, 1 + (index in range(40, 160))) for index in range(200)]
    assert markup.drawn_labels([*right, *errors]) == list(range(40, 160))
    assert 'href="#cell-0-1"' in markup.confusion("c", labels, [(0, 0, 3), (0, 1, 1)])


def test_pictures_stay_inside_their_frames() -> None:
    name = "character attacks: " + "w" * 40
    picture = markup.bars("kept", [(name, 0.5, None), ("b", 1.5, (0.1, 2.0))])
    ends = [float(x) for x in re.findall(r'<text x="([0-9.]+)" y="[0-9]+" text-anchor="end">', picture)]
    assert min(ends) >= 36 * 0.58 * 10
    side, points = (
        360,
        re.search(r'points="([^"]*)"', markup.curves("r", "x", "y", [("e", [(0, 0), (1, 0.5)])], top=0.1)),
    )
    assert points
    assert all(0 < float(value) < side for value in re.split("[ ,]", points[1]))


def test_names_in_pictures_cannot_become_markup() -> None:
    assert "<b>" not in markup.curves("<b>", "<b>", "<b>", [("<b>", [(0, 1)]), ("<b>", [])])
    assert "<b>" not in markup.confusion("<b>", ["<b>"], [(0, 0, 1)]) + markup.bars("<b>", [("<b>", 1.0, None)])
