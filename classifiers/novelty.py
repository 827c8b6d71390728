"""How unlike training a text is: its distance to the nearest prototype."""

import numpy as np

from classifiers.model import Floats, Novelty


def cosines(novelty: Novelty, vectors: Floats) -> Floats:
    """vectors: (n, dimensions) of length 1 → (n, prototypes)."""
    product: Floats = vectors @ novelty.prototypes.T
    return product


def nearest(to_prototypes: Floats) -> Floats:
    """to_prototypes: (n, prototypes) cosines → (n,) 1 - the highest, 0..1; zeros where there are none."""
    if not to_prototypes.shape[1]:
        return np.zeros(len(to_prototypes), np.float32)
    away: Floats = (1 - to_prototypes.max(axis=1)).clip(0.0, 1.0)
    return away
