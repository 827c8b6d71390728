"""Counts → figures: shares with intervals, precision and recall, how well scores rank. Pure."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats
from classifiers.training import statistics

_LOW_FALSE_ALARMS = 0.01


def ratio(part: int, whole: int) -> float | None:
    """Five digits; None where there is nothing to count."""
    return round(part / whole, 5) if whole else None


def share(name: str, part: int, whole: int) -> Mapping[str, Any]:
    """The ratio under its name, beside its interval."""
    return {name: ratio(part, whole), "interval": statistics.wilson(part, whole)}


def counts(both: int, said: int, true: int) -> dict[str, Any]:
    """Precision, recall and F1 with intervals. both: rows that are of a label and were called so, or slots that are
    marked and were found; said: called so; true: of the label."""
    return {
        "precision": ratio(both, said),
        "precision_interval": statistics.wilson(both, said),
        "recall": ratio(both, true),
        "recall_interval": statistics.wilson(both, true),
        "f1": ratio(2 * both, said + true),
        "f1_interval": statistics.f1_interval(both, said, true),
        "support": true,
    }


def macro_f1(labels: Mapping[str, Mapping[str, Any]]) -> float | None:
    """The mean F1 of the labels that some row has."""
    found = [one["f1"] for one in labels.values() if one["support"]]
    return round(float(np.mean(found)), 5) if found else None


def ranking(scores: Floats, holds: NDArray[np.bool_]) -> dict[str, Any]:
    """How well scores part what holds from what does not. scores, holds: (n,)."""
    return {
        "auprc": _rounded(statistics.average_precision(scores, holds)),
        "auroc": _rounded(statistics.auroc(scores, holds)),
        "recall_at_1pct_false_alarms": _rounded(statistics.recall_at_false_alarms(scores, holds, _LOW_FALSE_ALARMS)),
        "roc": statistics.roc(scores, holds),
        "precision_recall": statistics.precision_recall(scores, holds),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
