import numpy as np
import pytest

from classifiers.model.model import Novelty, Usual
from classifiers.runtime.thresholds import NOVELTY_LIMIT, nearest, score


def test_distance_to_the_nearest_prototype() -> None:
    novelty = Novelty(prototypes=np.eye(2, dtype=np.float32), limit=0.5)
    half = np.sqrt(0.5, dtype=np.float32)
    vectors = np.array([[1, 0], [half, half], [-1, 0], [-half, -half]], np.float32)
    assert nearest(novelty, vectors) == pytest.approx([0, 1 - half, 1, 1])


def test_without_prototypes_nothing_is_novel() -> None:
    novelty = Novelty(prototypes=np.empty((0, 2), np.float32), limit=0.5)
    assert nearest(novelty, np.ones((3, 2), np.float32)).tolist() == [0, 0, 0]


def test_where_it_is_known_what_is_usual_the_largest_logit_tells() -> None:
    novelty = Novelty(prototypes=np.eye(2, dtype=np.float32), limit=NOVELTY_LIMIT, usual=Usual(level=2.0, width=0.5))
    logits = np.array([[2, -9], [-9, 4], [0, -9], [1000, 0], [-1000, -2000]], np.float32)
    told = score(novelty, np.zeros((5, 2), np.float32), logits)
    assert told == pytest.approx([0.5, 1 / (1 + np.exp(4)), 1 / (1 + np.exp(-4)), 0, 1], abs=1e-6)
    assert told.dtype == np.float32


def test_otherwise_the_nearest_prototype_does() -> None:
    novelty = Novelty(prototypes=np.eye(2, dtype=np.float32), limit=0.5)
    assert score(novelty, np.array([[0.8, 0.6]], np.float32), np.zeros((1, 3), np.float32)) == pytest.approx([0.2])
