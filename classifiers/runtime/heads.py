"""Embeddings → logits → calibrated probabilities: a linear head, and a vote of the nearest training sentences.

Exemplars are megabytes, which would push the encoder's weights out of the processor's cache. Where classes are many,
only the likeliest by the linear head are voted on; no other could win.
"""

import numpy as np
from numpy.typing import NDArray

from classifiers.model.model import Calibration, Floats, Nearest

_NEARLY_NEVER = 1e-6
_NEVER = 1e-30


def probabilities(
    calibration: Calibration, scores: Floats, *, multi_label: bool, among: NDArray[np.intp] | None = None
) -> Floats:
    """Probabilities, (n, classes) 0..1. scores: logits (n, classes). Single-label: a softmax for each row. Multi-label:
    a sigmoid for each class; where the calibration knows how likely any class is, a row's highest is that. among: (n,)
    how many windows the text of each has, 1 by default."""
    scaled = calibration.scale * scores + calibration.offset
    if multi_label:
        fewer = (
            np.zeros(len(scores), np.float32)
            if among is None
            else lost_chances(calibration.chances, among, (calibration.few_chances, calibration.most_chances))
        )
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


def pooled(first: Floats, other: Floats, share: float | Floats) -> Floats:
    """Two judgements of the same windows combined by the weighted mean of their logits. share: the weight of `other`,
    or (classes,) its weight for each. A logarithmic opinion pool: Genest and Zidek 1986, "Combining Probability
    Distributions"."""
    rest = np.subtract(1, share)
    mean: Floats = rest * logit(first) + share * logit(other)
    return _sigmoid(mean).astype(np.float32)


def pooled_one(first: Floats, other: Floats, share: float | Floats) -> Floats:
    """The same where one class holds: the weighted mean of the logarithms, each row normalised to sum 1."""
    logs, other_logs = (np.log(np.maximum(part.astype(np.float64), _NEVER)) for part in (first, other))
    mean = (1 - share) * logs + share * other_logs
    powers = np.exp(mean - mean.max(axis=1, keepdims=True))
    result: Floats = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def any_logit(scores: Floats) -> Floats:
    """Multi-label: the logarithm of the summed odds of all labels, the logit of any holding. (n, labels) → (n,)."""
    summed: Floats = np.logaddexp.reduce(scores, axis=1)
    return summed


def lost_chances(chances: float, among: NDArray[np.intp], counted: tuple[int, int]) -> Floats:
    """How much each window's log-odds lose for the number of windows of its text. among: (n,) that number → (n,).
    counted: up to how many windows nothing is lost, and how many count at most. Where windows are not single sentences,
    counting more would help whoever hides harm in a long page."""
    few, most = counted
    return (chances * np.log(np.clip(among, few, most) / few)).astype(np.float32)


def logit(probabilities: Floats) -> Floats:
    """The log-odds of probabilities, in 64 bits."""
    # in 32 bits, what lies near 1 cannot be told apart
    inside = np.clip(probabilities.astype(np.float64), _NEARLY_NEVER, 1 - _NEARLY_NEVER)
    return np.log(inside) - np.log1p(-inside)


def _sigmoid(scaled: Floats) -> Floats:
    squashed: Floats = np.multiply(0.5, 1.0 + np.tanh(0.5 * scaled))
    return squashed


Places = NDArray[np.intp]

LIKELIEST = 8
"""Classes that are voted on. With 8 of 77, none of 1,155 texts got another label than with all."""

_NO_LABEL = 1e-30


def nearest_logits(nearest: Nearest, exemplars: Floats, vectors: Floats, scores: Floats) -> Floats:
    """The votes to add to a linear head's scores, (n, classes).

    exemplars: (m, dimensions), vectors: (n, dimensions), both of length 1; scores: (n, classes) of the linear head.

    A class's vote is share * log(mean of exp(sharpness * (cosine - 1)) over its exemplars); at most zero. A class
    outside a text's LIKELIEST gets the least of their votes.
    """
    if scores.shape[1] <= LIKELIEST:
        return votes(nearest, vectors @ exemplars.T)
    result = np.empty(scores.shape, np.float32)
    likely = _likeliest(scores)
    starts, ends = (np.searchsorted(nearest.owners, likely, side) for side in ("left", "right"))
    for row, vector in enumerate(vectors):
        places = zip(starts[row].tolist(), ends[row].tolist(), strict=True)
        cosines = np.concatenate([exemplars[start:end] @ vector for start, end in places])
        counts = ends[row] - starts[row]
        voted = _vote(nearest, cosines[None], np.cumsum(counts) - counts, counts)[0]
        result[row] = voted.min()
        result[row, likely[row]] = voted
    return result


def votes(nearest: Nearest, cosines: Floats) -> Floats:
    """cosines: (n, exemplars) of texts to all exemplars → (n, classes) votes on all classes."""
    starts = np.flatnonzero(np.diff(nearest.owners, prepend=-1))
    return _vote(nearest, cosines, starts, np.diff(np.append(starts, len(nearest.owners))))


def among_likeliest(voted: Floats, scores: Floats) -> Floats:
    """Votes on all classes, limited to the LIKELIEST as in `nearest_logits`. voted, scores: (n, classes)."""
    if scores.shape[1] <= LIKELIEST:
        return voted
    likely = _likeliest(scores)
    top = np.take_along_axis(voted, likely, axis=1)
    result = np.repeat(top.min(axis=1, keepdims=True), scores.shape[1], axis=1)
    np.put_along_axis(result, likely, top, axis=1)
    return result


def _vote(nearest: Nearest, cosines: Floats, starts: Places, counts: Places) -> Floats:
    """cosines: (n, m); starts, counts: (classes,) of each class's exemplars among the m, at least one."""
    kernel = np.exp(nearest.sharpness * (cosines - 1))
    means = np.add.reduceat(kernel, starts, axis=1) / counts
    return (nearest.share * np.log(np.maximum(means, _NO_LABEL))).astype(np.float32)


def _likeliest(scores: Floats) -> Places:
    """(n, LIKELIEST) classes, in no order."""
    return np.argpartition(scores, -LIKELIEST, axis=1)[:, -LIKELIEST:]
