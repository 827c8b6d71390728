from dataclasses import replace

import numpy as np

from classifiers.training.confusion import shortened
from classifiers.training.neighbours import beside_errors, nearest
from classifiers.training.rows import Row

VECTORS = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
ROWS = [
    Row(text=text, labels=(label,), group=group, source="data")
    for text, label, group in (("x", "a", "1"), ("y", "b", "1"), ("z", "c", "2"))
]


def test_the_nearest_come_first() -> None:
    (found,) = nearest(np.array([[0.6, 0.8]], np.float32), ROWS, VECTORS, count=2)
    assert [(row["text"], row["labels"]) for row in found] == [("y", ["b"]), ("z", ["c"])]
    assert found[0]["cosine"] == 0.96


def test_a_group_can_be_left_out() -> None:
    found = nearest(VECTORS[:1], ROWS, VECTORS, groups=["1"])
    assert [row["text"] for row in found[0]] == ["z"]


def test_a_held_out_error_is_not_its_own_neighbour() -> None:
    errors = [{"text": "z"}]
    beside_errors(errors, ROWS, VECTORS)
    assert [row["text"] for row in errors[0]["nearest"]] == ["y", "x"]


def test_an_error_in_a_long_text_is_found_by_what_a_report_shows_of_it() -> None:
    rows = [replace(ROWS[0], text="x" * 1_000_000), *ROWS[1:]]
    errors = [{"text": shortened(rows[0].text)}]
    beside_errors(errors, rows, VECTORS)
    assert [row["text"] for row in errors[0]["nearest"]] == ["z"]


def test_without_errors_there_is_nothing_to_do() -> None:
    beside_errors([], ROWS, VECTORS)
