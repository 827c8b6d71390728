"""Tags of words: what marks give, what the likeliest sequence is."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from classifiers.slots.tags import Run, SlotMark, count, of_places, runs

SLOTS = ("people", "time")


def test_a_word_belongs_to_the_mark_that_covers_any_of_it() -> None:
    places = [(0, 5), (6, 9), (10, 11), (11, 13), (14, 17)]
    marks = (SlotMark(name="time", start=10, end=13), SlotMark(name="people", start=14, end=16))
    assert of_places(places, marks, SLOTS) == [0, 0, 3, 4, 1]


def test_the_likeliest_tags_make_runs_with_the_confidence_of_the_least_certain_word() -> None:
    logits = np.full((4, count(2)), -5.0, np.float32)
    logits[0, 0] = logits[1, 3] = logits[3, 1] = 5.0
    logits[2, 4], logits[2, 0] = 1.0, 0.0
    found = runs(logits)
    assert [(run.slot, run.first, run.last) for run in found] == [(1, 1, 2), (0, 3, 3)]
    assert 0.6 < found[0].confidence < 0.75
    assert found[1].confidence > 0.99


def test_what_has_not_begun_does_not_go_on() -> None:
    logits = np.zeros((2, count(2)), np.float32)
    logits[0, 1], logits[1, 4] = 4.0, 4.0  # begins people, goes on with time
    logits[1, 2] = 3.0
    assert [(run.slot, run.first, run.last) for run in runs(logits)] == [(0, 0, 1)]


def test_slots_that_are_not_allowed_are_not_found() -> None:
    logits = np.zeros((1, count(2)), np.float32)
    logits[0, 1], logits[0, 3] = 4.0, 2.0
    assert [run.slot for run in runs(logits, np.array([False, True]))] == [1]
    assert runs(logits, np.array([False, False])) == []


def test_no_words_hold_no_slots() -> None:
    assert runs(np.empty((0, 5), np.float32)) == []


@given(arrays(np.float32, st.tuples(st.integers(1, 7), st.just(count(2))), elements=st.floats(-6, 6, width=32)))
def test_runs_are_in_order_apart_and_of_the_best_sequence(logits: np.ndarray) -> None:
    found: list[Run] = runs(logits)
    assert all(0 <= run.first <= run.last < len(logits) for run in found)
    assert all(one.last < other.first for one, other in pairwise(found))
    # no single word's tag can be exchanged for `outside` with a gain, where that keeps the sequence whole
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for run in found:
        if run.first == run.last:
            assert shares[run.first, 1 + 2 * run.slot] >= shares[run.first, 0] - 1e-4
