"""Held-out scores → calibrated probabilities, and the thresholds that meet a goal. Pure.

Single-label: temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks") with Platt's smoothed
targets, and an offset for each class (bias-corrected, Alexandari, Kundaje, Shrikumar 2020): a class that the head names
too readily is too sure where it matters, among the surest answers. Multi-label: Platt 1999, "Probabilistic Outputs for
Support Vector Machines", for each label.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.metrics import ROUNDING, Reach, fewest, most, risk_coverage
from classifiers.model.model import NEVER, Calibration, Floats, Threshold, Usual
from classifiers.runtime.heads import any_logit, lost_chances, pooled, probabilities
from classifiers.training.fit.linear import Ints

SHARES = (0.0, 0.25, 0.5, 0.75)
"""Shares of nearest sentences to try; the one that makes held-out text likeliest is taken."""

FINE_GRAINED, FINE_GRAINED_SHARE, FINE_GRAINED_SHARPNESS = 20, 0.5, 30.0
"""From so many labels on, nearest sentences count at least this much. Such labels are narrow, and text by other writers
gains, which held-out text by the same writer cannot show (docs/design/001-heads-and-thresholds.md)."""

FEW_ROWS_SHARE, FEW_ROWS_SHARPNESS = 0.5, 20.0
"""Used where there is too little held-out text to choose by."""

DEFAULT_ERROR = 0.05
"""The share of answers that may be wrong where the policy states no goal."""

_FEW_ROWS_A_CLASS = 4
_LOWEST_ACT, _HIGHEST_ACT = 0.25, 0.8
_UNUSUAL = 0.005
_LEAST_USUAL_ROWS, _LEAST_OF_A_LABEL = 20, 3
_LEAST_LIKELY = 0.5


def temperature(logits: Floats, truth: Ints) -> float:
    """The scale at which softmax(scale * logits) makes the `smoothed` truth likeliest. logits: (n, classes); truth:
    (n,)."""
    expected = (smoothed(logits, truth) * logits).sum(axis=1)

    def surprise(scale: float) -> float:
        return float((_log_sum(logits * np.float32(scale)) - scale * expected).mean())

    scales = np.exp(np.linspace(np.log(0.02), np.log(20), 61))
    losses = [surprise(scale) for scale in scales]
    best = int(np.argmin(losses))
    low, high = scales[max(best - 1, 0)], scales[min(best + 1, len(scales) - 1)]
    finer = np.exp(np.linspace(np.log(low), np.log(high), 21))
    return float(finer[int(np.argmin([surprise(scale) for scale in finer]))])


def smoothed(logits: Floats, truth: Ints) -> NDArray[np.float64]:
    """(n, classes): each row's truth by Platt's smoothing, (n + 1) / (n + 2), and the rest for its likeliest rival.

    Without it, a handful of rows that are all right would give an endless scale.

    logits: (n, classes); truth: (n,).
    """
    rows, rest = np.arange(len(truth)), 1 / (len(truth) + 2)
    rivals = logits.copy()
    rivals[rows, truth] = -np.inf
    targets = np.zeros(logits.shape)
    targets[rows, rivals.argmax(axis=1)] = rest
    targets[rows, truth] += 1 - rest
    return targets


def loss(logits: Floats, truth: Ints) -> float:
    """The log loss of single-label scores at their best temperature."""
    return _loss(logits, truth, temperature(logits, truth))


def nearest_share(logits: Floats, votes: dict[float, Floats], truth: Ints) -> tuple[float, float]:
    """(sharpness, share) of the nearest sentences' votes that makes held-out text likeliest."""
    fine = logits.shape[1] >= FINE_GRAINED
    if len(truth) < _FEW_ROWS_A_CLASS * logits.shape[1]:
        return FEW_ROWS_SHARPNESS, FEW_ROWS_SHARE
    best = (np.inf, FEW_ROWS_SHARPNESS, 0.0)
    for sharpness, vote in votes.items():
        if fine and sharpness < FINE_GRAINED_SHARPNESS:
            continue
        for share in SHARES:
            if fine and share < FINE_GRAINED_SHARE:
                continue
            scores = logits + np.float32(share) * vote
            loss = _loss(scores, truth, temperature(scores, truth))
            best = min(best, (loss, sharpness, share))
    return best[1], best[2]


