"""A linear head: embeddings → logits → calibrated probabilities."""

import numpy as np

from classifiers.model import Calibration, Floats, LinearHead


def logits(head: LinearHead, vectors: Floats) -> Floats:
    """vectors: (n, dimensions) → (n, classes) float32."""
    product: Floats = vectors @ head.weights.T + head.bias
    return product


def probabilities(calibration: Calibration, scores: Floats, *, multi_label: bool) -> Floats:
    """scores: logits (n, classes) → (n, classes) probabilities 0..1.

    Single-label: rows are a softmax and sum to 1. Multi-label: each class is a sigmoid of its own.
    """
    scaled = calibration.scale * scores + calibration.offset
    if multi_label:
        squashed: Floats = 0.5 * (1.0 + np.tanh(0.5 * scaled))
        return squashed
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares
