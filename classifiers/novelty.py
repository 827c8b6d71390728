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


def cosines(novelty: Novelty, vectors: Floats) -> Floats:
    """vectors: (n, dimensions) of length 1 → (n, prototypes)."""
    product: Floats = vectors @ novelty.prototypes.T
    return product


def score(novelty: Novelty, to_prototypes: Floats, logits: Floats) -> Floats:
    """(n,) 0..1. to_prototypes: (n, prototypes) cosines; logits: (n, labels) of the policy's labels without `other`,
    before calibration."""
    if novelty.usual is None:
        return nearest(to_prototypes)
    widths = (logits.max(axis=1) - novelty.usual.level) / novelty.usual.width
    told: Floats = (1 / (1 + np.exp(widths.clip(-_FLAT, _FLAT)))).astype(np.float32)
    return told


def nearest(to_prototypes: Floats) -> Floats:
    """to_prototypes: (n, prototypes) cosines → (n,) 1 - the highest, 0..1; zeros where there are none."""
    if not to_prototypes.shape[1]:
        return np.zeros(len(to_prototypes), np.float32)
    away: Floats = (1 - to_prototypes.max(axis=1)).clip(0.0, 1.0)
    return away
