"""Measures of slots."""

import numpy as np

from classifiers.evaluation import metrics
from classifiers.slots.tags import SlotMark
from classifiers.training.slots.tagger import measures, sharpness


def test_whole_slots_are_counted() -> None:
    a, b, shifted = (
        SlotMark(name="a", start=0, end=3),
        SlotMark(name="b", start=4, end=9),
        SlotMark(name="b", start=4, end=8),
    )
    found = measures([(a, b), (a,), ()], [(a, shifted), (a,), ()], slots=["b", "a"])
    assert (found["precision"], found["recall"], found["support"]) == (0.66667, 0.66667, 3)
    assert found["whole"] == 0.66667
    assert list(found["slots"]) == ["b", "a"]
    assert found["slots"]["a"]["f1"] == 1.0
    assert found["slots"]["b"]["f1"] == 0.0


def test_without_slots_there_is_no_share() -> None:
    found = measures([], [], slots=["a"])
    assert found["f1"] is None
    assert (found["slots"]["a"]["support"], found["slots"]["a"]["f1"]) == (0, None)


def test_figures_have_intervals() -> None:
    a, b = SlotMark(name="a", start=0, end=3), SlotMark(name="b", start=4, end=9)
    found = measures([(a, b)], [(a,)], slots=["a", "b"])
    assert found["recall"] == 0.5
    assert found["recall_interval"] == metrics.wilson(1, 2)
    assert found["slots"]["b"]["precision_interval"] == (0.0, 1.0)
    assert found["slots"]["a"]["f1_interval"] == metrics.f1_interval(1, 1, 1)


def test_a_text_is_whole_only_with_its_label_where_that_counts() -> None:
    a = SlotMark(name="a", start=0, end=3)
    found = measures([(a,), (a,), ()], [(a,), (a,), (a,)], slots=["a"], labelled=[True, False, True])
    assert found["whole"] == 0.33333
    assert found["whole_interval"] == metrics.wilson(1, 3)
    assert found["recall"] == 1.0


def test_tags_that_are_too_certain_are_made_less_so() -> None:
    logits = np.tile(np.array([[9.0, 0.0, 0.0]], np.float32), (10, 1))
    assert sharpness([logits], [[0] * 7 + [1] * 3]) == 0.5
    assert sharpness([logits / 9], [[0] * 10]) == 2.0
    assert sharpness([], []) == 1.0
