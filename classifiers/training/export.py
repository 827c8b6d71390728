"""Write the artifact beside its place, load it again, hold it against the model in memory, then publish it.

What a training run reports: the text it learned from, and what held-out text shows.
"""

import platform
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.encoder.source import poorly_read
from classifiers.errors import TrainingError
from classifiers.evaluation.evaluate import evaluate, shortened
from classifiers.model import artifact, selftest
from classifiers.model.model import Floats, Model
from classifiers.model.registry import Registry
from classifiers.policy import OTHER, Policy
from classifiers.report import card, page
from classifiers.runtime.cascade import score
from classifiers.training import calibrate, label_noise, language_filter, thresholds
from classifiers.training.examine import add_neighbours
from classifiers.training.fit.fitted import MeasuredModel
from classifiers.training.rounds import Rounds
from classifiers.training.rows import REAL, Row
from classifiers.training.write.sentences import WrittenSentences


def account(
    policy: Policy,
    written: WrittenSentences,
    gathered: Rounds,
    *,
    trained: MeasuredModel,
    failures: Sequence[str],
    seed: int,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """What report.json holds. failures: of the policy's own tests; seconds: of each step so far."""
    text = gathered.text
    rows, cleaned = text.rows, text.cleaned
    trained = language_filter.as_served(policy, trained)
    held = trained.read
    outside = {(OTHER,), *([()] if policy.several else [])}
    everyday = [row.source == "builtin" and row.labels in outside for row in held]
    tests = len(selftest.asked(trained.model))
    own = [index for index, used in enumerate(trained.used) if used and not everyday[index]]
    beside = [trained.verdicts[index] for index, found in enumerate(everyday) if found]
    measures = _measures(policy, held, trained, own)
    places = [int(trained.rows[own[error.pop("index")]]) for error in measures["errors"]]
    add_neighbours(measures["errors"], places, rows, text.vectors)
    return {
        "name": policy.name,
        "kind": policy.kind,
        "about": policy.about,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "encoder": asdict(trained.model.last.encoder) if trained.model.stages else None,
        "poorly_read": list(poorly_read(policy.encoder, policy.languages)) if trained.model.stages else [],
        "patterns": trained.model.policy.patterns,
        "measured_on": trained.settings["calibrated_on"],
        "measured_real": sum(held[index].source in REAL for index in own),
        "text": {
            "rows": len(rows),
            "groups": len({row.group for row in rows}),
            "sources": dict(Counter(row.source for row in rows)),
            "writers": _shares(rows),
            "forms": dict(written.forms),
            "labels": dict(Counter(label for row in rows for label in row.labels or ("none",))),
            "leaks": list(map(shortened, cleaned.leaks)),
            "contradictions": [asdict(one) | {"text": shortened(one.text)} for one in cleaned.contradictions],
            "duplicates": cleaned.duplicates,
            "empty": cleaned.empty,
            "doubts": label_noise.summary(text.doubts),
            "foreign": language_filter.summary(rows, text.dropped),
        },
        "teachers": written.teachers(),
        **gathered.told(),
        "settings": trained.settings,
        "thresholds": thresholds.describe(trained.chosen.thresholds),
        "goals": trained.chosen.goals,
        "aimed_error": None if policy.goal or policy.multi_label else calibrate.DEFAULT_ERROR,
        "bands": trained.chosen.by_band,
        "tests": {"count": tests, "failed": list(failures), "left_out": len(policy.tests) - tests},
        "held_out": measures,
        "everyday": {
            "rows": len(beside),
            "answered": sum(bool(v.labels) and v.labels != (OTHER,) for v in beside),
        },
        "by_source": _by_source(policy, held, trained),
        "seconds": {step: round(value, 3) for step, value in seconds.items()},
    }


def _shares(rows: Sequence[Row]) -> dict[str, float]:
    """Each teacher's share of all rows."""
    counts = Counter(row.writer for row in rows if row.writer)
    return {writer: round(count / len(rows), 4) for writer, count in counts.items()}


def _by_source(policy: Policy, held: Sequence[Row], trained: MeasuredModel) -> dict[str, Any]:
    """Held-out accuracy on each source's text alone; each teacher is a source of its own."""
    found: dict[str, Any] = {}
    sources = [row.writer or row.source for row in held]
    for source in dict.fromkeys(sources):
        chosen = [index for index, one in enumerate(sources) if one == source]
        measures = _measures(policy, held, trained, chosen)
        found[source] = {name: measures[name] for name in ("rows", "accuracy", "interval")}
    return found


def _measures(policy: Policy, held: Sequence[Row], trained: MeasuredModel, chosen: Sequence[int]) -> dict[str, Any]:
    return evaluate(
        policy,
        [held[index].shown for index in chosen],
        [held[index].labels for index in chosen],
        [trained.verdicts[index] for index in chosen],
    )


_TOOLS = ("numpy", "onnxruntime", "scikit-learn", "tokenizers")
REFUSED = "refused"
"""Beside a classifier's versions: the report of the last training that missed its goals."""


def publish(
    model: Model,
    report: Mapping[str, Any],
    models_dir: Path,
    samples: Sequence[Floats],
    *,
    seed: int,
    encoders: Mapping[str, Path] | None = None,
    beside: bool = False,
    now: datetime | None = None,
) -> tuple[str, Path]:
    """(version, folder). samples: for each stage, (n, dimensions) vectors on which the reloaded model must agree with
    this one. encoders: the folders of the model's own encoders, as of `artifact.save`. beside: propose it instead of
    putting it in use. now: what the version is named for, as of `Registry.publish`.

    Raises TrainingError where it does not, OSError where the folder cannot be written.
    """
    registry = Registry(models_dir)
    with registry.staging(model.policy.name) as folder:
        artifact.save(
            model, folder, report=report, encoders=encoders, files=_pages(report), seed=seed, made_with=made_with()
        )
        again = artifact.load(folder).model
        for stage, loaded, sample in zip(model.stages, again.stages, samples, strict=True):
            if not np.array_equal(score(stage, sample)[0], score(loaded, sample)[0]):
                raise TrainingError(f"{model.policy.name}: the saved model does not predict as the trained one does")
        name = registry.publish(model.policy.name, folder, now, challenger=beside)
    shutil.rmtree(models_dir / model.policy.name / REFUSED, ignore_errors=True)
    return name, registry.resolve(model.policy.name, name)


def refuse(model: Model, report: Mapping[str, Any], models_dir: Path) -> Path:
    """Leave the report of a model that is not published, for whoever wants to know why; nothing else changes."""
    registry = Registry(models_dir)
    target = models_dir / model.policy.name / REFUSED
    with registry.staging(model.policy.name) as folder:
        for name, text in {**_pages(report), artifact.REPORT: artifact.report_text(report)}.items():
            (folder / name).write_text(text, encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        folder.chmod(0o755)
        folder.rename(target)
    return target


def made_with() -> dict[str, str]:
    """Versions of what the weights depend on."""
    return {"python": platform.python_version(), **{tool: version(tool) for tool in _TOOLS}}


def _pages(report: Mapping[str, Any]) -> dict[str, str]:
    return {page.FILE: page.training_page(report), card.FILE: card.page(report)}
