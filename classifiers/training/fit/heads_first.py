"""The head that fine-tuning begins with: logistic regressions on the frozen encoder's vectors."""

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats

_STRENGTH = 5.0
_MOST_CELLS = 4_000_000


def fit(vectors: Floats, targets: Floats, weights: Floats, *, multi_label: bool) -> tuple[Floats, Floats]:
    """vectors: (n, dimensions) of length 1; targets: (n, classes) → weights (classes, dimensions), bias (classes,)."""
    if multi_label:
        from classifiers.training.fit.linear import any_of

        return any_of(vectors, targets >= 0.5, weights, _STRENGTH)
    return _one_of(vectors, targets.argmax(axis=1), weights, targets.shape[1])


def _one_of(vectors: Floats, classes: NDArray[np.intp], weights: Floats, count: int) -> tuple[Floats, Floats]:
    from sklearn.linear_model import LogisticRegression

    matrix, bias = np.zeros((count, vectors.shape[1]), np.float32), np.zeros(count, np.float32)
    present = np.unique(classes)
    if len(present) < 2:
        return matrix, bias
    if len(vectors) * count > _MOST_CELLS:
        # a softmax would take minutes; centroids are as good a beginning
        np.add.at(matrix, classes, vectors * weights[:, None])
        matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
        return (10.0 * matrix).astype(np.float32), bias
    model = LogisticRegression(C=_STRENGTH, max_iter=300)
    model.fit(vectors, classes, sample_weight=weights)
    coefficients, intercept = model.coef_.astype(np.float32), model.intercept_.astype(np.float32)
    if len(coefficients) == 1:
        coefficients, intercept = np.concatenate([-coefficients, coefficients]) / 2, np.repeat(intercept, 2) / 2
        intercept[0] *= -1
    matrix[present], bias[present] = coefficients, intercept
    return matrix, bias
