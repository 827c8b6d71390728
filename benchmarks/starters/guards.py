"""What the guards reach: the cascade of their two encoders, and either alone, on sets that nothing was trained on."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.starters.sets import (
    AILUMINATE,
    BANK,
    CONTRAST,
    HATECHECK,
    INJECTIONS,
    JAILBREAKS,
    REFUSALS,
    SURGE,
    public,
)
from classifiers import Reading, Runtime, Verdict, artifact
from classifiers.artifact import Artifact
from classifiers.classifier import from_model
from classifiers.encoder.session import Encoder
from classifiers.model import Model, Stage, Threshold
from classifiers.policy import Policy
from classifiers.registry import Registry
from classifiers.training.evaluate import evaluate

ABOUT = {
    "harmful-content": (AILUMINATE, SURGE, HATECHECK, CONTRAST, REFUSALS, BANK),
    "prompt-injection": (INJECTIONS, JAILBREAKS, REFUSALS, BANK),
}
"""The sets that are about what a guard guards against, and the harmless ones."""

_CASCADE = "cascade"
_LIKE_32_TOKENS = range(28, 37)
_TIMED = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Of one set by one model: its verdicts, and how many of its windows each encoder read."""

    verdicts: Sequence[Verdict]
    asked: float


def guard_lines(policy: Policy, models: Path, data: Path) -> Iterator[str]:
    """A policy's section: quality on each set for each model, the share asked, and milliseconds."""
    held = artifact.load(Registry(models).resolve(policy.name))
    stages = held.model.stages
    encoders = {stage.name: _encoder(held, stage, models) for stage in stages}
    sets = {what: rows for what, rows in public(data) if what in ABOUT[policy.name]}
    yield f"## {policy.name}"
    yield ""
    yield f"Recipe: {held.report()['settings']['recipe']}; encoders: {', '.join(_names(held))}."
    yield ""
    head = "messages | rows | model | asked | harmful flagged (in doubt) | harmless flagged (in doubt) | AUPRC | AUROC"
    yield f"| {head} |"
    yield "|---|---|---|---|---|---|---|---|"
    for what, rows in sets.items():
        for name, model in _models(held).items():
            yield f"| {what} | {len(rows)} | {name} | {_cells(policy, rows, _read(model, encoders, rows))} |"
    yield ""
    yield "| mean of texts with 28 to 36 tokens, one thread | texts | ms |"
    yield "|---|---|---|"
    for what, rows in sets.items():
        texts = [text for text, _ in rows if len(encoders[stages[0].name].tokenize(text)) in _LIKE_32_TOKENS][:_TIMED]
        for name, model in _models(held).items() if texts else ():
            yield f"| {what}, {name} | {len(texts)} | {_milliseconds(model, encoders, texts):.1f} |"


def _models(held: Artifact) -> Mapping[str, Model]:
    """The model as it is and, of two stages, either alone, by the thresholds that it would have so."""
    model = held.model
    if len(model.stages) == 1:
        return {"alone": model}
    points = {point["point"]: point for point in held.report()["settings"]["cascade"]["points"]}
    alone = {f"{stage.name} alone": stage for stage in model.stages}
    return {
        _CASCADE: model,
        **{name: replace(model, stages=(_with(stage, points[name]["thresholds"]),)) for name, stage in alone.items()},
    }


def _with(stage: Stage, thresholds: Mapping[str, Mapping[str, float]]) -> Stage:
    return replace(stage, thresholds={label: Threshold(**limits) for label, limits in thresholds.items()})


def _encoder(held: Artifact, stage: Stage, models: Path) -> Encoder:
    from classifiers.encoder.prepare import find

    return Encoder.open(held.encoder_folder(stage.encoder) or find(stage.encoder, models), 1)


def _names(held: Artifact) -> list[str]:
    told = held.report()["settings"].get("finetune", {})
    return [told[stage.name]["from"] if stage.name in told else stage.encoder.source for stage in held.model.stages]


def _read(model: Model, encoders: Mapping[str, Encoder], rows: Sequence[tuple[str, bool]]) -> Said:
    runtime = Runtime(_needed(model, encoders), {"guard": from_model(model)}, cache_windows=100_000)
    verdicts = runtime.classify([Reading(classifier="guard", texts=(text,)) for text, _ in rows])
    last = model.last.name
    asked = sum(verdict.stage == last for verdict in verdicts) if len(model.stages) > 1 else 0
    return Said(verdicts=verdicts, asked=asked / max(len(rows), 1))


def _needed(model: Model, encoders: Mapping[str, Encoder]) -> list[Encoder]:
    return [encoders[stage.name] for stage in model.stages]


def _cells(policy: Policy, rows: Sequence[tuple[str, bool]], said: Said) -> str:
    # a public set says harmful or not; any label of the policy stands for harmful
    truths = [(next(iter(policy.labels)),) if harmful else () for _, harmful in rows]
    found: dict[str, Any] = evaluate(policy, [text for text, _ in rows], truths, said.verdicts)
    shares = [
        f"{found['flagged'][side]:.1%} ({found['doubted'][side]:.1%})" if found["flagged"][side] is not None else ""
        for side in ("harmful", "harmless")
    ]
    both = all(found["flagged"][side] is not None for side in ("harmful", "harmless"))
    areas = [f"{found['any'][name]:.3f}" if both else "" for name in ("auprc", "auroc")]
    return " | ".join([f"{said.asked:.1%}", *shares, *areas])


def _milliseconds(model: Model, encoders: Mapping[str, Encoder], texts: Sequence[str]) -> float:
    """Mean for one text, tokenizer included. By the process's own time: it has one thread, and others run beside it."""
    runtime = Runtime(_needed(model, encoders), {"guard": from_model(model)}, cache_windows=0)
    taken = []
    for text in texts:
        began = time.process_time()
        runtime.classify([Reading(classifier="guard", texts=(text,))])
        taken.append(time.process_time() - began)
    return 1000 * float(np.mean(taken))
