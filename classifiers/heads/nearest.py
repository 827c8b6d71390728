"""What the nearest training sentences add to a linear head's scores: a soft vote of each class's exemplars."""

import numpy as np

from classifiers.model import Floats, Nearest


def logits(nearest: Nearest, cosines: Floats) -> Floats:
    """cosines: (n, exemplars) of texts to the exemplars → (n, classes) to be added to the head's logits.

    A class's vote is share * log(mean of exp(sharpness * (cosine - 1)) over its exemplars); at most zero.
    """
    starts = np.flatnonzero(np.diff(nearest.owners, prepend=-1))
    counts = np.diff(np.append(starts, len(nearest.owners))).astype(np.float32)
    kernel = np.exp(nearest.sharpness * (cosines - 1))
    means = np.add.reduceat(kernel, starts, axis=1) / counts
    votes: Floats = (nearest.share * np.log(np.maximum(means, 1e-30))).astype(np.float32)
    return votes
