"""A model on an encoder of its own: tune, export, measure what the export changed, fit and calibrate on held-out rows.

The rows that calibrate are whole groups which tuning never saw, neither for its steps nor, but for the choice of the
best epoch, in any other way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.encoder.session import Encoder, embed
from classifiers.errors import TrainingError
from classifiers.model.model import MAIN
from classifiers.policy import Policy
from classifiers.training.fit.checkpoint import Checkpoint
from classifiers.training.fit.fitted import MeasuredModel, Names, TunedHead
from classifiers.training.fit.heads import Advance, Frozen, classes_of, fit
from classifiers.training.fit.torch_export import exported
from classifiers.training.fit.tuning_set import SYSTEM_TOKENS, TuningSet, beside, lesson_of
from classifiers.training.fit.two_encoders import joined
from classifiers.training.rows import Row
from classifiers.training.windows import Windows, each_whole, tuned_windowing, wholes, windows_of

if TYPE_CHECKING:
    from classifiers.training.fit.fitted import FittedModel, Workbench
    from classifiers.training.fit.weights import Weights

_COMPARED = 500
FROZEN = "frozen"
"""The name of the frozen encoder's stage in front of a tuned one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedEncoder:
    """A tuned encoder as it will serve, and the folder that it lies in. told: of its tuning, for the report."""

    encoder: Encoder
    folder: Path
    head: TunedHead
    told: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedStage:
    """A tuned encoder and what stands on it. windows: of the rows, by the encoder."""

    tuned: TunedEncoder
    windows: Windows
    trained: MeasuredModel


def fit_tuned(
    policy: Policy,
    rows: Sequence[Row],
    frozen: Frozen,
    bench: "Workbench",
    *,
    source: str | None,
    names: Names = (FROZEN, MAIN),
) -> "FittedModel | None":
    """Tune an encoder and make the model that stands on it; None where held-out text gained nothing by it.

    Where one label is named, the frozen encoder stays in front of the tuned one and beside it (`fit.pair`).
    source: of the encoder to tune; names: of the stages of both.
    Raises TrainingError, EncoderError.
    """
    from classifiers.training.fit.fitted import FittedModel

    first_name, name = names
    lesson = lesson_of(policy, rows, bench.seed)
    rows = lesson.rows[: len(rows)]
    made = stage(policy, rows, lesson, bench, source=source, name=name, layers=policy.larger_layers)
    if made is None:
        return None
    if not policy.multi_label:
        bench.progress.step(f"fit: the {first_name} encoder beside the tuned one")
        first = frozen.fit(policy, rows, bench, unseen=lesson.held)
        both = joined(policy, rows, first, made.trained, names=names)
        if both is None:
            return None
        return FittedModel(
            trained=both,
            encoders=(frozen.encoder, made.tuned.encoder),
            samples=(frozen.vectors, made.windows.vectors),
            own={name: made.tuned.folder},
        )
    return FittedModel(
        trained=made.trained,
        encoders=(made.tuned.encoder,),
        samples=(made.windows.vectors,),
        own={name: made.tuned.folder},
    )


def stage(
    policy: Policy,
    rows: Sequence[Row],
    lesson: TuningSet,
    bench: "Workbench",
    *,
    source: str | None,
    name: str,
    layers: int | None = None,
) -> TunedStage | None:
    """Tune an encoder by a lesson and fit what stands on it; None where held-out text gained nothing.

    rows: the first ones of the lesson's: what the head is fitted and calibrated on. Where there are more (copies, text
    that a larger encoder has labelled), epochs are fewer, so that the encoder takes about as many steps.
    """
    tuned = tune_encoder(
        policy, lesson, bench, source=source, name=name, longer=len(lesson.rows) / len(rows), layers=layers
    )
    if tuned is None:
        return None
    bench.progress.step(f"finetune {name}: encoding the rows")
    windows = read(tuned, rows, bench.progress.advance)
    head = replace(tuned.head, unseen=tuned.head.unseen[: len(rows)])
    trained = fit(
        policy,
        rows,
        windows.vectors[windows.starts],
        encoder=tuned.encoder.id,
        seed=bench.seed,
        advance=bench.progress.advance,
        tuned=head,
        windows=windows if policy.multi_label else None,
    )
    trained.settings["finetune"] = tuned.told
    return TunedStage(tuned=tuned, windows=windows, trained=trained)


