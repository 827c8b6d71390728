"""The head that fine-tuning begins with, from the frozen encoder's vectors: centroids, or logistic regressions where
several labels may hold.

A softmax fitted on the rows leaves hardly any error to learn from: the encoder gained nothing by it
(docs/design/002-fitting-a-head.md).
"""

import numpy as np

from classifiers.model import Floats

_STRENGTH = 5.0
_SHARPNESS = 20.0


def fit(vectors: Floats, targets: Floats, weights: Floats, *, multi_label: bool) -> tuple[Floats, Floats]:
    """vectors: (n, dimensions) of length 1; targets: (n, classes) → weights (classes, dimensions), bias (classes,)."""
    if multi_label:
        from classifiers.training.fit.linear import any_of

        return any_of(vectors, targets >= 0.5, weights, _STRENGTH)
    return centroids(vectors, targets, weights)


def centroids(vectors: Floats, targets: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Single-label: the mean vector of each class, as long as a head's weights are. Arguments as of `fit`."""
    matrix = np.zeros((targets.shape[1], vectors.shape[1]), np.float32)
    np.add.at(matrix, targets.argmax(axis=1), vectors * weights[:, None])
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    return (_SHARPNESS * matrix).astype(np.float32), np.zeros(targets.shape[1], np.float32)
