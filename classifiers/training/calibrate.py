"""Held-out scores → calibrated probabilities, and the thresholds that meet a goal. Pure.

Single-label: temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks") with Platt's smoothed
targets, and an offset for each class (bias-corrected, Alexandari, Kundaje, Shrikumar 2020): a class that the head names
too readily is too sure where it matters, among the surest answers. Multi-label: Platt 1999, "Probabilistic Outputs for
Support Vector Machines", for each label.
"""

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.metrics import ROUNDING, Reach, fewest, most, risk_coverage
from classifiers.model.model import NEVER, Bools, Calibration, Floats, Threshold, Usual
from classifiers.runtime.heads import lost_chances, pooled, probabilities
from classifiers.training.fit.linear import Ints

SHARES = (0.0, 0.25, 0.5, 0.75)
"""Shares of nearest sentences to try; the one that makes held-out text likeliest is taken."""

FINE_GRAINED, FINE_GRAINED_SHARE, FINE_GRAINED_SHARPNESS = 20, 0.5, 30.0
"""From so many labels on, nearest sentences count at least this much. Such labels are narrow, and text by other writers
gains, which held-out text by the same writer cannot show (docs/design/001-heads-and-thresholds.md)."""

DEFAULT_ERROR, LOWEST_ACT, HIGHEST_ACT = 0.05, 0.25, 0.8
"""Where the policy states no goal: the share of answers that may be wrong, and limits of the threshold. Nobody asked
for the aim, so topics certain to 0.8 are named even where more are wrong."""

ONE_LABEL_ACTS, ONE_LABEL_ACTS_BY_WRITTEN_TEXT = (0.25, 0.95), (0.8, 0.95)
"""The same limits of policies that name one label, and where few or no real rows show how much is wrong. Written text
shows too little of it: from 0.7 on, 5 % of it and 14 % of a bank's messages."""

_FEW_ROWS_A_CLASS, _FEW_ROWS = 4, (20.0, 0.5)
_UNUSUAL = 0.005
_LEAST_USUAL_ROWS, _LEAST_OF_A_LABEL = 20, 3
_LEAST_LIKELY = 0.5
_FOLDS = 5
_SPREAD = 0.5
"""The prior standard deviation of offsets: a class of few rows keeps an offset near 0."""

EARLIER_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of a small stage to try in the average with a large one."""

WINDOWS_COUNTED, PARTS_COUNTED = (1, 8), (4, 64)
"""Up to how many windows, or windows and parts, of a text nothing is lost, and how many count: a sentence in front of
harm makes four of one (docs/design/004-guards.md)."""

CHANCES, _CHANCES_GIVE = 0.7, 0.2
"""How much of log n the log-odds of each of a text's n windows lose where held-out text tells little, and how far that
is from certain: 0.6 and 0.85 where there was plenty. Of windows that have nothing to do with each other it would be
all (Bonferroni). docs/design/001-heads-and-thresholds.md."""

PARTS_CHANCES = 0.5
"""Where parts are read it is set, not fitted (docs/design/004-guards.md)."""

_LEAST_SCALE = 1e-3
"""The least scale, so that a label's probability never falls while its score rises."""


def temperature(logits: Floats, truth: Ints) -> float:
    """The scale at which softmax(scale * logits) makes the truth likeliest. logits: (n, classes); truth: (n,). Each
    row's truth counts (n + 1) / (n + 2), by Platt's smoothing, and its likeliest rival the rest; else a handful of rows
    that are all right would give an endless scale."""
    rows, rest = np.arange(len(truth)), 1 / (len(truth) + 2)
    rivals = logits.copy()
    rivals[rows, truth] = -np.inf
    targets = np.zeros(logits.shape)
    targets[rows, rivals.argmax(axis=1)] = rest
    targets[rows, truth] += 1 - rest
    expected = (targets * logits).sum(axis=1)

    def surprise(scale: float) -> float:
        return float((_log_sum(logits * np.float32(scale)) - scale * expected).mean())

    scales = np.exp(np.linspace(np.log(0.02), np.log(20), 61))
    best = _lowest(surprise, scales)
    low, high = scales[max(best - 1, 0)], scales[min(best + 1, len(scales) - 1)]
    finer = np.exp(np.linspace(np.log(low), np.log(high), 21))
    return float(finer[_lowest(surprise, finer)])


