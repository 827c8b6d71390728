"""What a first stage may settle, by what held-out text shows of it and of the model without it. Pure."""

from dataclasses import dataclass
from math import ceil, log

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats

MOST_LOST = 0.005
"""Of all texts: those that the encoder names rightly and the first stage, with 95 % confidence, does not."""
MOST_NET_LOST = 0.001
"""The same less those that only the first stage names rightly, as counted."""
CONFIDENCE = 0.95
LEAST_ROWS = ceil(log(1 - CONFIDENCE) / log(1 - MOST_LOST))
"""With fewer, not even none lost would show that few enough are."""
RARE = 20
"""Rows of a class, below which it is seen together with others like it that none of them is lost: among all rows a
label of three would not count, and whatever shares words with it is mostly something else."""
LEAST_SURE = 0.5
"""No threshold is lower."""

_FIRST_TESTED, _TESTED = 0.4, 20
"""Of what might be settled, and how many shares from there on. Beginning with fewer, one error among the surest ends
the sequence that many would not have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What both say of held-out rows. probabilities: (n, classes) of the first stage; known: (n,) whether it knows all
    of a text's tokens; truth: (n,) classes; right, before: (n,) whether it and the model without it name that; used:
    (n,) which rows count."""

    probabilities: Floats
    known: NDArray[np.bool_]
    truth: NDArray[np.int32]
    right: NDArray[np.bool_]
    before: NDArray[np.bool_]
    used: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where the first stage settles texts: from `act` on. Shares of all texts measured, but for the errors, which are
    of those settled: the first stage's, and what the model's was on the same texts without it."""

    act: float
    settled: float
    error: float
    error_before: float
    lost: float
    most_lost: float


def choose(told: Told, *, max_error: float = 1.0) -> Point | None:
    """The point that settles most texts among those that lose few enough; None where there is none.

    max_error: the most of what is settled that may be wrong, with 95 % confidence.
    """
    sure = np.where(told.known, told.probabilities.max(axis=1), 0.0)[told.used]
    order = np.argsort(-sure, kind="stable")
    sure, right, before = sure[order], told.right[told.used][order], told.before[told.used][order]
    total = len(sure)
    ends = np.flatnonzero(np.append(np.diff(sure) != 0, True)) if total else np.zeros(0, np.intp)
    ends = ends[sure[ends] >= LEAST_SURE]
    lost, gained, wrong, wrong_before = (
        np.cumsum(found, dtype=np.int64)[ends] for found in (~right & before, right & ~before, ~right, ~before)
    )
    settled, most_lost = ends + 1, highest_share(lost, total)
    few = rare(told.truth, told.used)[told.used][order]
    lost_of_few = np.cumsum(few * (before.astype(np.int64) - right))[ends]
    fit = (most_lost <= MOST_LOST) & (lost - gained <= MOST_NET_LOST * total) & (lost_of_few <= 0)
    fit &= _few_wrong(wrong, settled, max_error)
    if not fit.any():
        return None
    best = int(np.flatnonzero(fit)[-1])
    return Point(
        act=float(sure[ends[best]]),
        settled=float(settled[best] / total),
        error=float(wrong[best] / settled[best]),
        error_before=float(wrong_before[best] / settled[best]),
        lost=float(lost[best] / total),
        most_lost=float(most_lost[best]),
    )


def rare(truth: NDArray[np.int32], used: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) which of the `used` rows are of a class that hardly any of these is of. truth: (n,) classes."""
    counts = np.bincount(truth[used], minlength=int(truth.max(initial=0)) + 1)
    found: NDArray[np.bool_] = used & (counts[truth] < RARE)
    return found


def _few_wrong(wrong: NDArray[np.int64], settled: NDArray[np.intp], max_error: float) -> NDArray[np.bool_]:
    """(points,) where no more than `max_error` of what is settled is wrong, with 95 % confidence for whichever of them
    is taken: shares chosen before are tested from the surest texts on, up to the first that fails (fixed sequence
    testing: Angelopoulos et al. 2021, "Learn then Test"). wrong, settled: (points,) counts, ascending.
    """
    if max_error >= 1:
        return np.ones(len(settled), bool)
    found = np.zeros(len(settled), bool)
    allowing_one = np.flatnonzero(highest_share(np.ones_like(wrong), settled) <= max_error)
    if len(allowing_one):
        first = max(settled[allowing_one[0]], _FIRST_TESTED * settled[-1])
        tested = np.unique(np.searchsorted(settled, np.linspace(first, settled[-1], _TESTED)))
        held = highest_share(wrong[tested], settled[tested]) <= max_error
        found[tested[np.logical_and.accumulate(held)]] = True
    return found


def least_share(count: int, total: int, confidence: float) -> float:
    """The share that lies below what was counted with that confidence (Clopper and Pearson 1934, one-sided)."""
    from scipy.special import betaincinv

    return float(betaincinv(count, total - count + 1.0, 1 - confidence)) if count else 0.0


def highest_share(counts: NDArray[np.integer], totals: NDArray[np.integer] | int) -> NDArray[np.float64]:
    """The share that lies above what was counted with 95 % confidence (Clopper and Pearson 1934, one-sided)."""
    from scipy.special import betaincinv

    highest = betaincinv(counts + 1.0, np.maximum(np.asarray(totals) - counts, 1e-9), CONFIDENCE)
    return np.where(counts >= totals, 1.0, highest)
