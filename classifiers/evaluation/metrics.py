"""Small statistics on arrays of scores. Pure; numpy only, since `offramp eval` uses them too.

x

Counts → figures: shares with intervals, precision and recall, how well scores rank. Pure.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.model.model import Floats

_Z95 = 1.959964
_BINS = 10

ROUNDING = 1e-9
"""By so much a share, or a count, may pass what bounds it: floats hold 80 % of 10 rows and the like inexactly."""


def wilson(successes: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927). (0, 1) where there is nothing to count."""
    if not total:
        return 0.0, 1.0
    share = successes / total
    spread = _Z95**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def f1_interval(both: int, said: int, true: int) -> tuple[float, float]:
    """95 % interval of an F1: 2J / (1 + J), where J, the share of both among the rows that are of a label or were
    called so, has Wilson's interval."""
    low, high = wilson(both, said + true - both)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def fewest(share: float, total: int) -> int:
    """How many of `total` are at least that share of them."""
    return math.ceil(share * total - ROUNDING)


def most(share: float, total: int) -> int:
    """How many of `total` are at most that share of them."""
    return math.floor(share * total + ROUNDING)


def average_precision(scores: Floats, holds: NDArray[np.bool_]) -> float | None:
    """Area under the precision-recall steps; None without positives. Equal scores count as one step."""
    if not holds.any():
        return None
    caught, flagged = _curve(scores, holds)
    precision = caught / flagged
    return float(np.sum(np.diff(caught, prepend=0) * precision) / holds.sum())


def recall_at_false_alarms(scores: Floats, holds: NDArray[np.bool_], share: float) -> float | None:
    """The highest recall at which at most `share` of negatives is flagged; None without positives or negatives."""
    negatives = int((~holds).sum())
    if not holds.any() or not negatives:
        return None
    caught, flagged = _curve(scores, holds)
    allowed = caught[(flagged - caught) <= share * negatives]
    return float(allowed[-1] / holds.sum()) if len(allowed) else 0.0


def roc(scores: Floats, holds: NDArray[np.bool_], points: int = 100) -> list[tuple[float, float]]:
    """(false alarm rate, recall) from (0, 0) to (1, 1), thinned to about `points`."""
    if not holds.any() or holds.all():
        return []
    caught, flagged = _curve(scores, holds)
    rates = (flagged - caught) / (~holds).sum()
    recalls = caught / holds.sum()
    keep = np.unique(np.linspace(0, len(rates) - 1, min(points, len(rates))).astype(int))
    return [(0.0, 0.0), *((round(float(rates[i]), 5), round(float(recalls[i]), 5)) for i in keep)]


def precision_recall(scores: Floats, holds: NDArray[np.bool_], points: int = 100) -> list[tuple[float, float]]:
    """(recall, precision) from the highest score down, thinned to about `points`; none without either sort."""
    if not holds.any() or holds.all():
        return []
    caught, flagged = _curve(scores, holds)
    keep = np.unique(np.linspace(0, len(caught) - 1, min(points, len(caught))).astype(int))
    return [(round(float(caught[i] / holds.sum()), 5), round(float(caught[i] / flagged[i]), 5)) for i in keep]


def auroc(scores: Floats, holds: NDArray[np.bool_]) -> float | None:
    """The chance that a positive scores above a negative, ties counting half; None without either."""
    positives, negatives = scores[holds], np.sort(scores[~holds])
    if not len(positives) or not len(negatives):
        return None
    below = np.searchsorted(negatives, positives, "left")
    upto = np.searchsorted(negatives, positives, "right")
    return float((below + upto).sum() / 2 / len(positives) / len(negatives))


def reliability(confidences: Floats, correct: NDArray[np.bool_]) -> list[dict[str, float]]:
    """Ten equal bins of confidence with how often they were right; empty bins are left out."""
    bins = np.minimum((confidences * _BINS).astype(int), _BINS - 1)
    return [
        {
            "confidence": round(float(confidences[bins == index].mean()), 4),
            "correct": round(float(correct[bins == index].mean()), 4),
            "rows": int((bins == index).sum()),
        }
        for index in range(_BINS)
        if (bins == index).any()
    ]


