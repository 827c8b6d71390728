"""What a training run leaves: report.json, and the artifact, which is published once it predicts as in training."""

import platform
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.encoder.source import poorly_read
from classifiers.errors import TrainingError
from classifiers.evaluation.evaluate import evaluate, shortened
from classifiers.model import artifact, selftest
from classifiers.model.model import Model
from classifiers.model.registry import Registry
from classifiers.policy import OTHER, Policy
from classifiers.report import pages
from classifiers.runtime.cascade import score
from classifiers.runtime.thresholds import NOVEL_REASON
from classifiers.training import calibrate, data, label_noise, language_filter, thresholds
from classifiers.training.accept import Evaluation
from classifiers.training.examine import add_neighbours
from classifiers.training.fit.fitted import FittedModel, MeasuredModel
from classifiers.training.prepare import TrainingText
from classifiers.training.rows import REAL, Row
from classifiers.training.write.sentences import WrittenSentences
from classifiers.verdict import Verdict

_CHECKED_ROWS = 64
_MOST_HELD_OUT = 2_000
"""Held-out texts whose confidence an artifact holds, evenly of all that were measured."""
_KEPT_LEARNED = 3
_TOOLS = ("numpy", "onnxruntime", "scikit-learn", "tokenizers")
REFUSED = "refused"
"""Next to a classifier's versions: the report of the last training that missed its goals."""


