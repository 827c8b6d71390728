"""Offsets of classes: what they mend, and that nothing is flattered by them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers.runtime.heads import probabilities
from classifiers.training import calibrate


def told(rows: int, *, lean: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Scores that are right about three classes, but for the first, to which they add `lean`; and the truth."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(0, 2, (rows, 3))
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (chance.random((rows, 1)) > odds.cumsum(axis=1)).sum(axis=1)
    logits[:, 0] += lean
    return logits.astype(np.float32), np.minimum(truth, 2).astype(np.int32)


def test_a_class_that_is_named_too_readily_is_held_back() -> None:
    found = calibrate.fit_offsets(*told(6000, lean=1.0), scale=1.0)
    assert found.offset[0] - found.offset[1:].mean() == pytest.approx(-1, abs=0.15)
    assert found.scale == pytest.approx([1], abs=0.1)


def test_few_rows_hardly_move_anything() -> None:
    assert np.abs(calibrate.fit_offsets(*told(6, lean=1.0), scale=1.0).offset).max() < 0.5


def test_a_class_without_a_row_has_no_offset_and_is_not_thought_rare() -> None:
    scores, truth = told(3000, lean=0.0)
    found = calibrate.fit_offsets(scores[truth != 2], truth[truth != 2], scale=1.0)
    assert found.offset[2] == 0
    assert found.offset == pytest.approx([0, 0, 0], abs=0.2)
    assert found.scale == pytest.approx([1], abs=0.15)


def test_rows_that_calibrate_are_judged_by_what_has_not_seen_them() -> None:
    # labels by chance: whatever offsets learn from a row is wrong about all others
    chance = np.random.default_rng(1)
    scores = chance.normal(0, 1e-3, (60, 20)).astype(np.float32)
    truth = np.repeat(np.arange(20), 3).astype(np.int32)
    chance.shuffle(truth)
    used = np.arange(60) < 50

    def surprise(of: NDArray[np.float32]) -> float:
        return float(-np.log(of[used, truth[used]]).mean())

    fitted = probabilities(calibrate.fit_offsets(scores[used], truth[used], 1.0), scores, multi_label=False)
    judged = calibrate.unseen(scores, truth, used, 1.0, seed=0)
    assert surprise(fitted) < np.log(20) < surprise(judged)
    assert judged[~used] == pytest.approx(fitted[~used])