def _lowest(convex: Callable[[float], float], places: NDArray[np.float64]) -> int:
    """The index of the place where a convex function is lowest, the first of equal ones. places: ascending."""
    first, last = 0, len(places) - 1
    while first < last:
        middle = (first + last) // 2
        if convex(places[middle]) <= convex(places[middle + 1]):
            last = middle
        else:
            first = middle + 1
    return first


def loss(logits: Floats, truth: Ints) -> float:
    """The log loss of single-label scores at their best temperature. logits: (n, classes); truth: (n,)."""
    scaled = logits * np.float32(temperature(logits, truth))
    return float((_log_sum(scaled) - scaled[np.arange(len(truth)), truth]).mean())


def nearest_share(logits: Floats, votes: dict[float, Floats], truth: Ints) -> tuple[float, float]:
    """(sharpness, share) of the nearest sentences' votes that makes held-out text likeliest."""
    if len(truth) < _FEW_ROWS_A_CLASS * logits.shape[1]:
        return _FEW_ROWS
    least = (FINE_GRAINED_SHARPNESS, FINE_GRAINED_SHARE) if logits.shape[1] >= FINE_GRAINED else (0.0, 0.0)
    tried = [
        (loss(logits + np.float32(share) * vote, truth), sharpness, share)
        for sharpness, vote in votes.items()
        for share in SHARES
        if sharpness >= least[0] and share >= least[1]
    ]
    return min(tried)[1:] if tried else (_FEW_ROWS[0], 0.0)


def act_for_error(
    confidences: Floats, correct: Bools, max_error: float, weights: NDArray[np.float64] | None = None
) -> Reach | None:
    """The lowest threshold at which at most `max_error` of the answers are wrong; None if there is none. weights: as
    of `risk_coverage`."""
    reached = [point for point in risk_coverage(confidences, correct, weights) if point.error <= max_error + ROUNDING]
    return max(reached, key=lambda point: point.answered, default=None)


def nearest_reach(
    confidences: Floats, correct: Bools, counted: Bools, least: int, weights: NDArray[np.float64] | None = None
) -> Reach | None:
    """The point of least error among those that answer `least` of the counted rows, or as many as possible. Of equal
    points the one that answers most. confidences, correct, counted: (n,); weights: as of `risk_coverage`."""
    points = risk_coverage(confidences, correct, weights)
    sure = np.sort(confidences[counted])
    answered = [len(sure) - int(np.searchsorted(sure, np.float32(point.act))) for point in points]
    enough = [point for point, count in zip(points, answered, strict=True) if count >= min(least, len(sure))]
    return min(enough, key=lambda point: (point.error, -point.answered), default=None)


def topic_threshold(probabilities: Floats, *, holds: Bools, max_error: float | None, most_doubt: float) -> Threshold:
    """A topic's thresholds. act: at most `max_error` of the texts above it are wrong (`NEVER`'s if impossible); without
    a goal, best F1 (Yang 2001). unsure: as few of the label's texts are below it, unless more than `most_doubt` of
    other text would be in doubt."""
    if max_error is None:
        max_error = DEFAULT_ERROR
        order = np.argsort(-probabilities, kind="stable")
        f1 = 2 * np.cumsum(holds[order]) / (np.arange(1, len(order) + 1) + holds.sum())
        # halfway to the next lower probability
        edge = np.append(probabilities[order], np.float32(0))[int(f1.argmax()) :][:2]
        act = float(np.clip(float(edge.sum()) / 2 if holds.any() else 1.0, LOWEST_ACT, HIGHEST_ACT))
    else:
        reach = act_for_error(probabilities, holds, max_error)
        act = reach.act if reach else NEVER.act
    missed = _at(np.sort(probabilities[holds]), max_error, act)
    doubt = _at(np.sort(probabilities[~holds])[::-1], most_doubt, 0.0)
    return Threshold(act=act, unsure=float(np.clip(max(missed, doubt), 0.0, act)))