def report_of(
    policy: Policy,
    fitted: FittedModel,
    *,
    text: TrainingText,
    written: WrittenSentences,
    evaluation: Evaluation,
    unread_calls: int,
    seed: int,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """report.json of a model. policy: with the labels that are learned; seconds: of each step so far."""
    trained = language_filter.as_served(policy, fitted.trained)
    model, settings = trained.model, {**fitted.settings, **trained.settings}
    tests = len(selftest.asked(model))
    return {
        "name": policy.name,
        "kind": policy.kind,
        "about": policy.about,
        "made_at": evaluation.made_at.isoformat(timespec="seconds"),
        "seed": seed,
        "encoder": asdict(model.encoding.encoder) if model.stages else None,
        "poorly_read": list(poorly_read(policy.encoder, policy.languages)) if model.stages else [],
        "patterns": model.policy.patterns,
        "measured_on": settings["calibrated_on"],
        "text": {**_text(text, written), "unread_calls": unread_calls},
        "teachers": list(written.teachers),
        "settings": settings,
        "thresholds": thresholds.describe(trained.chosen.thresholds),
        "goals": trained.chosen.goals,
        "aimed_error": None if policy.goal or policy.kind == "safety" else calibrate.DEFAULT_ERROR,
        "bands": trained.chosen.by_band,
        "out_of_scope": trained.chosen.out_of_scope,
        "traffic": trained.chosen.traffic,
        "at": trained.chosen.at,
        "tests": {"count": tests, "failed": list(evaluation.failures), "left_out": len(policy.tests) - tests},
        **_held_out(policy, trained, text),
        "by_source": _by_source(policy, trained),
        "seconds": {step: round(value, 3) for step, value in seconds.items()},
        "incumbent": evaluation.comparison and evaluation.comparison.record(),
        "incumbent_note": evaluation.note,
        "latency": evaluation.latency,
        "accepted": not evaluation.missed,
        "missed": list(evaluation.missed),
    }


def _text(text: TrainingText, written: WrittenSentences) -> dict[str, Any]:
    rows, cleaned = text.rows, text.cleaned
    writers = Counter(row.writer for row in rows if row.writer)
    return {
        "rows": len(rows),
        "groups": len({row.group for row in rows}),
        "sources": dict(Counter(row.source for row in rows)),
        "writers": {writer: round(count / len(rows), 4) for writer, count in writers.items()},
        "forms": dict(written.forms),
        "labels": dict(Counter(label for row in rows for label in row.labels or ("none",))),
        "leaks": list(map(shortened, cleaned.leaks)),
        "contradictions": [asdict(found) | {"text": shortened(found.text)} for found in cleaned.contradictions],
        "duplicates": cleaned.duplicates,
        "empty": cleaned.empty,
        "doubts": label_noise.summary(text.doubts),
        "foreign": language_filter.summary(rows, text.dropped),
    }


def _held_out(policy: Policy, trained: MeasuredModel, text: TrainingText) -> dict[str, Any]:
    """The measures of held-out rows, with everyday sentences, which are out of scope, apart."""
    outside = {(OTHER,), *([()] if policy.several else [])}
    everyday = [row.source == "builtin" and row.labels in outside for row in trained.read]
    own = [index for index, used in enumerate(trained.used) if used and not everyday[index]]
    measures = _measures(policy, trained, own)
    places = [int(trained.rows[own[error.pop("index")]]) for error in measures["errors"]]
    add_neighbours(measures["errors"], places, text.rows, text.vectors)
    apart = [verdict for verdict, is_apart in zip(trained.verdicts, everyday, strict=True) if is_apart]
    answered = sum(bool(verdict.labels) and verdict.labels != (OTHER,) for verdict in apart)
    return {
        "measured_real": sum(trained.read[index].source in REAL for index in own),
        "held_out": measures,
        "everyday": {"rows": len(apart), "answered": answered},
    }


def _by_source(policy: Policy, trained: MeasuredModel) -> dict[str, Any]:
    """Held-out accuracy on each source's text alone; each teacher is a source of its own."""
    places: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(trained.read):
        places[row.writer or row.source].append(index)
    measured = {source: _measures(policy, trained, chosen) for source, chosen in places.items()}
    kept = ("rows", "accuracy", "interval")
    return {source: {name: measures[name] for name in kept} for source, measures in measured.items()}


def _measures(policy: Policy, trained: MeasuredModel, chosen: Sequence[int]) -> dict[str, Any]:
    return evaluate(
        policy,
        [trained.read[index].shown for index in chosen],
        [trained.read[index].labels for index in chosen],
        [trained.verdicts[index] for index in chosen],
    )


def with_held_out(fitted: FittedModel) -> FittedModel:
    """The model with what it says of held-out texts: of a gateway's calls, else of what users wrote, else of all. What
    it would not answer with a label has no confidence, and is wrong. Topics have none."""
    trained, policy = fitted.trained, fitted.trained.model.policy
    if policy.several:
        return fitted
    pairs = list(zip(trained.read, language_filter.as_served(policy, trained).verdicts, strict=True))
    calls = [pair for pair in pairs if pair[0].digest]
    shown = calls or [pair for pair in pairs if pair[0].source in REAL] or pairs
    judged = sorted(_confidence(policy, row, verdict) for row, verdict in shown)
    places = np.linspace(0, len(judged) - 1, min(len(judged), _MOST_HELD_OUT)).round().astype(int)
    model = replace(trained.model, held_out=tuple(judged[place] for place in places))
    return replace(fitted, trained=replace(trained, model=model))


def _confidence(policy: Policy, row: Row, verdict: Verdict) -> tuple[float, float, bool]:
    likely = max(verdict.scores, key=lambda name: verdict.scores[name])
    sure = verdict.scores[likely]
    if policy.kind == "safety":
        return sure, row.calls, bool(row.labels)
    # of one label, the confidence is the likeliest class's, which may be `other`
    named = sure >= verdict.confidence and verdict.reason != NOVEL_REASON and not row.foreign
    return (sure, row.calls, row.labels != (likely,)) if named else (0.0, row.calls, True)


def publish(
    fitted: FittedModel, report: Mapping[str, Any], models_dir: Path, *, seed: int, now: datetime, learned: bool = False
) -> tuple[str, Path]:
    """Write the artifact, load it again, and publish it if it predicts as the model in memory does: (version, folder).
    now: what the version is named for; learned: as of
    `artifact.save`. Raises TrainingError where it does not, OSError where the folder cannot be written."""
    model, registry = fitted.trained.model, Registry(models_dir)
    made_with = {"python": platform.python_version(), **{tool: version(tool) for tool in _TOOLS}}
    with registry.staging(model.policy.name) as folder:
        artifact.save(
            model,
            folder,
            report=report,
            encoders=fitted.own,
            files=_pages(report),
            seed=seed,
            made_with=made_with,
            learned=learned,
        )
        again = artifact.load(folder).model
        for stage, loaded, vectors in zip(model.stages, again.stages, fitted.samples, strict=True):
            sample = vectors[:_CHECKED_ROWS]
            if not np.array_equal(score(stage, sample)[0], score(loaded, sample)[0]):
                raise TrainingError(f"{model.policy.name}: the saved model does not predict as the trained one does")
        name = registry.publish(model.policy.name, folder, now)
    shutil.rmtree(models_dir / model.policy.name / REFUSED, ignore_errors=True)
    return name, registry.resolve(model.policy.name, name)


def forget_learned(models_dir: Path, name: str) -> None:
    """Deletes versions that were learned from a gateway's calls, with the archives of their rows; all but the newest
    few and the one in use."""
    registry = Registry(models_dir)
    learned = [each for each in registry.versions(name) if artifact.is_learned(registry.resolve(name, each))]
    for old in {*learned[:-_KEPT_LEARNED]} - {registry.named(name)}:
        folder, rows = registry.resolve(name, old), data.file_of(models_dir, name, old)
        # nobody takes a folder that is half deleted for a version
        shutil.rmtree(folder.rename(folder.with_name(f".old-{old}")), ignore_errors=True)
        for file in (rows, rows.with_suffix(".doubts.jsonl"), data.vectors_of(models_dir, name, old)):
            file.unlink(missing_ok=True)


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


def _pages(report: Mapping[str, Any]) -> dict[str, str]:
    return {pages.PAGE_FILE: pages.training_page(report), pages.CARD_FILE: pages.model_card(report)}
