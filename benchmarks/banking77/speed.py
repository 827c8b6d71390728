"""How long a decision takes, by all stages and by the last one alone, and how many come out right either way."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.banking77.dataset import Dataset
from classifiers import Reading, Runtime
from classifiers.evaluation.evaluate import top
from classifiers.runtime.classifier import Classifier

_WARM = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Of one model over all test messages, one at a time on one thread, nothing remembered.

    mean, p50, p95: milliseconds of the processor, normalising and tokenising included; clock_p50: by the clock, in
    which other work on the machine counts; settled: the share that a stage before the last one decided.
    """

    what: str
    mean: float
    p50: float
    p95: float
    clock_p50: float
    settled: float
    accuracy: float


def speeds(what: str, name: str, models: Path, data: Dataset) -> Iterator[Speed]:
    """Of the version in use, and where it has several stages, of the last one alone."""
    runtime = Runtime.load(models, [name], threads=1)
    classifier = runtime.classifiers[name]
    yield _speed(what, runtime, classifier, data)
    stages = classifier.model.stages
    if len(stages) > 1:
        alone = replace(classifier, model=replace(classifier.model, stages=stages[-1:]))
        yield _speed(f"{what}, its last stage alone", runtime, alone, data)


def _speed(what: str, runtime: Runtime, classifier: Classifier, data: Dataset) -> Speed:
    fresh = Runtime(runtime.encoders.values(), {classifier.name: classifier}, cache_windows=0)
    clock, used, right, settled = [], [], 0, 0
    for text, label in [*data.test[:_WARM], *data.test]:
        began, spent = time.perf_counter(), time.thread_time()
        verdict = fresh.classify([Reading(classifier=classifier.name, texts=(text,))])[0]
        used.append((time.thread_time() - spent) * 1000)
        clock.append((time.perf_counter() - began) * 1000)
        right += top(verdict)[0] == label and len(used) > _WARM
        settled += verdict.stage != classifier.model.last.name and len(used) > _WARM
    del used[:_WARM], clock[:_WARM]
    return Speed(
        what=what,
        mean=statistics.fmean(used),
        p50=statistics.median(used),
        p95=statistics.quantiles(used, n=20)[-1],
        clock_p50=statistics.median(clock),
        settled=settled / len(used),
        accuracy=right / len(used),
    )
