import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from classifiers import Runtime
from classifiers.encoder.session import Encoder
from classifiers.evaluation.evaluate import shortened
from classifiers.model.model import Model
from classifiers.runtime.classifier import from_model
from classifiers.training.examine import beside_errors, nearest, nearest_of
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


def test_a_long_name_of_a_group_takes_its_room_once() -> None:
    rows = [replace(row, group=f"{row.group}{'x' * 100_000 * (not place)}") for place, row in enumerate(ROWS * 100)]
    tracemalloc.start()
    (found,) = nearest(VECTORS[:1], rows, np.tile(VECTORS, (100, 1)), groups=[rows[0].group], count=1)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[0]["text"] == "x"
    assert most < 10_000_000


def test_a_held_out_error_is_not_its_own_neighbour() -> None:
    errors = [{"text": "z"}]
    beside_errors(errors, [2], ROWS, VECTORS)
    assert [row["text"] for row in errors[0]["nearest"]] == ["y", "x"]


def test_errors_in_long_texts_that_begin_alike_are_told_apart() -> None:
    rows = [replace(row, text="x" * 1000 + row.text, group=row.text) for row in ROWS]
    errors = [{"text": shortened(row.text)} for row in rows]
    beside_errors(errors, [0, 1, 2], rows, VECTORS)
    assert [[row["labels"] for row in error["nearest"]] for error in errors] == [
        [["b"], ["c"]],
        [["a"], ["c"]],
        [["b"], ["a"]],
    ]


def test_without_errors_there_is_nothing_to_do() -> None:
    beside_errors([], [], ROWS, VECTORS)


def test_a_long_text_of_one_label_is_near_to_what_is_about_the_same_not_to_what_begins_alike(
    encoder: Encoder, make_model: Callable[..., Model]
) -> None:
    greeting, weather = "I hope that you are well. ", "It was raining all day and the wind blew from the sea. "
    stolen = "my card was stolen, so please block it. " * 60
    rows = [
        Row(text=greeting * 18 + weather * 60, labels=("exchange_rate",), group="1", source="data"),
        Row(text="my card was stolen, so please block it", labels=("lost_card",), group="2", source="data"),
    ]
    runtime = Runtime([encoder], {"bank": from_model(make_model())}, cache_windows=0)
    [[found]] = nearest_of(runtime, "bank", [(greeting * 18 + stolen, "")], rows, count=1)
    assert found["labels"] == ["lost_card"]


def test_where_there_are_no_rows_there_are_none_near() -> None:
    assert nearest(VECTORS[:2], [], np.empty((0, 2), np.float32)) == [[], []]