def act_for_error(confidences: Floats, correct: NDArray[np.bool_], max_error: float) -> Reach | None:
    """The lowest threshold at which at most `max_error` of the answers are wrong; None if there is none."""
    reached = [point for point in risk_coverage(confidences, correct) if point.error <= max_error + ROUNDING]
    return max(reached, key=lambda point: point.answered, default=None)


def nearest_reach(
    confidences: Floats, correct: NDArray[np.bool_], counted: NDArray[np.bool_], least: int
) -> Reach | None:
    """The point of least error among those that answer `least` of the counted rows, or as many as possible.

    Of equal points the one that answers most. confidences, correct, counted: (n,)."""
    points = risk_coverage(confidences, correct)
    sure = np.sort(confidences[counted])
    answered = [len(sure) - int(np.searchsorted(sure, np.float32(point.act))) for point in points]
    enough = [point for point, count in zip(points, answered, strict=True) if count >= min(least, len(sure))]
    return min(enough, key=lambda point: (point.error, -point.answered), default=None)


def default_act(confidences: Floats, correct: NDArray[np.bool_]) -> float:
    """The threshold where the policy states no goal: at most one answer in twenty wrong, but between 0.25 and 0.8.

    Texts certain to 0.8 are answered even where more answers are wrong, since nobody asked for the aim.
    """
    reach = act_for_error(confidences, correct, DEFAULT_ERROR)
    wanted = reach.act if reach else _HIGHEST_ACT
    return float(np.clip(wanted, _LOWEST_ACT, _HIGHEST_ACT))


def topic_threshold(
    probabilities: Floats, *, holds: NDArray[np.bool_], max_error: float | None, most_doubt: float
) -> Threshold:
    """A topic's thresholds. act: at most `max_error` of the texts above it are wrong (`NEVER`'s if impossible); without
    a goal, best F1 (Yang 2001). unsure: as few of the label's texts are below it, unless more than `most_doubt` of
    other text would be in doubt.
    """
    if max_error is None:
        max_error = DEFAULT_ERROR
        act = float(np.clip(_best_f1(probabilities, holds), _LOWEST_ACT, _HIGHEST_ACT))
    else:
        reach = act_for_error(probabilities, holds, max_error)
        act = reach.act if reach else NEVER.act
    mine, others = np.sort(probabilities[holds]), np.sort(probabilities[~holds])[::-1]
    missed = float(mine[min(most(max_error, len(mine)), len(mine) - 1)]) if len(mine) else act
    doubt = float(others[min(most(most_doubt, len(others)), len(others) - 1)]) if len(others) else 0.0
    return Threshold(act=act, unsure=float(np.clip(max(missed, doubt), 0.0, act)))


def _best_f1(probabilities: Floats, holds: NDArray[np.bool_]) -> float:
    """The threshold of best F1, halfway to the next lower probability."""
    if not holds.any():
        return 1.0
    order = np.argsort(-probabilities, kind="stable")
    named = np.arange(1, len(order) + 1)
    f1 = 2 * np.cumsum(holds[order]) / (named + holds.sum())
    best = int(f1.argmax())
    below = probabilities[order[best + 1]] if best + 1 < len(order) else 0.0
    return float(probabilities[order[best]] + below) / 2


