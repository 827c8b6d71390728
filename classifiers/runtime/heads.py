"""A linear head: embeddings → logits → calibrated probabilities.

What the nearest training sentences add to a linear head's scores: a soft vote of each class's exemplars.

Exemplars are megabytes that every decision would read, and that push the encoder's weights out of the processor's
cache. So where classes are many, only those that the head finds likeliest are voted on; no other could win.
"""

import numpy as np
from numpy.typing import NDArray

from classifiers.model.model import Calibration, Floats, LinearHead, Nearest

MOST_CHANCES = 8
"""So many windows of a text are counted, and all are read: counting more would help whoever hides harm in a long page,
and spare harmless text hardly anything."""

_NEARLY_NEVER = 1e-6
_NEVER = 1e-30


def linear_logits(head: LinearHead, vectors: Floats) -> Floats:
    """vectors: (n, dimensions) → (n, classes) float32."""
    product: Floats = vectors @ head.weights.T + head.bias
    return product


def probabilities(
    calibration: Calibration, scores: Floats, *, multi_label: bool, among: NDArray[np.intp] | None = None
) -> Floats:
    """scores: logits (n, classes) → (n, classes) probabilities 0..1.

    Single-label: rows are a softmax and sum to 1. Multi-label: each class is a sigmoid of its own, and where the
    calibration knows how likely any is, a row's highest is that. among: (n,) of how many windows each is one, 1 or
    more; where not given, it is its text's only one.
    """
    scaled = calibration.scale * scores + calibration.offset
    if multi_label:
        fewer = np.zeros(len(scores), np.float32) if among is None else lost_chances(calibration.chances, among)
        squashed = _sigmoid(scaled - fewer[:, None])
        if calibration.whole is None:
            return squashed
        scale, offset = calibration.whole
        whole = _sigmoid(np.float32(scale) * any_logit(scores) + np.float32(offset) - fewer)
        highest = np.maximum(squashed.max(axis=1), np.finfo(np.float32).tiny)
        raised: Floats = np.minimum(squashed * (whole / highest)[:, None], whole[:, None])
        return raised
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: Floats = np.divide(powers, powers.sum(axis=1, keepdims=True))
    return shares


def pooled(one: Floats, other: Floats, share: float) -> Floats:
    """Two judgements of the same windows as one, by the weighted mean of their logits. share: of `other`, 0..1.

    Of probabilities of the same shape. A logarithmic opinion pool: Genest and Zidek 1986, "Combining Probability
    Distributions".
    """
    mean = (1 - share) * _logit(one) + share * _logit(other)
    found: Floats = _sigmoid(mean).astype(np.float32)
    return found


def pooled_one(one: Floats, other: Floats, share: float) -> Floats:
    """The same where one class holds: rows of sum 1, the weighted mean of their logarithms brought to that sum."""
    told, beside = (np.log(np.maximum(part.astype(np.float64), _NEVER)) for part in (one, other))
    mean = (1 - share) * told + share * beside
    powers = np.exp(mean - mean.max(axis=1, keepdims=True))
    found: Floats = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def any_logit(scores: Floats) -> Floats:
    """Multi-label: the logarithm of the summed odds of all labels, the logit of any holding. (n, labels) → (n,)."""
    summed: Floats = np.logaddexp.reduce(scores, axis=1)
    return summed


def lost_chances(chances: float, among: NDArray[np.intp]) -> Floats:
    """What a window's log-odds lose for the windows beside it. among: (n,) of how many each is one → (n,)."""
    lost: Floats = (chances * np.log(np.minimum(among, MOST_CHANCES))).astype(np.float32)
    return lost


def _logit(probabilities: Floats) -> Floats:
    # in 32 bits, what lies near 1 cannot be told apart
    inside = np.clip(probabilities.astype(np.float64), _NEARLY_NEVER, 1 - _NEARLY_NEVER)
    found: Floats = np.log(inside) - np.log1p(-inside)
    return found


def _sigmoid(scaled: Floats) -> Floats:
    squashed: Floats = np.multiply(0.5, 1.0 + np.tanh(0.5 * scaled))
    return squashed


Places = NDArray[np.intp]

LIKELIEST = 8
"""Classes that are voted on. With 8 of 77 no text in 1,155 got another label than with all of them."""

_NO_LABEL = 1e-30


def nearest_logits(nearest: Nearest, exemplars: Floats, vectors: Floats, scores: Floats) -> Floats:
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
    voted: Floats = (nearest.share * np.log(np.maximum(means, _NO_LABEL))).astype(np.float32)
    return voted


def _likeliest(scores: Floats) -> Places:
    """(n, LIKELIEST) classes, in no order."""
    return np.argpartition(scores, -LIKELIEST, axis=1)[:, -LIKELIEST:]
