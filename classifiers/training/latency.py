"""How long a classifier takes for a row, one at a time."""

import random
import time
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace
from statistics import fmean, median, quantiles
from typing import Any

from classifiers.classifier import from_model
from classifiers.encoder.session import Encoder
from classifiers.model import Model
from classifiers.runtime import Runtime
from classifiers.text.languages import Detector
from classifiers.training.rows import Row
from classifiers.verdict import Reading

_ROWS, _MOST_S = 100, 10.0
_WARM_UP, _WARM_UP_CHARS = 3, 1_000


def latency(runtime: Runtime, name: str, rows: Sequence[Row], *, most_s: float = _MOST_S) -> dict[str, Any] | None:
    """Over at most 100 of the rows, by the runtime's own encoders, nothing remembered; None without rows.

    most_s: no further row is begun after so many seconds, since rows may be documents of a million characters.
    rows: how many; median_chars: of those; mean_ms, p50_ms, p95_ms.
    """
    if not rows:
        return None
    fresh = Runtime(
        runtime.encoders.values(), {name: runtime.classifiers[name]}, cache_windows=0, detector=runtime.detector
    )
    spread = rows[:: -(-len(rows) // _ROWS)]
    for row in spread[:_WARM_UP]:
        _taken_ms(fresh, name, replace(row, text=row.text[:_WARM_UP_CHARS]))
    chosen: list[Row] = []
    taken: list[float] = []
    until = time.perf_counter() + most_s
    # of files that are sorted, those that come first are not like the others
    for row in random.Random(0).sample(spread, len(spread)):  # noqa: S311 - no secret
        if taken and time.perf_counter() >= until:
            break
        chosen.append(row)
        taken.append(_taken_ms(fresh, name, row))
    return {
        "rows": len(chosen),
        "median_chars": round(median(len(row.text) for row in chosen)),
        "mean_ms": round(fmean(taken), 3),
        "p50_ms": round(median(taken), 3),
        "p95_ms": round(quantiles(taken, n=20, method="inclusive")[-1] if len(taken) > 1 else taken[0], 3),
    }


def _taken_ms(runtime: Runtime, name: str, row: Row) -> float:
    began = time.perf_counter()
    runtime.classify([Reading(classifier=name, texts=(row.text,), system=row.system)])
    return 1000 * (time.perf_counter() - began)


def of_model(
    model: Model, encoders: Iterable[Encoder], rows: Sequence[Row], detector: Detector | None = None
) -> dict[str, Any] | None:
    """The same of a model that is not published yet. encoders: those of its stages, by however many threads; detector:
    of languages; one at hand need not be opened again."""
    return latency(alone(model, encoders, detector), model.policy.name, rows)


def alone(model: Model, encoders: Iterable[Encoder], detector: Detector | None = None) -> Runtime:
    """On one thread, as `Runtime.load` has it: training's encoders read windows of one text side by side."""
    single = [copy(encoder) for encoder in encoders]
    for encoder in single:
        encoder.threads = 1
    return Runtime(single, {model.policy.name: from_model(model)}, cache_windows=0, detector=detector)
