"""Measures of slots."""

import numpy as np

from classifiers.slots.tags import Mark
from classifiers.training.slots.measure import measures, sharpness


def test_whole_slots_are_counted() -> None:
    a, b, shifted = Mark(name="a", start=0, end=3), Mark(name="b", start=4, end=9), Mark(name="b", start=4, end=8)
    found = measures([(a, b), (a,), ()], [(a, shifted), (a,), ()])
    assert (found["precision"], found["recall"], found["support"]) == (0.66667, 0.66667, 3)
    assert found["whole"] == 0.66667
    assert found["slots"]["a"]["f1"] == 1.0
    assert found["slots"]["b"]["f1"] == 0.0


def test_without_slots_there_is_no_share() -> None:
    assert measures([], [])["f1"] is None


def test_tags_that_are_too_certain_are_made_less_so() -> None:
    logits = np.tile(np.array([[9.0, 0.0, 0.0]], np.float32), (10, 1))
    assert sharpness([logits], [[0] * 7 + [1] * 3]) == 0.5
    assert sharpness([logits / 9], [[0] * 10]) == 2.0
    assert sharpness([], []) == 1.0
