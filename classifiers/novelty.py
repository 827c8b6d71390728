"""How unlike training a text is: how small the largest of its labels' logits is, or how far the nearest prototype.

The largest logit tells text of unknown labels better than nearest neighbours, Mahalanobis distances, energy or
probabilities, and than sums of them (docs/design/007-novelty.md).
"""

import numpy as np

from classifiers.model import Floats, Novelty

NOVEL = 0.5
"""The limit where novelty is told by logits."""

_FLAT = 60.0
"""Beyond so many widths exp would overflow, and nothing changes."""


def score(novelty: Novelty, vectors: Floats, logits: Floats) -> Floats:
    """(n,) 0..1. vectors: (n, dimensions) of length 1; logits: (n, labels) of the policy's labels without `other`,
    before calibration."""
    if novelty.usual is None:
        return nearest(novelty, vectors)
    widths = (logits.max(axis=1) - novelty.usual.level) / novelty.usual.width
    told: Floats = (1 / (1 + np.exp(widths.clip(-_FLAT, _FLAT)))).astype(np.float32)
    return told


def nearest(novelty: Novelty, vectors: Floats) -> Floats:
    """vectors: (n, dimensions) of length 1 → (n,) 1 - the highest cosine to a prototype, 0..1; zeros where there is
    none."""
    if not len(novelty.prototypes):
        return np.zeros(len(vectors), np.float32)
    away: Floats = (1 - (vectors @ novelty.prototypes.T).max(axis=1)).clip(0.0, 1.0)
    return away
