"""Which recipe makes a policy's model: heads on the frozen encoder, an encoder tuned for the policy, or two of them.

`auto` begins with the frozen encoder, which takes seconds, and tunes one only where that may be needed and can be had:
a stated goal was missed or rows are plenty, and torch is installed. A policy that names a larger encoder gets a cascade
of both; where that cannot be had, the frozen encoder serves, and the report says so. torch is imported only where a
recipe needs it.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import numpy as np

from classifiers import data
from classifiers.encoder.session import embed
from classifiers.encoder.source import first_encoder
from classifiers.errors import ArtifactError, EncoderError, NotInstalledError, PolicyError, TrainingError, missing
from classifiers.model import artifact
from classifiers.model.model import EncoderId, Head
from classifiers.model.registry import Registry, unpack
from classifiers.policy import HIDDEN, Policy
from classifiers.training.fit import fitted
from classifiers.training.fit.augment import amid, harmless_parts, known_under_prompts
from classifiers.training.fit.heads import fit, windowing
from classifiers.training.fit.linear import UNITS
from classifiers.training.fit.ngrams import with_ngrams
from classifiers.training.fit.second_stage import find_policys_guard, with_guard
from classifiers.training.fit.two_encoders import fit_two_encoders
from classifiers.training.fit.weights import look, needed
from classifiers.training.rows import Row, by_themselves
from classifiers.training.split import deal
from classifiers.training.windows import windows_of

PLENTY_ROWS = 3_000
"""Rows besides the built-in writer's, from which `auto` tunes even where no goal was missed."""

_ASKED, _DEFAULT = "the policy asks for it", "the policy asks for no other"
_NO_GAIN = "tuning gained nothing on held-out text"
_SPINS = "1000"
"""How often OpenMP's threads look again before they sleep while they wait for one another; read when torch is loaded.
They would look for milliseconds, and where something else holds a core, hardly anything gets done: two threads took
over 16 s for what takes 3 s so, and 2 s on one thread (a step of 32 rows, two cores, a load of 20)."""


def check(policy: Policy, base_dir: Path, models_dir: Path) -> None:
    """Whether what a policy's recipe cannot do without is there, before anything is written or paid for. base_dir: what
    the policy's paths are relative to. Raises TrainingError, EncoderError, PolicyError."""
    if policy.guard:
        find_policys_guard(policy, base_dir, models_dir)
    lacking, sources = missing("torch", "transformers"), [source for _, source in needed(policy)]
    if lacking:
        if sources and policy.larger_encoder is None:
            raise TrainingError(f"{policy.name}: {'slots' if policy.slots else 'recipe: finetune'}: {lacking}")
        return
    # with a larger one, what is not installed is done without
    with suppress(*([NotInstalledError] if policy.larger_encoder else [])):
        for source in sources:
            look(source, base_dir)


def fit_policy(training: fitted.TrainingSet, bench: fitted.Workbench) -> fitted.FittedModel:
    """The model of a policy by its recipe. Raises TrainingError or EncoderError where fine-tuning, or a guard, is asked
    for and cannot be had."""
    policy = training.policy
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    if policy.slots:
        from classifiers.training.slots.tagger import fit_tagger

        return fit_tagger(policy, training.rows, bench)
    made = with_ngrams(RECIPES["cascade" if policy.larger_encoder else policy.recipe])(training, bench)
    return with_guard(training, made, bench) if policy.guard else made


def _frozen(training: fitted.TrainingSet, bench: fitted.Workbench) -> fitted.FittedModel:
    why = _ASKED if "recipe" in training.policy.model_fields_set else _DEFAULT
    return _with_recipe(_heads(training, bench), "frozen", why)


def _hidden(training: fitted.TrainingSet, bench: fitted.Workbench) -> fitted.FittedModel:
    return _with_recipe(_heads(training, bench), HIDDEN, _ASKED)


def _finetune(training: fitted.TrainingSet, bench: fitted.Workbench) -> fitted.FittedModel:
    tuned = _tuned(training, bench)
    if tuned is None and first_encoder(training.policy.encoder, "finetune") != training.policy.encoder:
        raise TrainingError(f"{training.policy.name}: {_NO_GAIN}")
    if tuned is None:
        return _instead(training, bench, f"recipe: finetune: {_NO_GAIN}")
    return _with_recipe(tuned, "finetune", _ASKED)