def safety_threshold(
    probabilities: Floats,
    *,
    holds: NDArray[np.bool_],
    harmless: NDArray[np.bool_],
    catch: float,
    false_alarms: float,
    most_doubt: float,
    stated: Collection[str],
) -> Threshold:
    """act: so that at most `false_alarms` of harmless text reaches it; unsure: so that `catch` of the label's text
    does, unless more than `most_doubt` of harmless text would then be in doubt.

    Where the two leave room between them, act lies halfway, so that neither side is at the edge. It does not lie below
    one half: training text holds far more of what is harmful than traffic does, so that what is unlikely even there
    must not be acted on. Only where the policy has stated the goal it goes as low as that needs. stated: which of
    `catch` and `false_alarms` the policy names; where that is false_alarms alone, all of them are allowed as long as
    that catches more, and where it is catch alone, as many as that takes.
    """
    negative, positive = probabilities[harmless], probabilities[holds]
    highest = np.sort(negative)[::-1]
    alarm = float(np.append(highest, 0.0)[most(false_alarms, len(negative))]) if len(negative) else 0.5
    missed = min(len(positive) - fewest(catch, len(positive)), len(positive) - 1)
    caught = float(np.sort(positive)[missed]) if len(positive) else 0.5
    aim = float(positive.min()) if set(stated) == {"false_alarms"} and len(positive) else caught
    act = (alarm + aim) / 2 if aim > alarm else float(np.nextafter(np.float32(alarm), np.float32(1)))
    least = min(_LEAST_LIKELY, max(aim, alarm)) if stated else _LEAST_LIKELY
    act = float(np.clip(act, least, 1.0))
    if set(stated) == {"catch"} and len(positive):
        act = min(act, caught)
    doubt = float(highest[min(most(most_doubt, len(highest)), len(highest) - 1)]) if len(highest) else 0.0
    return Threshold(act=act, unsure=float(np.clip(max(caught, doubt), 0.0, act)))


def usual(largest: Floats, truth: Ints, counted: NDArray[np.bool_]) -> Usual | None:
    """The usual largest logits of the policy's own text; None where there are too few rows.

    Each label counts equally, so that a thousand alike rows of one do not make the few of another unusual, and the
    level is at most the median of any label. Labels with only one or two rows count less, so that
    an error among them does not make everything usual. largest, truth: (n,) of held-out rows; counted: (n,)
    which rows to judge by.
    """
    if counted.sum() < _LEAST_USUAL_ROWS:
        return None
    shown, sizes = np.bincount(truth) >= _LEAST_OF_A_LABEL, np.bincount(truth[counted])
    alike = np.where(shown[truth[counted]], sizes[truth[counted]], sizes.max())
    level, middle = _quantiles(largest[counted], 1 / alike, (_UNUSUAL, 0.5))
    middles = [float(np.median(largest[truth == label])) for label in np.flatnonzero(shown)]
    level = min([level, *middles])
    return Usual(level=level, width=max((middle - level) / 4, 1e-3))


