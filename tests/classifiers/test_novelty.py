import numpy as np
import pytest

from classifiers.model import Novelty
from classifiers.novelty import cosines, nearest


def test_distance_to_the_nearest_prototype() -> None:
    novelty = Novelty(prototypes=np.eye(2, dtype=np.float32), limit=0.5)
    half = np.sqrt(0.5, dtype=np.float32)
    vectors = np.array([[1, 0], [half, half], [-1, 0], [-half, -half]], np.float32)
    assert nearest(cosines(novelty, vectors)) == pytest.approx([0, 1 - half, 1, 1])


def test_without_prototypes_nothing_is_novel() -> None:
    novelty = Novelty(prototypes=np.empty((0, 2), np.float32), limit=0.5)
    assert nearest(cosines(novelty, np.ones((3, 2), np.float32))).tolist() == [0, 0, 0]
