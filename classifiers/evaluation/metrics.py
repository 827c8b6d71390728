"""Figures from counts and scores: shares with intervals, precision and recall, ranking, calibration. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.model.model import Bools, Floats

_Z95 = 1.959964
_BINS = 10
_LOW_FALSE_ALARMS = 0.01
_RANKED = ("auprc", "auroc", "recall_at_1pct_false_alarms")
_CURVE_POINTS, _RANKING_POINTS = 60, 100
_Counts = NDArray[np.int64]
_Weights = NDArray[np.float64]

ROUNDING = 1e-9
"""Tolerance for a share or count against its bound: floats hold 80 % of 10 rows inexactly."""


def wilson(successes: float, total: float) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927). (0, 1) where there is nothing to count."""
    if not total:
        return 0.0, 1.0
    share = successes / total
    spread = _Z95**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def fewest(share: float, total: int) -> int:
    """The smallest count that is at least this share of `total`."""
    return math.ceil(share * total - ROUNDING)


def most(share: float, total: int) -> int:
    """The largest count that is at most this share of `total`."""
    return math.floor(share * total + ROUNDING)


def ratio(part: int, whole: int) -> float | None:
    """Five digits; None where there is nothing to count."""
    return round(part / whole, 5) if whole else None


def weighted_share(name: str, chosen: Bools, weights: _Weights) -> Mapping[str, Any]:
    """The same of the rows that are chosen, by weight. The interval is that of as many equal rows as tell as much
    (Kish 1965). chosen, weights: (n,), of which one is above 0."""
    alike = float(weights.sum()) ** 2 / float((weights**2).sum())
    part = float(weights[chosen].sum() / weights.sum())
    return {name: round(part, 5), f"{name}_interval": wilson(part * alike, alike)}


def share(name: str, part: int, whole: int) -> Mapping[str, Any]:
    """The ratio under its name, with its interval under `name_interval`."""
    return {name: ratio(part, whole), f"{name}_interval": wilson(part, whole)}


def counts(right: int, predicted: int, actual: int) -> dict[str, Any]:
    """Precision, recall and F1 with intervals, from counts of rows or slots. right: both predicted and actual. F1 is 2J
    / (1 + J) of J, the share right of all that are predicted or actual, and so is its interval of Wilson's."""
    low, high = wilson(right, predicted + actual - right)
    return {
        **share("precision", right, predicted),
        **share("recall", right, actual),
        "f1": ratio(2 * right, predicted + actual),
        "f1_interval": (2 * low / (1 + low), 2 * high / (1 + high)),
        "support": actual,
    }


