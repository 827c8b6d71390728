"""Counts → figures: shares with intervals, precision and recall, how well scores rank. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats
from classifiers.training import statistics
from classifiers.training.calibrate import risk_coverage

_LOW_FALSE_ALARMS = 0.01
_RANKED = ("auprc", "auroc", "recall_at_1pct_false_alarms")
_CURVE_POINTS = 60


def ratio(part: int, whole: int) -> float | None:
    """Five digits; None where there is nothing to count."""
    return round(part / whole, 5) if whole else None


def share(name: str, part: int, whole: int) -> Mapping[str, Any]:
    """The ratio under its name, beside its interval."""
    return {name: ratio(part, whole), f"{name}_interval": statistics.wilson(part, whole)}


def counts(both: int, said: int, true: int) -> dict[str, Any]:
    """Precision, recall and F1 with intervals. both: rows that are of a label and were called so, or slots that are
    marked and were found; said: called so; true: of the label."""
    return {
        **share("precision", both, said),
        **share("recall", both, true),
        "f1": ratio(2 * both, said + true),
        "f1_interval": statistics.f1_interval(both, said, true),
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
    recall = statistics.recall_at_false_alarms(scores, holds, _LOW_FALSE_ALARMS)
    positives = int(holds.sum())
    return {
        "auprc": None if holds.all() else _rounded(statistics.average_precision(scores, holds)),
        "auroc": _rounded(statistics.auroc(scores, holds)),
        "recall_at_1pct_false_alarms": _rounded(recall),
        "recall_at_1pct_false_alarms_interval": statistics.wilson(
            round((recall or 0.0) * positives), 0 if recall is None else positives
        ),
    }


def ranking(scores: Floats, holds: NDArray[np.bool_]) -> dict[str, Any]:
    """The same beside its curves. scores, holds: (n,)."""
    return {
        **ranks(scores, holds),
        "roc": statistics.roc(scores, holds),
        "precision_recall": statistics.precision_recall(scores, holds),
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
