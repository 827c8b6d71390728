from dataclasses import replace

import numpy as np
import pytest

from classifiers.model.model import Calibration, LinearHead
from classifiers.runtime.heads import linear_logits, pooled_one, probabilities


def test_logits() -> None:
    head = LinearHead(
        classes=("a", "b"), weights=np.array([[1, 0], [0, 2]], np.float32), bias=np.array([0, 1], np.float32)
    )
    assert linear_logits(head, np.array([[1, 1], [0, 3]], np.float32)).tolist() == [[1, 3], [0, 7]]


def test_single_label_probabilities_sum_to_one_and_do_not_overflow() -> None:
    calibration = Calibration(scale=np.array([2], np.float32), offset=np.array([0, 1], np.float32))
    found = probabilities(calibration, np.array([[0, 0], [1e4, -1e4]], np.float32), multi_label=False)
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert found[0, 1] == pytest.approx(1 / (1 + np.exp(-1)))
    assert found[1].tolist() == [1, 0]


def test_multi_label_probabilities_are_each_their_own() -> None:
    calibration = Calibration(scale=np.array([1, 2], np.float32), offset=np.array([0, -2], np.float32))
    found = probabilities(calibration, np.array([[0, 1], [1e4, -1e4]], np.float32), multi_label=True)
    assert found[0] == pytest.approx([0.5, 0.5])
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


def test_two_judgements_of_one_label_are_pooled_by_their_logarithms() -> None:
    one = np.array([[0.9, 0.1, 0.0], [0.5, 0.25, 0.25]], np.float32)
    other = np.array([[0.1, 0.9, 0.0], [0.25, 0.5, 0.25]], np.float32)
    assert pooled_one(one, other, 0.0) == pytest.approx(one)
    assert pooled_one(one, other, 1.0) == pytest.approx(other)
    half = pooled_one(one, other, 0.5)
    assert half.sum(axis=1) == pytest.approx([1, 1])
    assert half[0] == pytest.approx([0.5, 0.5, 0.0], abs=1e-6)
    assert half[1, 0] == half[1, 1] > half[1, 2]