def expected_calibration_error(bins: list[dict[str, float]]) -> float | None:
    """Mean gap between confidence and correctness, weighted by rows; None without any."""
    total = sum(entry["rows"] for entry in bins)
    gaps = sum(abs(entry["confidence"] - entry["correct"]) * entry["rows"] for entry in bins)
    return round(gaps / total, 5) if total else None


def _curve(scores: Floats, holds: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positives caught and rows flagged at each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores = scores[order]
    ends = np.flatnonzero(np.append(np.diff(sorted_scores) != 0, True))
    return np.cumsum(holds[order])[ends].astype(np.int64), (ends + 1).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A point on the risk-coverage curve: act from `act` on, answer `answered` of texts, err in `error` of those."""

    act: float
    answered: float
    error: float


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


_LOW_FALSE_ALARMS = 0.01
_RANKED = ("auprc", "auroc", "recall_at_1pct_false_alarms")
_CURVE_POINTS = 60


def ratio(part: int, whole: int) -> float | None:
    """Five digits; None where there is nothing to count."""
    return round(part / whole, 5) if whole else None


def share(name: str, part: int, whole: int) -> Mapping[str, Any]:
    """The ratio under its name, beside its interval."""
    return {name: ratio(part, whole), f"{name}_interval": wilson(part, whole)}


def counts(both: int, said: int, true: int) -> dict[str, Any]:
    """Precision, recall and F1 with intervals. both: rows that are of a label and were called so, or slots that are
    marked and were found; said: called so; true: of the label."""
    return {
        **share("precision", both, said),
        **share("recall", both, true),
        "f1": ratio(2 * both, said + true),
        "f1_interval": f1_interval(both, said, true),
        "support": true,
    }


def macro_f1(labels: Mapping[str, Mapping[str, Any]]) -> float | None:
    """The mean F1 of the labels that some row has."""
    return _mean(one["f1"] for one in labels.values() if one["support"])


def macro_ranks(labels: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """The mean of each figure of `ranks` over the labels of which it could be measured."""
    return {name: _mean(one[name] for one in labels.values() if one[name] is not None) for name in _RANKED}


def ranks(scores: Floats, holds: NDArray[np.bool_]) -> dict[str, Any]:
    """How well scores part what holds from what does not: areas, and the recall, with its interval, at the lowest
    threshold that takes at most 1 % of what does not. None without either, also the area that would be 1 where all
    hold. scores, holds: (n,)."""
    recall = recall_at_false_alarms(scores, holds, _LOW_FALSE_ALARMS)
    positives = int(holds.sum())
    return {
        "auprc": None if holds.all() else _rounded(average_precision(scores, holds)),
        "auroc": _rounded(auroc(scores, holds)),
        "recall_at_1pct_false_alarms": _rounded(recall),
        "recall_at_1pct_false_alarms_interval": wilson(
            round((recall or 0.0) * positives), 0 if recall is None else positives
        ),
    }


def ranking(scores: Floats, holds: NDArray[np.bool_]) -> dict[str, Any]:
    """The same beside its curves. scores, holds: (n,)."""
    return {
        **ranks(scores, holds),
        "roc": roc(scores, holds),
        "precision_recall": precision_recall(scores, holds),
    }


def curve(confidences: Floats, correct: NDArray[np.bool_], answerable: NDArray[np.bool_]) -> list[dict[str, float]]:
    """Risk and coverage, thinned: `answered` is of all texts, as it is beside the curve. All: (n,)."""
    points = risk_coverage(confidences[answerable], correct[answerable])
    part = float(answerable.mean()) if len(answerable) else 0.0
    keep = np.unique(np.linspace(0, len(points) - 1, min(_CURVE_POINTS, len(points))).astype(int)).tolist()
    return [
        {
            "act": round(points[i].act, 5),
            "answered": round(points[i].answered * part, 5),
            "error": round(points[i].error, 5),
        }
        for i in keep
    ]


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return round(float(np.mean(found)), 5) if found else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
