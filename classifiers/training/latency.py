"""How long a classifier takes for a row, one at a time."""

import time
from collections.abc import Iterable, Sequence
from copy import copy
from statistics import fmean, median, quantiles
from typing import Any

from classifiers.classifier import from_model
from classifiers.encoder.session import Encoder
from classifiers.model import Model
from classifiers.runtime import Runtime
from classifiers.training.rows import Row
from classifiers.verdict import Reading

_ROWS, _WARM_UP = 100, 3


def latency(runtime: Runtime, name: str, rows: Sequence[Row]) -> dict[str, Any] | None:
    """Over at most 100 of the rows, by the runtime's own encoders, nothing remembered; None without rows.

    rows: how many; median_chars: of those; mean_ms, p50_ms, p95_ms.
    """
    if not rows:
        return None
    fresh = Runtime(
        runtime.encoders.values(), {name: runtime.classifiers[name]}, cache_windows=0, detector=runtime.detector
    )
    chosen = rows[:: -(-len(rows) // _ROWS)]
    taken = []
    for row in (*chosen[:_WARM_UP], *chosen):
        began = time.perf_counter()
        fresh.classify([Reading(classifier=name, texts=(row.text,), system=row.system)])
        taken.append(1000 * (time.perf_counter() - began))
    taken = taken[-len(chosen) :]
    return {
        "rows": len(chosen),
        "median_chars": round(median(len(row.text) for row in chosen)),
        "mean_ms": round(fmean(taken), 3),
        "p50_ms": round(median(taken), 3),
        "p95_ms": round(quantiles(taken, n=20, method="inclusive")[-1] if len(taken) > 1 else taken[0], 3),
    }


def of_model(model: Model, encoders: Iterable[Encoder], rows: Sequence[Row]) -> dict[str, Any] | None:
    """The same of a model that is not published yet. encoders: those of its stages, by however many threads."""
    return latency(_alone(model, encoders), model.policy.name, rows)


def _alone(model: Model, encoders: Iterable[Encoder]) -> Runtime:
    """On one thread, as `Runtime.load` has it: training's encoders read windows of one text side by side."""
    single = [copy(encoder) for encoder in encoders]
    for encoder in single:
        encoder.threads = 1
    return Runtime(single, {model.policy.name: from_model(model)}, cache_windows=0)