def _quantiles(values: Floats, weights: NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    """As `np.quantile`, with weights. values, weights: (n,)."""
    order = np.argsort(values, kind="stable")
    behind = weights[order].cumsum() - weights[order]
    return np.interp(shares, behind / max(behind[-1], 1e-12), values[order]).tolist()


def _loss(logits: Floats, truth: Ints, scale: float) -> float:
    scaled = logits * np.float32(scale)
    return float((_log_sum(scaled) - scaled[np.arange(len(truth)), truth]).mean())


def _log_sum(scaled: Floats) -> Floats:
    top = scaled.max(axis=1)
    total: Floats = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return total


_SPREAD = 0.5
"""The prior standard deviation of offsets: a class of few rows keeps an offset near 0."""
_FOLDS = 5


def fit_offsets(scores: Floats, truth: Ints, scale: float) -> Calibration:
    """The calibration that makes the truth likeliest, with offsets held near 0 by a prior.

    A class without rows gets no offset: missing rows do not make it rare.

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

    from scipy.optimize import minimize

    start = np.concatenate([[np.log(scale)], np.zeros(classes)])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    offset = np.zeros(scores.shape[1], np.float32)
    offset[shown] = best[1:]
    return Calibration(scale=np.exp(best[:1]).astype(np.float32), offset=offset)


def unseen(scores: Floats, truth: Ints, used: NDArray[np.bool_], scale: float, seed: int) -> Floats:
    """(n, classes) probabilities of held-out rows, each by a calibration fitted without it.

    So thresholds and reports are not flattered. used: (n,) the rows that calibrate.
    """
    fitted = probabilities(fit_offsets(scores[used], truth[used], scale), scores, multi_label=False)
    part = np.random.default_rng(seed).permutation(len(scores)) % _FOLDS
    for fold in range(_FOLDS):
        others, own = used & (part != fold), used & (part == fold)
        fitted[own] = probabilities(fit_offsets(scores[others], truth[others], scale), scores[own], multi_label=False)
    return fitted


EARLIER_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of a small stage to try in the average with a large one."""

CHANCES, _CHANCES_GIVE = 0.7, 0.2
"""How much of log n the log-odds of each of a text's n windows lose where held-out text tells little, and how far that
is from certain: 0.6 and 0.85 where there was plenty. Of windows that have nothing to do with each other it would be
all (Bonferroni). docs/design/001-heads-and-thresholds.md."""

_CHANCES_TRIED = tuple(percent / 100 for percent in range(0, 101, 5))

_LEAST_SCALE = 1e-3
"""The least scale, so that a label's probability never falls while its score rises."""


def fit_platt(logits: Floats, holds: NDArray[np.bool_], fewer: Floats | None = None) -> tuple[float, float]:
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
    # useless scores leave only how often the label holds
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
    fits = [fit_platt(scores, truth, fewer) for scores, truth in zip(logits.T, holds.T, strict=True)]
    return Calibration(
        scale=np.array([scale for scale, _ in fits], np.float32),
        offset=np.array([offset for _, offset in fits], np.float32),
        whole=fit_platt(whole, held, fewer) if _tells(held) else None,
        chances=chances,
    )


def chances_of(logits: Floats, held: NDArray[np.bool_], among: NDArray[np.intp]) -> float:
    """How much of log n the log-odds of a text of n windows lose, so that long and short text are judged alike.

    logits: (n,) the highest that any window has, of any label holding; held: (n,) whether any does; among: (n,) windows
    of each text.
    """
    if not _tells(held):
        return CHANCES

    def surprise(chances: float) -> float:
        fewer = lost_chances(chances, among)
        scale, offset = fit_platt(logits, held, fewer)
        loss = np.logaddexp(0, np.where(held, -1, 1) * (scale * logits.astype(np.float64) + offset - fewer)).sum()
        return float(loss) + ((chances - CHANCES) / _CHANCES_GIVE) ** 2 / 2

    return min(_CHANCES_TRIED, key=surprise)


def platt_loss(logits: Floats, holds: NDArray[np.bool_], among: NDArray[np.intp]) -> float:
    """The log loss with each label calibrated by itself, averaged over labels. logits, holds: (n, labels); among: (n,)
    windows of each text."""
    losses, fewer = [], lost_chances(CHANCES, among)
    for scores, held in zip(logits.T, holds.T, strict=True):
        scale, offset = fit_platt(scores, held, fewer)
        signed = np.where(held, 1, -1) * (scale * scores + offset - fewer)
        losses.append(float(np.logaddexp(0, -signed).mean()))
    return float(np.mean(losses)) if losses else 0.0


def earlier_share(small: Floats, large: Floats, holds: NDArray[np.bool_]) -> float:
    """The share of a small stage, averaged with a large one, that best predicts whether any label holds.

    small, large: (n, labels) probabilities of held-out text by either; holds: (n, labels).
    """
    held: NDArray[np.bool_] = np.asarray(holds.any(axis=1), bool)
    tops = {share: pooled(large, small, share).max(axis=1) for share in EARLIER_SHARES}
    return min(tops, key=lambda share: _surprise(tops[share], held))


def _tells(holds: NDArray[np.bool_]) -> bool:
    """Whether there are enough rows of either sort to calibrate by. holds: (n,)."""
    return bool(2 <= holds.sum() <= len(holds) - 2)


def _surprise(probabilities: Floats, held: NDArray[np.bool_]) -> float:
    """Mean negative log-likelihood. probabilities, held: (n,)."""
    likely = np.clip(np.where(held, probabilities, 1 - probabilities), np.finfo(np.float32).tiny, 1)
    return float(-np.log(likely).mean()) if len(likely) else 0.0
