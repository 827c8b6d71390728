from dataclasses import replace

import numpy as np
import pytest

from classifiers.model.model import Calibration, Nearest
from classifiers.runtime import heads
from classifiers.runtime.heads import probabilities
from classifiers.training.fit import linear


def test_single_label_probabilities_sum_to_one_and_do_not_overflow() -> None:
    calibration = Calibration(scale=np.array([2], np.float32), offset=np.array([0, 1], np.float32))
    found = probabilities(calibration, np.array([[0, 0], [1e4, -1e4]], np.float32), multi_label=False)
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert found[0, 1] == pytest.approx(1 / (1 + np.exp(-1)))
    assert found[1].tolist() == [1, 0]


def test_the_highest_of_several_labels_is_as_likely_as_that_any_holds() -> None:
    calibration = Calibration(scale=np.ones(3, np.float32), offset=np.zeros(3, np.float32), whole=(1.0, 0.0))
    scores = np.array([[-1, -1, -1], [5, -9, 2], [-1e4, -1e4, -1e4], [1e4, 0, 0]], np.float32)
    found = probabilities(calibration, scores, multi_label=True)
    odds = np.exp(scores[:2]).sum(axis=1)
    assert found[:2].max(axis=1) == pytest.approx(odds / (1 + odds), abs=1e-6)
    assert found[0] == pytest.approx([found[0, 0]] * 3)
    assert found[1, 2] / found[1, 0] == pytest.approx((1 / (1 + np.exp(-2))) / (1 / (1 + np.exp(-5))), abs=1e-5)
    assert found[2:].max(axis=1).tolist() == [0, 1]


def test_a_window_among_several_is_less_likely_by_as_many_chances_as_its_text_has() -> None:
    scores = np.array([[1.0, -2.0, 0.5]] * 3, np.float32)
    for whole in (None, (1.5, -0.5)):
        calibration = Calibration(scale=np.ones(3, np.float32), offset=np.zeros(3, np.float32), whole=whole, chances=1)
        found = probabilities(calibration, scores, multi_label=True, among=np.array([1, 5, 40]))
        alone = probabilities(calibration, scores[:1], multi_label=True)
        odds = (found / (1 - found)).max(axis=1)
        assert found[0] == pytest.approx(alone[0])
        assert odds[0] / odds == pytest.approx([1, 5, 8], rel=1e-4)
        as_before = replace(calibration, chances=0.0)
        assert probabilities(as_before, scores, multi_label=True, among=np.array([1, 5, 40])) == pytest.approx(
            np.repeat(alone, 3, axis=0)
        )


def owners(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


@pytest.mark.parametrize("classes", [heads.LIKELIEST, 3 * heads.LIKELIEST])
def test_only_the_likeliest_classes_are_voted_on(classes: int) -> None:
    chance = np.random.default_rng(0)
    exemplars = linear.unit(chance.standard_normal((5 * classes, 6)))
    vectors, scores = linear.unit(chance.standard_normal((4, 6))), chance.standard_normal((4, classes))
    vote = Nearest(owners=np.repeat(np.arange(classes, dtype=np.int32), 5), sharpness=20.0, share=0.5)
    whole = heads.votes(vote, vectors @ exemplars.T)
    found = heads.nearest_logits(vote, exemplars, vectors, scores.astype(np.float32))
    likely = np.argsort(-scores, axis=1)[:, : heads.LIKELIEST]
    np.testing.assert_allclose(
        np.take_along_axis(found, likely, axis=1), np.take_along_axis(whole, likely, axis=1), rtol=1e-4
    )
    least = np.take_along_axis(whole, likely, axis=1).min(axis=1, keepdims=True)
    others = np.delete(np.arange(classes)[None].repeat(4, 0), likely[0], axis=1)
    np.testing.assert_allclose(found[0, others[0]], np.repeat(least[0], len(others[0])), rtol=1e-4)
    np.testing.assert_allclose(found, heads.among_likeliest(whole, scores.astype(np.float32)), rtol=1e-4)
