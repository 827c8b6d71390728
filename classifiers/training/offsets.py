"""Single-label scores → probabilities by one scale and an offset for each class: bias-corrected temperature scaling
(Alexandari, Kundaje, Shrikumar 2020). Pure.

A class that the head names too readily is a little too sure at every height. Where only the surest answers are given,
under a contract or a strict goal, that is where the errors are.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from classifiers.heads.linear import probabilities
from classifiers.model import Calibration, Floats
from classifiers.training.fit.linear import Ints

_SPREAD = 0.5
"""Of offsets, as a standard deviation, before any row is seen: a class of few rows keeps an offset near 0."""
_FOLDS = 5


def fit(scores: Floats, truth: Ints, scale: float) -> Calibration:
    """The calibration that makes the truth likeliest, offsets held near 0 by their prior. A class without any row has
    none, and is not told from the others: that nobody gave rows of it does not make it rare.

    scores: (n, classes), held out; truth: (n,); scale: to begin with, the best one without offsets.
    """
    shown, own = np.unique(truth, return_inverse=True)
    count, classes = len(scores), len(shown)
    wide = scores[:, shown].astype(np.float64)
    hits = np.zeros((count, classes))
    hits[np.arange(count), own] = 1

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        sharpness, offset = np.exp(flat[0]), flat[1:]
        logits = sharpness * wide + offset
        logits -= logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        slope = np.exp(logits - log_sum) - hits
        prior = offset / _SPREAD**2
        surprise = float(log_sum.sum() - logits[hits == 1].sum()) + 0.5 * float(offset @ prior)
        return surprise, np.concatenate([[sharpness * float((slope * wide).sum())], slope.sum(axis=0) + prior])

    start = np.concatenate([[np.log(scale)], np.zeros(classes)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    offset = np.zeros(scores.shape[1], np.float32)
    offset[shown] = found[1:]
    return Calibration(scale=np.exp(found[:1]).astype(np.float32), offset=offset)


def unseen(scores: Floats, truth: Ints, used: NDArray[np.bool_], scale: float, seed: int) -> Floats:
    """(n, classes) probabilities of held-out rows by calibrations that were fitted without them, so that thresholds and
    reports are not flattered by what calibrates. used: (n,) the rows that calibrate."""
    found = probabilities(fit(scores[used], truth[used], scale), scores, multi_label=False)
    part = np.random.default_rng(seed).permutation(len(scores)) % _FOLDS
    for fold in range(_FOLDS):
        others, own = used & (part != fold), used & (part == fold)
        found[own] = probabilities(fit(scores[others], truth[others], scale), scores[own], multi_label=False)
    return found
