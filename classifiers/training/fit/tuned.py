"""A model on an encoder of its own: tune, export, measure what the export changed, fit and calibrate on held-out rows.

The rows that calibrate are whole groups. Tuning does not see them, but for the choice of the best epoch.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from classifiers.encoder.session import Encoder, embed
from classifiers.errors import EncoderError, TrainingError
from classifiers.model.model import MAIN
from classifiers.policy import Policy
from classifiers.training.fit import finetune
from classifiers.training.fit.checkpoint import WORTH_S, Checkpoint
from classifiers.training.fit.fitted import FittedModel, MeasuredModel, TrainingSet, TunedHead, Workbench, classes_of
from classifiers.training.fit.heads import Advance, fit
from classifiers.training.fit.torch_encoder import TorchEncoder, torch_threads
from classifiers.training.fit.torch_export import exported
from classifiers.training.fit.tuning_set import TuningSet, prompts_of, tuning_set_of
from classifiers.training.fit.two_encoders import cascade_model
from classifiers.training.fit.weights import Weights, find_weights
from classifiers.training.rows import Row
from classifiers.training.windows import Windows, each_whole, tuned_windowing, wholes, windows_of

_COMPARED = 500
FROZEN = "frozen"
"""The name of the frozen encoder's stage in front of a tuned one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedEncoder:
    """A tuned encoder as it will serve, and the folder that it lies in. record: of its tuning, for the report."""

    encoder: Encoder
    folder: Path
    head: TunedHead
    record: dict[str, Any]

    def read(self, rows: Sequence[Row], advance: Advance | None = None) -> Windows:
        """What the encoder makes of rows as they are served: where several labels may hold, of all windows of each;
        else of each as a whole."""
        head, texts = self.head, [row.text for row in rows]
        if not head.multi_label:
            return each_whole(wholes(self.encoder, texts, advance))
        systems = prompts_of(rows, head.system_tokens)
        first = embed(self.encoder, texts, advance, tokens=head.tokens, prompts=systems)
        return windows_of(self.encoder, texts, first, tuned_windowing(head.tokens), systems)


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedStage:
    """A tuned encoder and the heads fitted on it. windows: of the rows, by the encoder."""

    tuned: TunedEncoder
    windows: Windows
    trained: MeasuredModel


def fit_tuned(
    training: TrainingSet, bench: Workbench, *, source: str | None, names: tuple[str, str] = (FROZEN, MAIN)
) -> FittedModel | None:
    """Tune an encoder and make the model that stands on it; None where held-out text gained nothing by it. Where one
    label is named, the frozen encoder stays in front of the tuned one and counts with it (`two_encoders`). source: of
    the encoder to tune; names: of the stages of both. Raises TrainingError, EncoderError."""
    policy, (first_name, name) = training.policy, names
    tuning_set = tuning_set_of(policy, training.rows, bench.seed)
    rows = tuning_set.rows[: len(training.rows)]
    made = tune_stage(policy, rows, tuning_set, bench, source=source, name=name)
    if made is None:
        return None
    fitted = FittedModel(
        trained=made.trained,
        encoders=(made.tuned.encoder,),
        samples=(made.windows.vectors,),
        own={name: made.tuned.folder},
        settings={"finetune": made.tuned.record},
    )
    if policy.multi_label:
        return fitted
    bench.progress.step(f"fit: the {first_name} encoder beside the tuned one")
    first = fit(replace(training, rows=rows, unseen=tuning_set.held), bench)
    both = cascade_model(policy, rows, first, made.trained, names=names)
    if both is None:
        return None
    encoders, samples = (training.encoder, *fitted.encoders), (training.vectors, *fitted.samples)
    return replace(fitted, trained=both, encoders=encoders, samples=samples)


def tune_stage(
    policy: Policy, rows: Sequence[Row], tuning_set: TuningSet, bench: Workbench, *, source: str | None, name: str
) -> TunedStage | None:
    """Tune an encoder by a tuning set and fit what stands on it; None where held-out text gained nothing. rows: the
    first ones of the set's: what the head is fitted and calibrated on. Where there are more (copies, text that a larger
    encoder has labelled), epochs are fewer, so that the encoder takes about as many steps."""
    longer = len(tuning_set.rows) / len(rows)
    tuned = tune_encoder(policy, tuning_set, bench, source=source, name=name, longer=longer)
    if tuned is None:
        return None
    bench.progress.step(f"finetune {name}: encoding the rows")
    windows = tuned.read(rows, bench.progress.advance)
    here = TrainingSet(
        policy=policy,
        rows=rows,
        encoder=tuned.encoder,
        vectors=windows.vectors[windows.starts],
        tuned=replace(tuned.head, unseen=tuned.head.unseen[: len(rows)]),
        windows=windows if policy.multi_label else None,
    )
    return TunedStage(tuned=tuned, windows=windows, trained=fit(here, bench))


