"""What the nearest training sentences add to a linear head's scores: a soft vote of each class's exemplars.

Exemplars are megabytes that every decision would read, and that push the encoder's weights out of the processor's
cache. So where classes are many, only those that the head finds likeliest are voted on; no other could win.
"""

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats, Nearest

Places = NDArray[np.intp]

LIKELIEST = 8
"""Classes that are voted on. With 8 of 77 no text in 1,155 got another label than with all of them."""

_NEVER = 1e-30


def logits(nearest: Nearest, exemplars: Floats, vectors: Floats, scores: Floats) -> Floats:
    """vectors: (n, dimensions) and exemplars: (m, dimensions) of length 1; scores: (n, classes) of the linear head →
    (n, classes) to be added to them.

    A class's vote is share * log(mean of exp(sharpness * (cosine - 1)) over its exemplars); at most zero. A class that
    is not among a text's LIKELIEST gets the least of their votes.
    """
    if scores.shape[1] <= LIKELIEST:
        return votes(nearest, vectors @ exemplars.T)
    found = np.empty(scores.shape, np.float32)
    likely = _likeliest(scores)
    starts, ends = (np.searchsorted(nearest.owners, likely, side) for side in ("left", "right"))
    for row, vector in enumerate(vectors):
        places = zip(starts[row].tolist(), ends[row].tolist(), strict=True)
        cosines = np.concatenate([exemplars[start:end] @ vector for start, end in places])
        counts = ends[row] - starts[row]
        voted = _vote(nearest, cosines[None], np.cumsum(counts) - counts, counts)[0]
        found[row] = voted.min()
        found[row, likely[row]] = voted
    return found


def votes(nearest: Nearest, cosines: Floats) -> Floats:
    """cosines: (n, exemplars) of texts to all exemplars → (n, classes) votes on all classes."""
    starts = np.flatnonzero(np.diff(nearest.owners, prepend=-1))
    return _vote(nearest, cosines, starts, np.diff(np.append(starts, len(nearest.owners))))


def among_likeliest(voted: Floats, scores: Floats) -> Floats:
    """Votes on all classes → as `logits` gives them. voted, scores: (n, classes)."""
    if scores.shape[1] <= LIKELIEST:
        return voted
    likely = _likeliest(scores)
    told = np.take_along_axis(voted, likely, axis=1)
    found = np.repeat(told.min(axis=1, keepdims=True), scores.shape[1], axis=1)
    np.put_along_axis(found, likely, told, axis=1)
    return found


def _vote(nearest: Nearest, cosines: Floats, starts: Places, counts: Places) -> Floats:
    """cosines: (n, m); starts, counts: (classes,) of each class's exemplars among the m, at least one."""
    kernel = np.exp(nearest.sharpness * (cosines - 1))
    means = np.add.reduceat(kernel, starts, axis=1) / counts
    voted: Floats = (nearest.share * np.log(np.maximum(means, _NEVER))).astype(np.float32)
    return voted


def _likeliest(scores: Floats) -> Places:
    """(n, LIKELIEST) classes, in no order."""
    return np.argpartition(scores, -LIKELIEST, axis=1)[:, -LIKELIEST:]
