"""Which recipe makes a policy's model: heads on the frozen encoder, an encoder tuned for the policy, or two of them.

`auto` begins with the frozen encoder, which takes seconds, and tunes one only where that may be needed and can be had:
a stated goal was missed or rows are plenty, and torch is installed. A policy that names a larger encoder gets a cascade
of both; where that cannot be had, the frozen encoder serves, and the report says so.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.encoder.session import embed
from classifiers.errors import EncoderError, NotInstalledError, TrainingError, missing
from classifiers.policy import Policy
from classifiers.training.fit.augment import amid, told_under_prompts
from classifiers.training.fit.fitted import FittedModel, MeasuredModel, Workbench
from classifiers.training.fit.heads import Frozen, classes_of, windowing
from classifiers.training.fit.weights import look, needed
from classifiers.training.rows import Row, by_themselves
from classifiers.training.split import deal
from classifiers.training.windows import windows_of

PLENTY_ROWS = 3_000
"""Rows besides the built-in writer's, from which `auto` tunes even where no goal was missed."""

_ASKED, _DEFAULT = "the policy asks for it", "the policy asks for no other"
_NO_GAIN = "tuning gained nothing on held-out text"


def check(policy: Policy, base_dir: Path) -> None:
    """Whether what a policy's recipe cannot do without is there, before anything is written or paid for.

    base_dir: what the policy's paths are relative to. Raises TrainingError, EncoderError.
    """
    lacking, sources = missing("torch", "transformers"), [source for _, source in needed(policy)]
    if lacking:
        if sources and policy.larger_encoder is None:
            raise TrainingError(f"{policy.name}: {'slots' if policy.slots else 'recipe: finetune'}: {lacking}")
        return
    # beside a larger one, what is not installed is done without
    with suppress(*([NotInstalledError] if policy.larger_encoder else [])):
        for source in sources:
            look(source, base_dir)


def fit_policy(policy: Policy, rows: Sequence[Row], frozen: Frozen, bench: Workbench) -> FittedModel:
    """The model of a policy by its recipe.

    Raises TrainingError or EncoderError where fine-tuning is asked for and cannot be had.
    """
    if policy.larger_encoder is not None:
        two = _two(policy, rows, frozen, bench)
        if not isinstance(two, str):
            return two
        note = f"larger_encoder: {two}; heads on the frozen encoder serve instead"
        bench.progress.step(note)
        return _with_recipe(_heads(policy, rows, frozen, bench), "frozen", note, note=note)
    if policy.recipe == "finetune":
        if tuned := _tuned(policy, rows, frozen, bench, _ASKED):
            return tuned
        note = f"recipe: finetune: {_NO_GAIN}; heads on the frozen encoder serve instead"
        bench.progress.step(note)
        return _with_recipe(_heads(policy, rows, frozen, bench), "frozen", note, note=note)
    if policy.recipe == "frozen":
        why = _ASKED if "recipe" in policy.model_fields_set else _DEFAULT
        return _with_recipe(_heads(policy, rows, frozen, bench), "frozen", why)
    return _auto(policy, rows, frozen, bench)


def _auto(policy: Policy, rows: Sequence[Row], frozen: Frozen, bench: Workbench) -> FittedModel:
    """The frozen encoder's model, or a tuned one where that is needed, can be had and is no worse."""
    heads = _heads(policy, rows, frozen, bench)
    wanted = _why_tune(rows, heads.trained)
    if not wanted:
        return _with_recipe(heads, "frozen", "no goal was missed and rows are few")
    lacking = missing("torch", "transformers")
    if lacking:
        return _with_recipe(heads, "frozen", f"{wanted}, but {lacking}")
    try:
        tuned = _tuned(policy, rows, frozen, bench, wanted)
    except (EncoderError, TrainingError) as error:
        bench.progress.step(f"finetune: {error}; heads on the frozen encoder serve instead")
        return _with_recipe(heads, "frozen", f"{wanted}, but {error}")
    if tuned is None:
        return _with_recipe(heads, "frozen", f"{wanted}, but {_NO_GAIN}")
    # heads are not measured on what is written under system prompts
    alike = not any(row.system for row in rows)
    if alike and len(tuned.trained.chosen.missed) > len(heads.trained.chosen.missed):
        return _with_recipe(heads, "frozen", f"{wanted}, but a tuned encoder misses goals that this one meets")
    return tuned