def tune_encoder(
    policy: Policy,
    tuning_set: TuningSet,
    bench: Workbench,
    *,
    source: str | None,
    name: str,
    longer: float = 1.0,
    layers: int | None = None,
) -> TunedEncoder | None:
    """Tune an encoder by a tuning set and export it; None where held-out text gained nothing by tuning. source: as of a
    policy's `encoder`; longer: how many times the policy's rows the set is; layers: how many of the encoder's are kept,
    from the lowest. Raises TrainingError, EncoderError."""
    say = partial(_say, bench, name)
    weights = find_weights(source, bench.base_dir, bench.models_dir)
    depends = [longer, layers, bench.seed, *_depends(policy, tuning_set, bench, weights)]
    checkpoint = Checkpoint.of(bench.models_dir, policy.name, name, depends)
    if kept := checkpoint.read():
        with suppress(EncoderError):  # a damaged one is tuned again
            encoder = Encoder.open(checkpoint.folder, bench.threads)
            say(f"was tuned before; {checkpoint.folder} holds it; delete it to begin anew")
            return TunedEncoder(encoder=encoder, folder=checkpoint.folder, head=kept[0], record=kept[1])
    began = time.monotonic()
    with torch_threads(bench.threads, bench.seed):
        tuned = _tune(tuning_set, bench, TorchEncoder(weights, tokens=128, layers=layers), name=name, longer=longer)
    if tuned and time.monotonic() - began >= WORTH_S:
        try:
            checkpoint.write(tuned.folder, tuned.head, tuned.record)
        except OSError as error:  # a full disk ends no training
            say(f"is not kept: {error}")
    return tuned


def _say(bench: Workbench, name: str, line: str) -> None:
    bench.progress.step(f"finetune {name}: {line}")


def _tune(
    tuning_set: TuningSet, bench: Workbench, encoder: TorchEncoder, *, name: str, longer: float
) -> TunedEncoder | None:
    weights, layers = encoder.weights, encoder.kept_layers
    if weights.max_tokens < 2 * tuning_set.system_tokens:
        raise TrainingError(
            f"reads_system: {weights.name} takes {weights.max_tokens} tokens at a time, too few for a text beside "
            f"{tuning_set.system_tokens} of a system prompt"
        )
    plan = finetune.plan_for(
        encoder.dimensions, len(tuning_set.rows), multi_label=tuning_set.multi_label, layers=layers
    )
    kept = min(plan.kept, len(encoder.layers) // 2)
    plan = replace(plan, epochs=max(1, round(plan.epochs / longer)), kept=kept)
    tuned = finetune.tune(
        encoder, tuning_set, plan=plan, seed=bench.seed, say=partial(_say, bench, name), advance=bench.progress.advance
    )
    if not tuned.best:
        return None
    _say(bench, name, "exporting the encoder to int8")
    compared = [row for row, unseen in zip(tuning_set.rows, tuning_set.held, strict=True) if unseen][:_COMPARED]
    served, folder, agreed = exported(encoder, tuned.head, compared, name, bench)
    record = {
        "from": weights.name,
        **({"layers": layers} if layers else {}),
        "rows": int((~tuning_set.held).sum()),
        "held_out_rows": int(tuning_set.held.sum()),
        "plan": asdict(plan),
        "bf16": tuned.bf16,
        "epochs": [asdict(epoch) for epoch in tuned.history],
        "best_epoch": tuned.best,
        "export": agreed,
    }
    return TunedEncoder(encoder=served, folder=folder, head=tuned.head, record=record)


def _depends(policy: Policy, tuning_set: TuningSet, bench: Workbench, weights: Weights) -> Iterator[Any]:
    """What tuning by a tuning set depends on. What text without labels is taught follows from the larger
    encoder, which is tuned by the same rows."""
    larger = policy.larger_encoder
    for source in (weights, *([find_weights(larger, bench.base_dir, bench.models_dir)] if larger else [])):
        yield source.name, source.pooling, source.max_tokens
        yield [(file.stat().st_size, file.stat().st_mtime_ns) for file in source.files]
    yield policy.multi_label, classes_of(policy, tuning_set.rows)
    yield tuning_set.held.tolist()
    yield from tuning_set.rows
    yield [(tool, version(tool)) for tool in ("torch", "transformers", "tokenizers")]