def macro(labels: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`macro_f1`, the mean F1 of the labels that some row has, and `macro`, the mean of each figure of `ranks`."""
    return {
        "macro_f1": _mean(label["f1"] for label in labels.values() if label["support"]),
        "macro": {name: _mean(label[name] for label in labels.values() if label[name] is not None) for name in _RANKED},
    }


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return round(float(np.mean(listed)), 5) if listed else None


def ranks(scores: Floats, holds: Bools) -> dict[str, Any]:
    """How well scores rank positives above negatives: areas, and the recall at 1 % false alarms with its interval. All
    are None where positives or negatives are missing. scores, holds: (n,)."""
    if not holds.any() or holds.all():
        return {**dict.fromkeys(_RANKED), f"{_RANKED[-1]}_interval": wilson(0, 0)}
    recall = recall_at_false_alarms(scores, holds, _LOW_FALSE_ALARMS)
    figures = average_precision(scores, holds), auroc(scores, holds), recall
    positives = int(holds.sum())
    return {
        **{name: round(figure or 0.0, 5) for name, figure in zip(_RANKED, figures, strict=True)},
        f"{_RANKED[-1]}_interval": wilson(round(recall * positives), positives),
    }


def average_precision(scores: Floats, holds: Bools) -> float | None:
    """Area under the precision-recall steps, equal scores one step; None without positives. scores, holds: (n,)."""
    if not holds.any():
        return None
    _, caught, flagged = _steps(scores, holds)
    return float(np.sum(np.diff(caught, prepend=0) * (caught / flagged)) / holds.sum())


def auroc(scores: Floats, holds: Bools) -> float:
    """The chance that a positive scores above a negative, a tie counted half. Needs both. scores, holds: (n,)."""
    _, caught, flagged = _steps(scores, holds)
    recalls, alarms = (np.append(0, counted) for counted in (caught, flagged - caught))
    return float(np.trapezoid(recalls, alarms) / (holds.sum() * (~holds).sum()))


def recall_at_false_alarms(scores: Floats, holds: Bools, share: float) -> float:
    """The highest recall at which at most `share` of negatives is flagged. Some row must hold. scores, holds: (n,)."""
    _, caught, flagged = _steps(scores, holds)
    allowed = caught[(flagged - caught) <= share * (~holds).sum()]
    return float(allowed.max(initial=0) / holds.sum())


def precision_recall(scores: Floats, holds: Bools) -> list[tuple[float, float]]:
    """(recall, precision) from the highest score down, at most 100 points; none without positives or negatives."""
    if not holds.any() or holds.all():
        return []
    _, caught, flagged = _steps(scores, holds)
    places = _spread(len(caught), _RANKING_POINTS)
    return [(round(float(caught[i] / holds.sum()), 5), round(float(caught[i] / flagged[i]), 5)) for i in places]


def _steps(scores: Floats, holds: Bools, weights: _Weights | None = None) -> tuple[Floats, _Counts, _Counts]:
    """The distinct scores, highest first, and how many rows (by weight) of each or more hold, and are there."""
    lowered, places = np.unique(-scores, return_inverse=True)
    held_weights = None if weights is None else weights[holds]
    held = np.bincount(places[holds], held_weights, minlength=len(lowered))
    return -lowered, held.cumsum(), np.bincount(places, weights, minlength=len(lowered)).cumsum()


def _spread(count: int, points: int) -> list[int]:
    """At most `points` of `count` places, evenly, both ends included."""
    places: list[int] = np.unique(np.linspace(0, count - 1, min(points, count)).astype(int)).tolist()
    return places


def reliability(confidences: Floats, correct: Bools) -> list[dict[str, float]]:
    """Ten equal bins of confidence with their share of correct answers; empty bins are left out."""
    bins = np.minimum((confidences * _BINS).astype(int), _BINS - 1)
    return [
        {
            "confidence": round(float(confidences[bins == index].mean()), 4),
            "correct": round(float(correct[bins == index].mean()), 4),
            "rows": int((bins == index).sum()),
        }
        for index in np.unique(bins).tolist()
    ]


def expected_calibration_error(bins: list[dict[str, float]]) -> float | None:
    """Mean gap between confidence and correctness, weighted by rows; None without any."""
    total = sum(entry["rows"] for entry in bins)
    gaps = sum(abs(entry["confidence"] - entry["correct"]) * entry["rows"] for entry in bins)
    return round(gaps / total, 5) if total else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A point on the risk-coverage curve: from confidence `act` on, `answered` of texts are answered, `error` wrong."""

    act: float
    answered: float
    error: float


def risk_coverage(confidences: Floats, correct: Bools, weights: _Weights | None = None) -> list[Reach]:
    """Every point of the curve, the most certain first. confidences, correct: (n,); weights: (n,) above 0."""
    acts, wrong, rows = _steps(confidences, ~correct, weights)
    total = float(rows[-1]) if len(rows) else 1.0
    columns = acts.tolist(), (rows / total).tolist(), (wrong / rows).tolist()
    return [Reach(act=act, answered=answered, error=error) for act, answered, error in zip(*columns, strict=True)]


def curve(confidences: Floats, correct: Bools, answerable: Bools) -> list[dict[str, float]]:
    """Risk and coverage, thinned; `answered` is a share of all texts. All: (n,)."""
    points = risk_coverage(confidences[answerable], correct[answerable])
    part = float(answerable.mean()) if len(answerable) else 0.0
    return [
        {"act": round(one.act, 5), "answered": round(one.answered * part, 5), "error": round(one.error, 5)}
        for one in (points[place] for place in _spread(len(points), _CURVE_POINTS))
    ]