def _two(policy: Policy, rows: Sequence[Row], frozen: Frozen, bench: Workbench) -> FittedModel | str:
    """The cascade of two encoders, or why there is none. Of safety both are tuned; where one label is named, the small
    one is frozen, and the larger one too unless the recipe is `finetune`."""
    lacking = missing("torch", "transformers")
    if lacking:
        return lacking
    from classifiers.training.fit import distil, two_encoders
    from classifiers.training.fit.fitted import LARGE, SMALL
    from classifiers.training.fit.tuned import fit_tuned

    made: FittedModel | None
    try:
        if policy.multi_label:
            made = distil.fit_distilled(policy, rows, bench)
        elif policy.recipe == "finetune":
            names = (SMALL, LARGE)
            made = fit_tuned(policy, rows, frozen, bench, source=policy.larger_encoder, names=names)
        else:
            made = two_encoders.fit_two_encoders(policy, rows, frozen, bench)
    except NotInstalledError as error:
        return str(error)
    if made is None:
        return _NO_GAIN if policy.multi_label or policy.recipe == "finetune" else "it gained nothing on held-out text"
    return _with_recipe(made, "cascade", "the policy names a larger encoder")


def _why_tune(rows: Sequence[Row], heads: MeasuredModel) -> str:
    if heads.chosen.missed:
        return "a goal was missed with the frozen encoder"
    if any(row.system for row in rows):
        return "the policy reads system prompts"
    own = sum(row.source != "builtin" for row in rows)
    return f"{own} rows are plenty" if own >= PLENTY_ROWS else ""


def _heads(policy: Policy, rows: Sequence[Row], frozen: Frozen, bench: Workbench) -> FittedModel:
    """Heads on the frozen encoder. They read no system prompts, so what is known under one teaches them nothing."""
    under = sum(bool(row.system) for row in rows)
    told = told_under_prompts(rows, policy.tests)
    rows = by_themselves(rows)
    made = FittedModel(
        trained=_among_words(policy, rows, told, frozen, bench)
        if policy.multi_label
        else frozen.fit(policy, rows, bench),
        encoders=(frozen.encoder,),
        samples=(frozen.vectors,),
    )
    if not policy.reads_system:
        return made
    note = f"reads_system: a frozen encoder reads no system prompts; {under} rows under one are left out"
    bench.progress.step(note)
    settings = {**made.trained.settings, "note": note}
    return replace(made, trained=replace(made.trained, settings=settings))


def _among_words(
    policy: Policy, rows: Sequence[Row], told: AbstractSet[str], frozen: Frozen, bench: Workbench
) -> MeasuredModel:
    """Heads that know each row also among words of others, judged in the windows in which text is read. told: what is
    known under system prompts."""
    windows = windows_of(frozen.encoder, [row.text for row in rows], frozen.vectors, windowing(policy))
    dealt = deal(rows, len(classes_of(policy, rows)), bench.seed)
    taught, copied = amid(rows, dealt.folds, bench.seed, spared=told)
    copies = embed(frozen.encoder, [row.text for row in taught[len(rows) :]], bench.progress.advance)
    return replace(frozen, vectors=np.concatenate([frozen.vectors, copies])).fit(
        policy,
        taught,
        bench,
        windows=windows,
        dealt=replace(dealt, folds=np.append(dealt.folds, dealt.folds[copied])),
    )


def _tuned(policy: Policy, rows: Sequence[Row], frozen: Frozen, bench: Workbench, why: str) -> FittedModel | None:
    from classifiers.training.fit.tuned import fit_tuned

    made = fit_tuned(policy, rows, frozen, bench, source=policy.encoder)
    return None if made is None else _with_recipe(made, "finetune", why)


def _with_recipe(made: FittedModel, name: str, why: str, *, note: str = "") -> FittedModel:
    """note: what whoever trains is to be told, beside what the model says of itself."""
    own = made.trained.settings
    notes = "; ".join(filter(None, (note, own.get("note"))))
    settings: dict[str, Any] = {"recipe": name, "because": why, **own, **({"note": notes} if notes else {})}
    return replace(made, trained=replace(made.trained, settings=settings))