def _at(ordered: Floats, share: float, default: float) -> float:
    return float(ordered[min(most(share, len(ordered)), len(ordered) - 1)]) if len(ordered) else default


def safety_threshold(
    probabilities: Floats,
    *,
    holds: Bools,
    harmless: Bools,
    catch: float,
    false_alarms: float,
    most_doubt: float,
    stated: Collection[str],
) -> Threshold:
    """act: so that at most `false_alarms` of harmless text reaches it; unsure: so that `catch` of the label's text
    does, unless more than `most_doubt` of harmless text would then be in doubt.

    Where the two leave room between them, act lies halfway. It does not lie below one half, since training text holds
    far more harm than traffic does, unless a stated goal needs that. stated: which of `catch` and `false_alarms` the
    policy names; false_alarms alone allows all of them as long as that catches more, catch alone as many as that takes.
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
    doubt = _at(highest, most_doubt, 0.0)
    return Threshold(act=act, unsure=float(np.clip(max(caught, doubt), 0.0, act)))


def usual(largest: Floats, truth: Ints, counted: Bools) -> Usual | None:
    """The usual largest logits of the policy's own text; None where there are too few rows.

    Each label counts equally, and the level is at most the median of any label. Labels with only one or two rows count
    less, so that an error among them does not make everything usual. largest, truth: (n,) of held-out rows; counted:
    (n,) which rows to judge by.
    """
    if counted.sum() < _LEAST_USUAL_ROWS:
        return None
    shown, sizes = np.bincount(truth) >= _LEAST_OF_A_LABEL, np.bincount(truth[counted])
    alike = np.where(shown[truth[counted]], sizes[truth[counted]], sizes.max())
    order = np.argsort(largest[counted], kind="stable")
    behind = np.cumsum((1 / alike)[order]) - (1 / alike)[order]
    level, middle = np.interp((_UNUSUAL, 0.5), behind / max(behind[-1], 1e-12), largest[counted][order]).tolist()
    middles = [float(np.median(largest[truth == label])) for label in np.flatnonzero(shown)]
    level = min([level, *middles])
    return Usual(level=level, width=max((middle - level) / 4, 1e-3))


def _log_sum(scaled: Floats) -> Floats:
    top = scaled.max(axis=1)
    total: Floats = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return total


def fit_offsets(scores: Floats, truth: Ints, scale: float, offsets: Floats | None = None) -> Calibration:
    """The calibration that makes the truth likeliest, with offsets held near 0 by a prior. A class without rows gets no
    offset: missing rows do not make it rare. scores: (n, classes), held out; truth: (n,); scale, offsets: to begin
    with, such as the best scale without offsets."""
    shown, own = np.unique(truth, return_inverse=True)
    wide, hits = scores[:, shown].astype(np.float64), np.eye(len(shown))[own]

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

    start = np.array([np.log(scale), *(np.zeros(len(shown)) if offsets is None else offsets[shown])])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    offset = np.zeros(scores.shape[1], np.float32)
    offset[shown] = best[1:]
    return Calibration(scale=np.exp(best[:1]).astype(np.float32), offset=offset)


def unseen(scores: Floats, truth: Ints, used: Bools, calibration: Calibration, seed: int) -> Floats:
    """(n, classes) probabilities of held-out rows, each by a calibration fitted without it. So thresholds and reports
    are not flattered. used: (n,) the rows that calibrate; calibration: of all of them."""
    fitted, start = probabilities(calibration, scores, multi_label=False), (calibration.scale[0], calibration.offset)
    part = np.random.default_rng(seed).permutation(len(scores)) % _FOLDS
    for fold in range(_FOLDS):
        others, own = used & (part != fold), used & (part == fold)
        fitted[own] = probabilities(fit_offsets(scores[others], truth[others], *start), scores[own], multi_label=False)
    return fitted


def fit_platt(logits: Floats, holds: Bools, fewer: Floats | None = None) -> tuple[float, float]:
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
    logits: Floats,
    holds: Bools,
    *,
    whole: Floats,
    among: NDArray[np.intp],
    counted: tuple[int, int] = WINDOWS_COUNTED,
    shared: bool = False,
) -> Calibration:
    """Multi-label: each label for itself, and whether any holds at all where that differs from text to text.

    logits, holds: (n, labels), of a text's highest window. whole: (n,) the highest logits of any label holding. among:
    (n,) how many windows each text has. shared: whether labels take the fit of whether any holds, since their own rows
    are few and the network knows them apart.
    """
    held: Bools = np.asarray(holds.any(axis=1))
    chances = PARTS_CHANCES if shared else _chances_of(whole, held, among, counted)
    fewer = lost_chances(chances, among, counted)
    together = fit_platt(whole, held, fewer) if _tells(held) else None
    if together is not None and shared:
        fits = [together] * holds.shape[1]
    else:
        fits = [fit_platt(scores, truth, fewer) for scores, truth in zip(logits.T, holds.T, strict=True)]
    scales, offsets = (np.array(part, np.float32) for part in zip(*fits, strict=True))
    return Calibration(
        scale=scales, offset=offsets, whole=together, chances=chances, few_chances=counted[0], most_chances=counted[1]
    )


def _chances_of(logits: Floats, held: Bools, among: NDArray[np.intp], counted: tuple[int, int]) -> float:
    """How much of log n the log-odds of a text of n windows lose, so that long and short text are judged alike."""
    if not _tells(held):
        return CHANCES

    def surprise(chances: float) -> float:
        fewer = lost_chances(chances, among, counted)
        scale, offset = fit_platt(logits, held, fewer)
        loss = np.logaddexp(0, np.where(held, -1, 1) * (scale * logits.astype(np.float64) + offset - fewer)).sum()
        return float(loss) + ((chances - CHANCES) / _CHANCES_GIVE) ** 2 / 2

    return min((percent / 100 for percent in range(0, 101, 5)), key=surprise)


def platt_loss(logits: Floats, holds: Bools, among: NDArray[np.intp]) -> float:
    """The log loss with each label calibrated by itself, averaged over labels. logits, holds: (n, labels); among: (n,)
    windows of each text."""
    losses, fewer = [], lost_chances(CHANCES, among, WINDOWS_COUNTED)
    for scores, held in zip(logits.T, holds.T, strict=True):
        scale, offset = fit_platt(scores, held, fewer)
        losses.append(np.logaddexp(0, np.where(held, -1, 1) * (scale * scores + offset - fewer)).mean())
    return float(np.mean(losses))


def earlier_share(small: Floats, large: Floats, holds: Bools) -> float:
    """The share of a small stage, averaged with a large one, that best predicts whether any label holds. small, large:
    (n, labels) probabilities of held-out text by either; holds: (n, labels)."""
    held = holds.any(axis=1)
    tops = {share: pooled(large, small, share).max(axis=1) for share in EARLIER_SHARES}

    def surprise(share: float) -> float:
        likely = np.clip(np.where(held, tops[share], 1 - tops[share]), np.finfo(np.float32).tiny, 1)
        return float(-np.log(likely).mean()) if len(likely) else 0.0

    return min(tops, key=surprise)


def _tells(holds: Bools) -> bool:
    return bool(2 <= holds.sum() <= len(holds) - 2)
