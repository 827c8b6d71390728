"""Each odd case trained and asked in a process of its own: what came of it, seconds, memory."""

import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.robustness.odd import PLAIN, TEXTS, Case
from classifiers import Reading, Runtime
from classifiers.encoder.prepare import prepare
from classifiers.encoder.source import resolve
from classifiers.errors import ClassifierError
from classifiers.policy import Policy
from classifiers.training.run import train

WINDOWS = 64
"""At most so many windows of a text are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """Of a case: what came of it, the processor's seconds, peak memory in MB; asked: seconds for each odd text."""

    outcome: str
    seconds: float
    peak_mb: int
    asked: dict[str, float] = field(default_factory=dict)


def run(cases: Sequence[Case], models: Path) -> Iterator[tuple[Case, Came]]:
    """Every case, one after the other. models: where the encoder is prepared, or was."""
    prepare(resolve(None), models)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        for case in cases:
            yield case, pool.submit(one, case, models).result()


def one(case: Case, models: Path) -> Came:
    """Train it and, where nothing is odd in training, ask what was published about every odd text."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "encoders").symlink_to(models / "encoders")
        policy = dict(case.policy)
        if case.rows:
            lines = (json.dumps({"text": text, "label": label}) for text, label in case.rows)
            (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
            policy["data"] = "rows.jsonl"
        began = time.process_time()
        outcome, accepted = _train(policy, folder)
        seconds = time.process_time() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        asked = dict(_ask(folder)) if accepted and case.what == PLAIN else {}
        return Came(outcome=outcome.replace(scratch, ""), seconds=seconds, peak_mb=peak, asked=asked)


def _train(policy: dict[str, object], folder: Path) -> tuple[str, bool]:
    try:
        made = train(Policy.model_validate(policy), base_dir=folder, models_dir=folder, threads=1)
    except ClassifierError as error:
        return f"error: {str(error).splitlines()[0]}", False
    return ("model", True) if made.accepted else (f"refused: {made.missed[0]}", False)


def _ask(folder: Path) -> Iterator[tuple[str, float]]:
    runtime = Runtime.load(folder, ["odd"])
    for name, text in TEXTS.items():
        began = time.process_time()
        runtime.classify([Reading(classifier="odd", texts=(text,), max_windows=WINDOWS)])
        yield name, time.process_time() - began
