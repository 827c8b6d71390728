"""Where several labels may hold: each label's scores → a probability that can be believed. Pure.

Platt 1999, "Probabilistic Outputs for Support Vector Machines", with its smoothed targets.
"""

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.linear import any_logit, lost_chances, pooled
from classifiers.model import Calibration, Floats

EARLIER_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""How much a small stage may count beside a large one."""

CHANCES, _CHANCES_GIVE = 0.7, 0.2
"""How much of log n the log-odds of each of a text's n windows lose where held-out text tells little, and how far that
is from certain: 0.6 and 0.85 where there was plenty. Of windows that have nothing to do with each other it would be
all (Bonferroni). docs/design/020-long-texts.md."""

_CHANCES_TRIED = tuple(percent / 100 for percent in range(0, 101, 5))

_LEAST_SCALE = 1e-3
"""A label's probability never falls while its score rises."""


def fit(logits: Floats, holds: NDArray[np.bool_], fewer: Floats | None = None) -> tuple[float, float]:
    """(scale, offset) by which sigmoid(scale * logit + offset - fewer) is a label's probability. All (n,)."""
    if not _tells(holds):
        return 1.0, 0.0
    positives = int(holds.sum())
    high, low = (positives + 1) / (positives + 2), 1 / (len(holds) - positives + 2)
    target = np.where(holds, high, low)
    rows = np.column_stack([logits.astype(np.float64), np.ones(len(logits))])
    less = np.zeros(len(holds)) if fewer is None else fewer.astype(np.float64)
    solution = np.array([1.0, 0.0])
    for _ in range(50):
        guess = 1 / (1 + np.exp(-np.clip(rows @ solution - less, -40, 40)))
        slope = rows.T @ (guess - target) + 1e-6 * solution
        curve = (rows * (guess * (1 - guess))[:, None]).T @ rows + 1e-6 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        # a full Newton step may overshoot where nearly all is decided
        solution = solution - step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    scale, offset = solution.tolist()
    if scale > _LEAST_SCALE:
        return scale, offset
    # scores that tell nothing, or the contrary: all that is left is how often the label holds
    often, offset = float(target.mean()), 0.0
    for _ in range(50):
        guess = 1 / (1 + np.exp(-np.clip(_LEAST_SCALE * rows[:, 0] + offset - less, -40, 40)))
        offset += float(np.clip((often - guess.mean()) / max((guess * (1 - guess)).mean(), 1e-6), -5, 5))
    return _LEAST_SCALE, offset


def any_of(
    logits: Floats, holds: NDArray[np.bool_], whole: Floats | None = None, among: NDArray[np.intp] | None = None
) -> Calibration:
    """Multi-label: each label for itself, and whether any holds at all where that differs from text to text.

    logits, holds: (n, labels). whole: (n,) the logits of any label holding, where not those of these logits: of a text
    of several windows either is the highest that one window has, since each is judged for itself. among: (n,) how many
    windows each text has, where not one.
    """
    held: NDArray[np.bool_] = np.asarray(holds.any(axis=1), bool)
    among = np.ones(len(held), np.intp) if among is None else among
    whole = any_logit(logits) if whole is None else whole
    chances = chances_of(whole, held, among)
    fewer = lost_chances(chances, among)
    fits = [fit(scores, truth, fewer) for scores, truth in zip(logits.T, holds.T, strict=True)]
    return Calibration(
        scale=np.array([scale for scale, _ in fits], np.float32),
        offset=np.array([offset for _, offset in fits], np.float32),
        whole=fit(whole, held, fewer) if _tells(held) else None,
        chances=chances,
    )


def chances_of(logits: Floats, held: NDArray[np.bool_], among: NDArray[np.intp]) -> float:
    """How much of log n the log-odds of a text of n windows lose, so that long text is judged as surely as short.

    logits: (n,) the highest that any window has, of any label holding; held: (n,) whether any does; among: (n,) windows
    of each text.
    """
    if not _tells(held):
        return CHANCES

    def surprise(chances: float) -> float:
        fewer = lost_chances(chances, among)
        scale, offset = fit(logits, held, fewer)
        told = np.logaddexp(0, np.where(held, -1, 1) * (scale * logits.astype(np.float64) + offset - fewer)).sum()
        return float(told) + ((chances - CHANCES) / _CHANCES_GIVE) ** 2 / 2

    return min(_CHANCES_TRIED, key=surprise)


def loss(logits: Floats, holds: NDArray[np.bool_], among: NDArray[np.intp]) -> float:
    """How unlikely scores make the truth, each label calibrated for itself; the mean over labels. logits, holds:
    (n, labels); among: (n,) windows of each text."""
    losses, fewer = [], lost_chances(CHANCES, among)
    for scores, held in zip(logits.T, holds.T, strict=True):
        scale, offset = fit(scores, held, fewer)
        signed = np.where(held, 1, -1) * (scale * scores + offset - fewer)
        losses.append(float(np.logaddexp(0, -signed).mean()))
    return float(np.mean(losses)) if losses else 0.0


def earlier_share(small: Floats, large: Floats, holds: NDArray[np.bool_]) -> float:
    """How much a small stage counts beside a large one: what makes it likeliest whether any label holds.

    small, large: (n, labels) probabilities of held-out text by either; holds: (n, labels).
    """
    held: NDArray[np.bool_] = np.asarray(holds.any(axis=1), bool)
    tops = {share: pooled(large, small, share).max(axis=1) for share in EARLIER_SHARES}
    return min(tops, key=lambda share: _surprise(tops[share], held))


def _tells(holds: NDArray[np.bool_]) -> bool:
    """Whether there is enough of either sort to calibrate by. holds: (n,)."""
    return bool(2 <= holds.sum() <= len(holds) - 2)


def _surprise(probabilities: Floats, held: NDArray[np.bool_]) -> float:
    """Mean negative log-likelihood. probabilities, held: (n,)."""
    told = np.clip(np.where(held, probabilities, 1 - probabilities), np.finfo(np.float32).tiny, 1)
    return float(-np.log(told).mean()) if len(told) else 0.0
