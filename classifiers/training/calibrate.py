"""Held-out scores → probabilities that can be believed, and the thresholds that meet a goal. Pure.

Temperature: Guo et al. 2017, "On Calibration of Modern Neural Networks", with Platt's smoothed targets. Where several
labels may hold: `platt`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.model import NEVER, Floats, Threshold, Usual
from classifiers.training.fit.linear import Ints
from classifiers.training.statistics import ROUNDING, fewest, most

SHARES = (0.0, 0.25, 0.5, 0.75)
"""How much nearest sentences may count, of which the one that makes held-out text likeliest is taken."""

FINE_GRAINED, FINE_GRAINED_SHARE, FINE_GRAINED_SHARPNESS = 20, 0.5, 30.0
"""From so many labels on, nearest sentences count at least so much: each label then is several narrow things, and
text by others than the writer profits, which held-out text by the same writer cannot show
(docs/design/002-fitting-a-head.md)."""

FEW_ROWS_SHARE, FEW_ROWS_SHARPNESS = 0.5, 20.0
"""Where there is too little held-out text to choose by."""

DEFAULT_ERROR = 0.05
"""Of what is answered that may be wrong, where the policy states no goal."""

_FEW_ROWS_A_CLASS = 4
_LOWEST_ACT, _HIGHEST_ACT = 0.25, 0.8
_UNUSUAL = 0.005
_LEAST_USUAL_ROWS, _LEAST_OF_A_LABEL = 20, 3
_LEAST_LIKELY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A point on the risk-coverage curve: act from `act` on, answer `answered` of texts, err in `error` of those."""

    act: float
    answered: float
    error: float


def temperature(logits: Floats, truth: Ints) -> float:
    """The scale at which softmax(scale * logits) makes the `smoothed` truth likeliest. logits: (n, classes); truth:
    (n,)."""
    told = (smoothed(logits, truth) * logits).sum(axis=1)

    def surprise(scale: float) -> float:
        return float((_log_sum(logits * np.float32(scale)) - scale * told).mean())

    scales = np.exp(np.linspace(np.log(0.02), np.log(20), 61))
    losses = [surprise(scale) for scale in scales]
    best = int(np.argmin(losses))
    low, high = scales[max(best - 1, 0)], scales[min(best + 1, len(scales) - 1)]
    finer = np.exp(np.linspace(np.log(low), np.log(high), 21))
    return float(finer[int(np.argmin([surprise(scale) for scale in finer]))])


def smoothed(logits: Floats, truth: Ints) -> NDArray[np.float64]:
    """(n, classes): each row's truth as Platt smooths it, (n + 1) / (n + 2), and the rest for its likeliest rival. A
    handful of rows that are all right is no proof that none will be wrong, which is what an endless scale would say.

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
    """How unlikely single-label scores make the truth, at their best temperature."""
    return _loss(logits, truth, temperature(logits, truth))


def nearest_share(logits: Floats, votes: dict[float, Floats], truth: Ints) -> tuple[float, float]:
    """(sharpness, share) of the nearest sentences' votes by which held-out text is likeliest."""
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
    """The lowest threshold at which at most `max_error` of what is answered is wrong, or None if there is none."""
    reached = [point for point in risk_coverage(confidences, correct) if point.error <= max_error + ROUNDING]
    return max(reached, key=lambda point: point.answered, default=None)


def nearest_reach(
    confidences: Floats, correct: NDArray[np.bool_], counted: NDArray[np.bool_], least: int
) -> Reach | None:
    """The point of least error among those that answer `least` of the counted rows, or as many as any does; of equal
    ones the one that answers most. confidences, correct, counted: (n,)."""
    points = risk_coverage(confidences, correct)
    sure = np.sort(confidences[counted])
    told = [len(sure) - int(np.searchsorted(sure, np.float32(point.act))) for point in points]
    enough = [point for point, count in zip(points, told, strict=True) if count >= min(least, len(sure))]
    return min(enough, key=lambda point: (point.error, -point.answered), default=None)


def risk_coverage(confidences: Floats, correct: NDArray[np.bool_]) -> list[Reach]:
    """Every point of the curve, the most certain first. confidences, correct: (n,)."""
    order = np.argsort(-confidences, kind="stable")
    sure = confidences[order]
    wrong = np.cumsum(~correct[order])
    ends = np.flatnonzero(np.append(np.diff(sure) != 0, True)) if len(sure) else np.zeros(0, np.intp)
    total = max(len(sure), 1)
    return [
        Reach(act=float(sure[end]), answered=float((end + 1) / total), error=float(wrong[end] / (end + 1)))
        for end in ends
    ]


def default_act(confidences: Floats, correct: NDArray[np.bool_]) -> float:
    """Where the policy states no goal: at most one answer in twenty wrong, neither timid nor reckless. The second comes
    first: what is certain to 0.8 is answered even where more than that is wrong, since nobody asked for the aim."""
    reach = act_for_error(confidences, correct, DEFAULT_ERROR)
    wanted = reach.act if reach else _HIGHEST_ACT
    return float(np.clip(wanted, _LOWEST_ACT, _HIGHEST_ACT))


def topic_threshold(
    probabilities: Floats, *, holds: NDArray[np.bool_], max_error: float | None, most_doubt: float
) -> Threshold:
    """act: so that at most `max_error` of the texts that reach it are not the label's, `NEVER`'s where there is no such
    threshold, or where there is no such goal of best F1 (Yang 2001); unsure: so that as few of the label's texts stay
    below it, unless more than `most_doubt` of other text would be in doubt.
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
    """Halfway between the two probabilities where naming the label from there on has the best F1."""
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
    """Where the largest logits of the policy's own text lie. Each label counts equally, so that a thousand rows of one
    that are all alike do not make the few of another unusual; nor does the level lie above the middle of any label's
    rows. A row or two show no middle: such a label's rows count as one each of the largest label do, so that a slip
    among them does not make everything usual. largest, truth: (n,) of held-out rows; counted: (n,), the ones to judge
    by; None where they are too few to tell."""
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
