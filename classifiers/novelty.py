"""How unlike training a text is: its distance to the nearest prototype."""

from classifiers.model import Floats, Novelty


def distance(novelty: Novelty, vectors: Floats) -> Floats:
    """vectors: (n, dimensions) of length 1 → (n,) 1 - cosine to the nearest prototype, 0..1.

    Without prototypes nothing is novel: zeros.
    """
    if not len(novelty.prototypes):
        zeros: Floats = vectors[:, 0] * 0
        return zeros
    nearest = (vectors @ novelty.prototypes.T).max(axis=1)
    away: Floats = (1 - nearest).clip(0.0, 1.0)
    return away