def _auto(training: fitted.TrainingSet, bench: fitted.Workbench) -> fitted.FittedModel:
    """The frozen encoder's model, or a tuned one where that is needed, can be had and is no worse."""
    heads = _heads(training, bench)
    wanted = _why_tune(training.rows, heads.trained)
    if not wanted:
        return _with_recipe(heads, "frozen", "no goal was missed and rows are few")
    tuned, but = None, missing("torch", "transformers")
    if not but:
        try:
            tuned, but = _tuned(training, bench), _NO_GAIN
        except (EncoderError, TrainingError) as error:
            but = str(error)
    # heads are not measured on what is written under system prompts
    alike = not any(row.system for row in training.rows)
    if tuned and alike and len(tuned.trained.chosen.missed) > len(heads.trained.chosen.missed):
        tuned, but = None, "a tuned encoder misses goals that this one meets"
    if tuned:
        return _with_recipe(tuned, "finetune", wanted)
    bench.progress.step(f"heads on the frozen encoder serve: {wanted}, but {but}")
    return _with_recipe(heads, "frozen", f"{wanted}, but {but}")


def _cascade(training: fitted.TrainingSet, bench: fitted.Workbench) -> fitted.FittedModel:
    """Two encoders. Of safety both are tuned; where one label is named, the small one is frozen, and the larger one too
    unless the recipe is `finetune`."""
    policy, why = training.policy, missing("torch", "transformers")
    made = None
    if not why:
        from classifiers.training.fit.distil import fit_distilled
        from classifiers.training.fit.tuned import fit_tuned

        why = "it gained nothing on held-out text"
        try:
            if policy.multi_label:
                made = fit_distilled(training, bench)
            elif policy.recipe == "finetune":
                made = fit_tuned(training, bench, source=policy.larger_encoder, names=(fitted.SMALL, fitted.LARGE))
            else:
                made = fit_two_encoders(training, bench)
        except NotInstalledError as error:
            why = str(error)
    if made is None:
        return _instead(training, bench, f"cascade: {why}")
    return _with_recipe(made, "cascade", "the policy names a larger encoder")


RECIPES: Mapping[str, fitted.Recipe] = MappingProxyType(
    {"frozen": _frozen, HIDDEN: _hidden, "finetune": _finetune, "auto": _auto, "cascade": _cascade}
)


def _instead(training: fitted.TrainingSet, bench: fitted.Workbench, why: str) -> fitted.FittedModel:
    note = f"{why}; heads on the frozen encoder serve instead"
    bench.progress.step(note)
    return _with_recipe(_heads(training, bench), "frozen", note, note=note)


def _why_tune(rows: Sequence[Row], heads: fitted.MeasuredModel) -> str:
    if heads.chosen.missed:
        return "a goal was missed with the frozen encoder"
    if any(row.system for row in rows):
        return "the policy reads system prompts"
    own = sum(row.source != "builtin" for row in rows)
    return f"{own} rows are plenty" if own >= PLENTY_ROWS else ""


def _heads(training: fitted.TrainingSet, bench: fitted.Workbench) -> fitted.FittedModel:
    """Heads on the frozen encoder. They read no system prompts, so what is known under one teaches them nothing."""
    alone, version = replace(training, rows=by_themselves(training.rows)), None
    if training.policy.builds_on:
        base, version = base_of(training.policy, training.encoder.id, bench.models_dir)
        training = replace(training, base=base)
    if training.policy.recipe == HIDDEN:
        trained = _in_units(training, bench)
    else:
        trained = _amid_words(training, bench) if training.policy.multi_label else fit(alone, bench)
    made = fitted.FittedModel(trained=trained, encoders=(training.encoder,), samples=(training.vectors,))
    made = made.with_settings(builds_on=version) if version else made
    if not training.policy.reads_system:
        return made
    under = sum(bool(row.system) for row in training.rows)
    note = f"reads_system: a frozen encoder reads no system prompts; {under} rows under one are left out"
    bench.progress.step(note)
    return made.with_settings(note=note)


