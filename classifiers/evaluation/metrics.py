"""Figures from counts and scores: shares with intervals, precision and recall, ranking, calibration. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.model.model import Floats

_Z95 = 1.959964
_BINS = 10
_LOW_FALSE_ALARMS = 0.01
_RANKED = ("auprc", "auroc", "recall_at_1pct_false_alarms")
_CURVE_POINTS, _RANKING_POINTS = 60, 100
_Bools = NDArray[np.bool_]
_Points = list[tuple[float, float]]

ROUNDING = 1e-9
"""Tolerance for a share or count against its bound: floats hold 80 % of 10 rows inexactly."""


def wilson(successes: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927). (0, 1) where there is nothing to count."""
    if not total:
        return 0.0, 1.0
    share = successes / total
    spread = _Z95**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def f1_interval(right: int, predicted: int, actual: int) -> tuple[float, float]:
    """95 % interval of an F1: 2J / (1 + J), where J (right / rows predicted or actual) has Wilson's interval."""
    low, high = wilson(right, predicted + actual - right)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def fewest(share: float, total: int) -> int:
    """The smallest count that is at least this share of `total`."""
    return math.ceil(share * total - ROUNDING)


def most(share: float, total: int) -> int:
    """The largest count that is at most this share of `total`."""
    return math.floor(share * total + ROUNDING)


def ratio(part: int, whole: int) -> float | None:
    """Five digits; None where there is nothing to count."""
    return round(part / whole, 5) if whole else None


def share(name: str, part: int, whole: int) -> Mapping[str, Any]:
    """The ratio under its name, with its interval under `name_interval`."""
    return {name: ratio(part, whole), f"{name}_interval": wilson(part, whole)}


def counts(right: int, predicted: int, actual: int) -> dict[str, Any]:
    """Precision, recall and F1 with intervals, from counts of rows or slots. right: both predicted and actual."""
    return {
        **share("precision", right, predicted),
        **share("recall", right, actual),
        "f1": ratio(2 * right, predicted + actual),
        "f1_interval": f1_interval(right, predicted, actual),
        "support": actual,
    }


def macro_f1(labels: Mapping[str, Mapping[str, Any]]) -> float | None:
    """The mean F1 of the labels that some row has."""
    return _mean(label["f1"] for label in labels.values() if label["support"])


def macro_ranks(labels: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """The mean of each figure of `ranks` over the labels of which it could be measured."""
    return {name: _mean(label[name] for label in labels.values() if label[name] is not None) for name in _RANKED}


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return _rounded(float(np.mean(listed))) if listed else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def ranks(scores: Floats, holds: _Bools) -> dict[str, Any]:
    """How well scores rank positives above negatives: areas, and the recall at 1 % false alarms with its interval.

    A figure is None where positives or negatives are missing. scores, holds: (n,).
    """
    recall = recall_at_false_alarms(scores, holds, _LOW_FALSE_ALARMS)
    positives = 0 if recall is None else int(holds.sum())
    return {
        "auprc": None if holds.all() else _rounded(average_precision(scores, holds)),
        "auroc": _rounded(auroc(scores, holds)),
        "recall_at_1pct_false_alarms": _rounded(recall),
        "recall_at_1pct_false_alarms_interval": wilson(round((recall or 0.0) * positives), positives),
    }


def ranking(scores: Floats, holds: _Bools) -> dict[str, Any]:
    """The figures of `ranks` with the two curves. scores, holds: (n,)."""
    return {**ranks(scores, holds), "roc": roc(scores, holds), "precision_recall": precision_recall(scores, holds)}


def average_precision(scores: Floats, holds: _Bools) -> float | None:
    """Area under the precision-recall steps; None without positives. Equal scores count as one step."""
    if not holds.any():
        return None
    caught, flagged = _curve(scores, holds)
    return float(np.sum(np.diff(caught, prepend=0) * (caught / flagged)) / holds.sum())


def auroc(scores: Floats, holds: _Bools) -> float | None:
    """The chance that a positive scores above a negative, ties counting half; None without either."""
    if not holds.any() or holds.all():
        return None
    caught, flagged = (np.append(0, counts) for counts in _curve(scores, holds))
    return float(np.trapezoid(caught, flagged - caught) / holds.sum() / (~holds).sum())


def recall_at_false_alarms(scores: Floats, holds: _Bools, share: float) -> float | None:
    """The highest recall at which at most `share` of negatives is flagged; None without positives or negatives."""
    if not holds.any() or holds.all():
        return None
    caught, flagged = _curve(scores, holds)
    allowed = caught[(flagged - caught) <= share * (~holds).sum()]
    return float(allowed[-1] / holds.sum()) if len(allowed) else 0.0


def roc(scores: Floats, holds: _Bools, points: int = _RANKING_POINTS) -> _Points:
    """(false alarm rate, recall) from (0, 0) to (1, 1), thinned to about `points`; none without either sort."""
    if not holds.any() or holds.all():
        return []
    caught, flagged = _curve(scores, holds)
    return [(0.0, 0.0), *_thinned((flagged - caught) / (~holds).sum(), caught / holds.sum(), points)]


def precision_recall(scores: Floats, holds: _Bools, points: int = _RANKING_POINTS) -> _Points:
    """(recall, precision) from the highest score down, thinned to about `points`; none without either sort."""
    if not holds.any() or holds.all():
        return []
    caught, flagged = _curve(scores, holds)
    return _thinned(caught / holds.sum(), caught / flagged, points)


def _curve(scores: Floats, holds: _Bools) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positives caught and rows flagged at each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    ends = _ends(scores[order])
    return np.cumsum(holds[order])[ends].astype(np.int64), (ends + 1).astype(np.int64)


def _ends(ordered: Floats) -> NDArray[np.intp]:
    """The last place of each run of equal values."""
    return np.flatnonzero(np.append(np.diff(ordered) != 0, True)) if len(ordered) else np.zeros(0, np.intp)


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64], points: int) -> _Points:
    return [(round(float(x[i]), 5), round(float(y[i]), 5)) for i in _spread(len(x), points)]


def _spread(count: int, points: int) -> list[int]:
    """At most `points` of `count` places, evenly, both ends included."""
    places: list[int] = np.unique(np.linspace(0, count - 1, min(points, count)).astype(int)).tolist()
    return places


def reliability(confidences: Floats, correct: _Bools) -> list[dict[str, float]]:
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


def risk_coverage(confidences: Floats, correct: _Bools) -> list[Reach]:
    """Every point of the curve, the most certain first. confidences, correct: (n,)."""
    order = np.argsort(-confidences, kind="stable")
    sure = confidences[order]
    wrong = np.cumsum(~correct[order])
    total = max(len(sure), 1)
    return [
        Reach(act=float(sure[end]), answered=float((end + 1) / total), error=float(wrong[end] / (end + 1)))
        for end in _ends(sure)
    ]


def curve(confidences: Floats, correct: _Bools, answerable: _Bools) -> list[dict[str, float]]:
    """Risk and coverage, thinned; `answered` is a share of all texts. All: (n,)."""
    points = risk_coverage(confidences[answerable], correct[answerable])
    part = float(answerable.mean()) if len(answerable) else 0.0
    return [
        {
            "act": round(points[i].act, 5),
            "answered": round(points[i].answered * part, 5),
            "error": round(points[i].error, 5),
        }
        for i in _spread(len(points), _CURVE_POINTS)
    ]
