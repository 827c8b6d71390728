"""How long a classifier takes for a row, one at a time."""

import time
from collections.abc import Sequence
from statistics import fmean, median, quantiles
from typing import Any

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
