"""What the guards reach: the cascade of their two encoders, and either alone, on sets that nothing was trained on."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.starters.inside import among
from benchmarks.starters.sets import (
    AILUMINATE,
    BANK,
    CONTRAST,
    HATECHECK,
    INJECTIONS,
    JAILBREAKS,
    REFUSALS,
    SURGE,
    Rows,
    kinds,
    prompted,
    public,
)
from classifiers import Reading, Runtime, Verdict
from classifiers.encoder.session import Encoder
from classifiers.evaluation import suite
from classifiers.evaluation.evaluate import evaluate
from classifiers.model import artifact
from classifiers.model.artifact import Artifact
from classifiers.model.model import Model, Stage, Threshold
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.runtime.classifier import from_model

ABOUT = {
    "moderation": (AILUMINATE, SURGE, HATECHECK, CONTRAST, INJECTIONS, JAILBREAKS, REFUSALS, BANK),
}
"""The sets that are about what a guard guards against, and the harmless ones."""

_ATTACKS = "character attacks"
_LIKE_32_TOKENS = range(28, 37)
_TIMED = 100
_ATTACKED = 100
_REMEMBERED = 100_000


class Guard:
    """A guard as it stands in a folder of models: its cascade and either encoder alone."""

    def __init__(self, policy: Policy, models: Path) -> None:
        held = artifact.load(Registry(models).resolve(policy.name))
        self.policy = policy
        self.report = artifact.report_in(held.folder)
        self.variants = _variants(held)
        self.encoders = {stage.name: _encoder(held, stage, models) for stage in held.model.stages}
        self.last = held.model.last.name
        self.reads_system = held.model.reads_system
        self._memory = self._runtime(self.variants, _REMEMBERED)

    def read(self, variant: str, texts: Sequence[str], systems: Sequence[str] = ()) -> list[Verdict]:
        """A verdict for each text; what an encoder has read before it need not read again. systems: the system prompt
        of each, where they have some."""
        each = systems or [""] * len(texts)
        return self._memory.classify(
            [
                Reading(classifier=variant, texts=(text,), system=system)
                for text, system in zip(texts, each, strict=True)
            ]
        )

    def suite(self, variant: str, rows: Rows) -> dict[str, Any]:
        """Figures of the character attacks on a sample of the rows."""
        found = suite.run(self._memory, variant, rows, most=_ATTACKED, families=(_ATTACKS,))
        return dict(found["families"][_ATTACKS])

    def milliseconds(self, variant: str, texts: Sequence[tuple[str, str]]) -> float:
        """Mean for one text, tokenizer included. By the process's own time: it has one thread, others run beside.

        texts: each with its system prompt, which may be empty.
        """
        runtime = self._runtime({variant: self.variants[variant]}, 0)
        readings = [Reading(classifier=variant, texts=(text,), system=system) for text, system in texts]
        # the detector of languages is opened by the first text
        runtime.classify(readings[:1])
        taken = []
        for reading in readings:
            began = time.process_time()
            runtime.classify([reading])
            taken.append(time.process_time() - began)
        return 1000 * float(np.mean(taken))

    def like_32_tokens(self, rows: Rows, systems: Sequence[str] = ()) -> list[tuple[str, str]]:
        """Texts of 28 to 36 tokens with their system prompts, at most a hundred, drawn with a fixed seed."""
        first = next(iter(self.encoders.values()))
        each = zip(rows, systems or [""] * len(rows), strict=True)
        texts = [(text, system) for (text, _), system in each if len(first.tokenize(text)) in _LIKE_32_TOKENS]
        return random.Random(0).sample(texts, min(_TIMED, len(texts)))

    def _runtime(self, models: Mapping[str, Model], remembered: int) -> Runtime:
        needed = {stage.name for model in models.values() for stage in model.stages}
        encoders = [encoder for name, encoder in self.encoders.items() if name in needed]
        return Runtime(encoders, {name: from_model(model) for name, model in models.items()}, cache_windows=remembered)


def guard_lines(policy: Policy, models: Path, data: Path) -> Iterator[str]:
    """A policy's section: quality on each set for each model, the share asked, attacks, what is found inside other
    text, milliseconds, categories."""
    guard = Guard(policy, models)
    sets = {what: rows for what, rows in public(data) if what in ABOUT[policy.name]}
    settings = guard.report["settings"]
    told = settings.get("finetune", {})
    names = [told[stage]["from"] if stage in told else guard.encoders[stage].id.source for stage in guard.encoders]
    yield f"## {policy.name}"
    yield ""
    yield f"Recipe: {settings['recipe']}; encoders: {', '.join(names)}; rows: {guard.report['text']['rows']}."
    yield ""
    yield from _quality(guard, sets, data)
    yield ""
    yield from _attacks(guard, sets)
    yield ""
    yield from _inside(guard, sets)
    yield ""
    yield from _times(guard, sets, data)
    named = kinds(data)
    for what, each in named.items():
        if what in sets:
            yield ""
            yield from _by_kind(guard, what, sets[what], each)
    for what, rows, systems in _prompted(guard, data):
        if what.startswith(INJECTIONS):
            yield ""
            yield from _by_kind(guard, what, rows, named[INJECTIONS], systems)
    yield ""


def _quality(guard: Guard, sets: Mapping[str, Rows], data: Path) -> Iterator[str]:
    head = "messages | rows | model | asked | harmful flagged (in doubt) | harmless flagged (in doubt) | AUPRC | AUROC"
    yield f"| {head} |"
    yield "|---|---|---|---|---|---|---|---|"
    for what, rows in sets.items():
        for name in guard.variants:
            yield f"| {what} | {len(rows)} | {name} | {_cells(guard, name, rows)} |"
    for what, rows, systems in _prompted(guard, data):
        for name in guard.variants:
            yield f"| {what} | {len(rows)} | {name} | {_cells(guard, name, rows, systems)} |"


def _prompted(guard: Guard, data: Path) -> Iterator[tuple[str, Rows, list[str]]]:
    """The sets under system prompts, for a guard that reads these."""
    if guard.reads_system:
        yield from prompted(data)


def _cells(guard: Guard, variant: str, rows: Rows, systems: Sequence[str] = ()) -> str:
    texts = [text for text, _ in rows]
    verdicts = guard.read(variant, texts, systems)
    # a public set says harmful or not; any label of the policy stands for harmful
    truths = [(next(iter(guard.policy.labels)),) if harmful else () for _, harmful in rows]
    found: dict[str, Any] = evaluate(guard.policy, texts, truths, verdicts)
    several = len(guard.variants[variant].stages) > 1
    asked = f"{np.mean([verdict.stage == guard.last for verdict in verdicts]):.1%}" if several else ""
    shares = [
        f"{found['flagged'][side]:.1%} ({found['doubted'][side]:.1%})" if found["flagged"][side] is not None else ""
        for side in ("harmful", "harmless")
    ]
    both = all(found["flagged"][side] is not None for side in ("harmful", "harmless"))
    areas = [f"{found['any'][name]:.3f}" if both else "" for name in ("auprc", "auroc")]
    return " | ".join([asked, *shares, *areas])


def _attacks(guard: Guard, sets: Mapping[str, Rows]) -> Iterator[str]:
    """On the first set that is all harmful."""
    what, rows = next((what, rows) for what, rows in sets.items() if all(harmful for _, harmful in rows))
    found = {name: guard.suite(name, rows) for name in guard.variants}
    yield f"| {what}, {_ATTACKED} drawn: recall kept under | {' | '.join(found)} |"
    yield f"|---|{'---|' * len(found)}"
    for attack in next(iter(found.values()))["variants"]:
        yield f"| {attack} | {' | '.join(_kept(figures['variants'][attack]) for figures in found.values())} |"
    yield f"| all twelve | {' | '.join(_kept(figures['all'], interval=True) for figures in found.values())} |"


def _kept(figures: Mapping[str, Any], *, interval: bool = False) -> str:
    if figures["kept"] is None:
        return ""
    low, high = figures["kept_interval"] or (figures["kept"], figures["kept"])
    return f"{figures['kept']:.1%}" + (f" ({low:.1%} – {high:.1%})" if interval else "")


def _inside(guard: Guard, sets: Mapping[str, Rows]) -> Iterator[str]:
    yield f"| flagged | {' | '.join(guard.variants)} |"
    yield f"|---|{'---|' * len(guard.variants)}"
    for what, texts in among(sets):
        yield f"| {what} | {' | '.join(flagged(guard, name, texts) for name in guard.variants)} |"


def flagged(guard: Guard, variant: str, texts: Sequence[str]) -> str:
    """The share of texts that is flagged, and in brackets what is in doubt beside."""
    verdicts = guard.read(variant, texts)
    share = sum(bool(verdict.labels) for verdict in verdicts) / len(texts)
    doubted = sum(not verdict.labels and verdict.abstention is not None for verdict in verdicts) / len(texts)
    return f"{share:.1%} ({doubted:.1%})"


def _times(guard: Guard, sets: Mapping[str, Rows], data: Path) -> Iterator[str]:
    yield f"| mean ms of texts with 28 to 36 tokens, one thread | texts | {' | '.join(guard.variants)} |"
    yield f"|---|---|{'---|' * len(guard.variants)}"
    plain = ((what, rows, []) for what, rows in sets.items())
    for what, rows, systems in (*plain, *_prompted(guard, data)):
        texts = guard.like_32_tokens(rows, systems)
        if texts:
            times = [f"{guard.milliseconds(name, texts):.1f}" for name in guard.variants]
            yield f"| {what} | {len(texts)} | {' | '.join(times)} |"


def _by_kind(guard: Guard, what: str, rows: Rows, each: Sequence[str], systems: Sequence[str] = ()) -> Iterator[str]:
    flags = {
        name: np.array([bool(verdict.labels) for verdict in guard.read(name, [text for text, _ in rows], systems)])
        for name in guard.variants
    }
    yield f"| {what}, flagged | rows | {' | '.join(flags)} |"
    yield f"|---|---|{'---|' * len(flags)}"
    for kind in sorted(set(each)):
        chosen = np.array([one == kind for one in each])
        shares = [f"{found[chosen].mean():.1%}" for found in flags.values()]
        yield f"| {kind} | {int(chosen.sum())} | {' | '.join(shares)} |"


def _variants(held: Artifact) -> Mapping[str, Model]:
    """The model as it is and, of two stages, either alone, by the thresholds that it would have so."""
    model = held.model
    if len(model.stages) == 1:
        return {"alone": model}
    points = {point["point"]: point for point in artifact.report_in(held.folder)["settings"]["cascade"]["points"]}
    alone = {f"{stage.name} alone": stage for stage in model.stages}
    return {
        "cascade": model,
        **{name: replace(model, stages=(_with(stage, points[name]["thresholds"]),)) for name, stage in alone.items()},
    }


def _with(stage: Stage, thresholds: Mapping[str, Mapping[str, float]]) -> Stage:
    return replace(stage, thresholds={label: Threshold(**limits) for label, limits in thresholds.items()})


def _encoder(held: Artifact, stage: Stage, models: Path) -> Encoder:
    from classifiers.encoder.prepare import find

    return Encoder.open(held.encoder_folder(stage.encoder) or find(stage.encoder, models), 1)