def tune_encoder(
    policy: Policy,
    lesson: TuningSet,
    bench: "Workbench",
    *,
    source: str | None,
    name: str,
    longer: float = 1.0,
    layers: int | None = None,
) -> TunedEncoder | None:
    """Tune an encoder by a lesson and export it; None where held-out text gained nothing by tuning.

    source: as of a policy's `encoder`; longer: how many times the policy's rows the lesson is; layers: how many of the
    encoder's are kept, from the lowest.
    Raises TrainingError, EncoderError.
    """
    from classifiers.training.fit.finetune import plan_for, tune
    from classifiers.training.fit.torch_encoder import TorchEncoder, torch_threads
    from classifiers.training.fit.weights import find_weights

    say = bench.progress.step
    system_tokens = SYSTEM_TOKENS if policy.reads_system else 0
    with torch_threads(bench.threads, bench.seed):
        weights = find_weights(source, bench.base_dir, bench.models_dir)
        torch_encoder = TorchEncoder(weights, tokens=128, layers=layers)
        if weights.max_tokens < 2 * system_tokens:
            raise TrainingError(
                f"reads_system: {weights.name} takes {weights.max_tokens} tokens at a time, too few for a text beside "
                f"{system_tokens} of a system prompt"
            )
        plan = plan_for(
            torch_encoder.dimensions,
            len(lesson.rows),
            multi_label=policy.multi_label,
            layers=layers,
        )
        kept = min(plan.kept, len(torch_encoder.layers) // 2)
        plan = replace(plan, epochs=max(1, round(plan.epochs / longer)), kept=kept)
        tuned = tune(
            torch_encoder,
            [row.text for row in lesson.rows],
            lesson.targets,
            np.array([row.weight for row in lesson.rows], np.float32),
            held=lesson.held,
            measured=lesson.measured,
            plan=plan,
            multi_label=policy.multi_label,
            seed=bench.seed,
            say=lambda line: say(f"finetune {name}: {line}"),
            beside=beside(lesson.rows, system_tokens),
            checkpoint=Checkpoint.of(
                bench.models_dir,
                policy.name,
                name,
                [plan, layers, system_tokens, bench.seed, *_depends(policy, lesson, bench, weights)],
            ),
        )
        if not tuned.best:
            return None
        say(f"finetune {name}: exporting the encoder to int8")
        compared = [row for row, unseen in zip(lesson.rows, lesson.held, strict=True) if unseen][:_COMPARED]
        encoder, folder, agreed = exported(
            torch_encoder,
            (tuned.weights, tuned.bias),
            [row.text for row in compared],
            name,
            bench,
            multi_label=policy.multi_label,
            beside=beside(compared, system_tokens),
        )
    head = TunedHead(
        weights=tuned.weights,
        bias=tuned.bias,
        unseen=lesson.held,
        tokens=torch_encoder.tokens,
        system_tokens=system_tokens,
        multi_label=policy.multi_label,
    )
    told = {
        "from": weights.name,
        **({"layers": layers} if layers else {}),
        "rows": int((~lesson.held).sum()),
        "held_out_rows": int(lesson.held.sum()),
        "plan": asdict(plan),
        "bf16": tuned.bf16,
        "epochs": [asdict(epoch) for epoch in tuned.history],
        "best_epoch": tuned.best,
        "export": agreed,
    }
    return TunedEncoder(encoder=encoder, folder=folder, head=head, told=told)


def _depends(policy: Policy, lesson: TuningSet, bench: "Workbench", weights: "Weights") -> Iterator[Any]:
    """What tuning by a lesson depends on beside its plan. What text without labels is taught follows from the larger
    encoder, which is tuned by the same rows."""
    from classifiers.training.fit.weights import find_weights

    used = [weights]
    if policy.larger_encoder is not None:
        used.append(find_weights(policy.larger_encoder, bench.base_dir, bench.models_dir))
    for one in used:
        yield one.name, one.pooling, one.max_tokens
        yield [(file.stat().st_size, file.stat().st_mtime_ns) for file in one.files]
    yield policy.larger_layers, policy.multi_label, classes_of(policy, lesson.rows)
    yield lesson.held.tolist()
    yield from lesson.rows
    yield [(tool, version(tool)) for tool in ("torch", "transformers", "tokenizers")]


def read(tuned: TunedEncoder, rows: Sequence[Row], advance: Advance | None = None) -> Windows:
    """What a tuned encoder makes of rows as they are served: where several labels may hold, of all windows of each;
    else of each as a whole."""
    head, texts = tuned.head, [row.text for row in rows]
    if not head.multi_label:
        return each_whole(wholes(tuned.encoder, texts, advance))
    systems = beside(rows, head.system_tokens)
    first = embed(tuned.encoder, texts, advance, tokens=head.tokens, beside=systems)
    return windows_of(tuned.encoder, texts, first, tuned_windowing(head.tokens), systems)