def _amid_words(training: fitted.TrainingSet, bench: fitted.Workbench) -> fitted.MeasuredModel:
    """Heads that know each row also among words of others, judged in the windows in which text is read."""
    policy, encoder, vectors = training.policy, training.encoder, training.vectors
    spared = known_under_prompts(training.rows, policy.tests)
    rows = by_themselves(training.rows)
    dealt = deal(rows, len(fitted.classes_of(policy, rows)), bench.seed)
    taught, copied = amid(rows, dealt.folds, bench.seed, spared=spared)
    copies = embed(encoder, [row.text for row in taught[len(rows) :]], bench.progress.advance)
    amid_words = replace(
        training,
        rows=taught,
        vectors=np.concatenate([vectors, copies]),
        windows=windows_of(encoder, [row.text for row in rows], vectors, windowing(policy)),
        dealt=replace(dealt, folds=np.append(dealt.folds, dealt.folds[copied])),
    )
    return fit(amid_words, bench)


def _in_units(training: fitted.TrainingSet, bench: fitted.Workbench) -> fitted.MeasuredModel:
    """Heads with a hidden layer that know the sentences of harmless rows as well, judged in the parts in which text is
    read."""
    policy, encoder, vectors = training.policy, training.encoder, training.vectors
    rows = by_themselves(training.rows)
    dealt = deal(rows, UNITS, bench.seed)
    parts, owners = harmless_parts(rows, bench.seed)
    copies = embed(encoder, [row.text for row in parts], bench.progress.advance)
    each = replace(
        training,
        rows=[*rows, *parts],
        vectors=np.concatenate([vectors, copies]),
        windows=windows_of(encoder, [row.text for row in rows], vectors, windowing(policy)),
        dealt=replace(dealt, folds=np.append(dealt.folds, dealt.folds[owners])),
        hidden=True,
    )
    return fit(each, bench)


def base_of(policy: Policy, encoder: EncoderId, models_dir: Path) -> tuple[Head, str]:
    """The network of the guard that a policy builds on, with the policy's labels, and the guard's version: the one in
    use, or the shipped one. encoder: what the policy's heads stand on. Raises PolicyError where the guard is not there
    or does not fit."""
    name, registry = policy.builds_on or "", Registry(models_dir)

    def wrong(why: str) -> PolicyError:
        return PolicyError(f"{policy.name}: builds_on: {why}", places=((("builds_on",), why),))

    with TemporaryDirectory() as scratch:
        try:
            shipped = None if registry.current(name) else data.trained(name)
            folder = registry.resolve(name) if shipped is None else unpack(shipped, Path(scratch))
            held = artifact.load(folder)
        except ArtifactError as error:
            raise wrong(f"{error}; harm is shipped") from error
    stage, version = held.model.last, f"{held.name} {held.version}{' (shipped)' if shipped else ''}"
    head = stage.head
    if head.hidden is None or head.linear is not None:
        raise wrong(
            f"{name} is no network by itself; name a guard that was trained with recipe: {HIDDEN}, such as harm"
        )
    # int8 weights that another version of the tools has made of a package's are near enough
    alike = (encoder.source, encoder.tokenizer) == (stage.encoder.source, stage.encoder.tokenizer)
    if not encoder.fits(stage.encoder) and not (alike and encoder.source.startswith("package:")):
        raise wrong(f"{name} stands on another encoder, {stage.encoder.source}; train it again with {encoder.source}")
    if unknown := [label for label in policy.learned if label not in head.classes]:
        known = ", ".join(head.classes)
        raise wrong(f"{name} knows no {' and no '.join(unknown)}; name labels as it does ({known}), or drop builds_on:")
    rows = [head.classes.index(label) for label in policy.learned]
    # whether any holds is known of all of its labels together
    rows += [len(head.classes)] if set(head.classes) == set(policy.learned) else []
    return Head(classes=policy.learned, weights=head.weights[rows], bias=head.bias[rows], hidden=head.hidden), version


def _tuned(training: fitted.TrainingSet, bench: fitted.Workbench) -> fitted.FittedModel | None:
    from classifiers.training.fit.tuned import fit_tuned

    return fit_tuned(training, bench, source=training.policy.encoder)


def _with_recipe(made: fitted.FittedModel, name: str, why: str, *, note: str = "") -> fitted.FittedModel:
    """note: for people, besides what the model notes of itself."""
    notes = "; ".join(filter(None, (note, made.settings.get("note"))))
    return made.with_settings(recipe=name, because=why, **({"note": notes} if notes else {}))
