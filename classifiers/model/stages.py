"""A manifest's entries of stages and taggers, and their tensors by name."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from classifiers.errors import ArtifactError
from classifiers.model import model
from classifiers.policy import OTHER, Policy

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""A stage's name, which names tensors and a folder."""

WEIGHTS, BIAS = "tagger.weights", "tagger.bias"
Tensors = Mapping[str, NDArray[Any]]
_Share = Annotated[float, Meta(ge=0, le=1)]


class TaggerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A tagger's entry; its tensors are WEIGHTS and BIAS."""

    slots: tuple[str, ...]
    scale: float


class _BandEntry(msgspec.Struct, frozen=True, kw_only=True):
    above: int
    up_to: int | None
    language: str
    thresholds: dict[str, model.Threshold]


class _CalibrationEntry(msgspec.Struct, frozen=True, kw_only=True):
    scale: list[float]
    offset: list[float]
    whole: tuple[float, float] | None = None
    chances: _Share = 0.0
    few_chances: Annotated[int, Meta(ge=1)] = 1
    most_chances: Annotated[int, Meta(ge=1)] = 8


class _NoveltyEntry(msgspec.Struct, frozen=True, kw_only=True):
    limit: float
    prototypes: int
    usual: model.Usual | None = None


class _NearestEntry(msgspec.Struct, frozen=True, kw_only=True):
    sharpness: float
    share: _Share


class _TasksEntry(msgspec.Struct, frozen=True, kw_only=True):
    bias: tuple[float, float]
    limits: tuple[_Share, _Share]
    small: tuple[str, ...] = ()


class StageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A stage's entry; its tensors are `<name>.weights`, `bias`, `prototypes`; `hidden_weights` and `hidden_bias`
    where it has a hidden layer, `linear_weights` and `linear_bias` where a linear one is added to it, `owners` where it
    votes, `tasks` where it has a task filter."""

    name: str
    encoder: model.EncoderId
    classes: tuple[str, ...]
    thresholds: dict[str, model.Threshold]
    bands: tuple[_BandEntry, ...] = ()
    calibration: _CalibrationEntry
    novelty: _NoveltyEntry
    nearest: _NearestEntry | None = None
    windowing: model.Windowing
    earlier: _Share | tuple[_Share, ...] = 0.0
    system_tokens: Annotated[int, Meta(ge=0, le=128)] = 0  # an encoder's input holds them and a window
    tasks: _TasksEntry | None = None


def tagger_tensors(tagger: model.Tagger) -> dict[str, NDArray[Any]]:
    floats = {WEIGHTS: tagger.weights, BIAS: tagger.bias}
    return {name: np.ascontiguousarray(value, np.float32) for name, value in floats.items()}


def read_tagger(entry: TaggerEntry | None, held: Tensors, policy: Policy, where: str) -> model.Tagger | None:
    """The tagger of an entry; None without one. where: the artifact's folder, for errors. Raises ArtifactError where it
    does not fit the policy or its tensors."""
    slots = entry.slots if entry else ()
    if slots != tuple(policy.slots):
        raise ArtifactError(f"{where}: its tagger knows the slots {slots}, its policy others; train it again")
    if entry is None:
        return None
    count = model.tag_count(len(slots))
    weights, bias = _tensor(held, WEIGHTS, where), _tensor(held, BIAS, where)
    if weights.ndim != 2 or len(weights) != count or bias.shape != (count,):
        raise ArtifactError(f"{where}: {WEIGHTS} and {BIAS} must have {count} rows")
    return model.Tagger(slots=slots, weights=weights, bias=bias, scale=entry.scale)


def stage_entry(stage: model.Stage) -> StageEntry:
    calibration, novelty, nearest, tasks = stage.calibration, stage.novelty, stage.nearest, stage.tasks
    return StageEntry(
        name=stage.name,
        encoder=stage.encoder,
        classes=stage.head.classes,
        thresholds=stage.thresholds,
        bands=tuple(
            _BandEntry(above=band.above, up_to=band.up_to, language=band.language, thresholds=own)
            for band, own in stage.bands.items()
        ),
        calibration=_CalibrationEntry(
            scale=calibration.scale.tolist(),
            offset=calibration.offset.tolist(),
            whole=calibration.whole,
            chances=calibration.chances,
            few_chances=calibration.few_chances,
            most_chances=calibration.most_chances,
        ),
        novelty=_NoveltyEntry(limit=novelty.limit, prototypes=len(novelty.prototypes), usual=novelty.usual),
        nearest=_NearestEntry(sharpness=nearest.sharpness, share=nearest.share) if nearest else None,
        windowing=stage.windowing,
        earlier=stage.earlier,
        system_tokens=stage.system_tokens,
        tasks=_TasksEntry(bias=tuple(tasks.bias.tolist()), limits=tuple(tasks.limits.tolist()), small=tasks.small)
        if tasks
        else None,
    )


def stage_tensors(stage: model.Stage) -> dict[str, NDArray[Any]]:
    """`<stage>.weights` and so on."""
    floats = {"weights": stage.head.weights, "bias": stage.head.bias, "prototypes": stage.novelty.prototypes}
    for part, layer in (("hidden", stage.head.hidden), ("linear", stage.head.linear)):
        floats |= {f"{part}_weights": layer.weights, f"{part}_bias": layer.bias} if layer else {}
    floats |= {"tasks": stage.tasks.weights} if stage.tasks else {}
    packed: dict[str, NDArray[Any]] = {
        f"{stage.name}.{name}": np.ascontiguousarray(value, np.float32) for name, value in floats.items()
    }
    if stage.nearest is not None:
        packed[f"{stage.name}.owners"] = np.ascontiguousarray(stage.nearest.owners, np.int32)
    return packed


def read_stage(entry: StageEntry, held: Tensors, policy: Policy, where: str) -> model.Stage:
    """The stage of an entry. where: the artifact's folder, for errors. Raises ArtifactError where parts do not fit."""
    name, classes, where = entry.name, entry.classes, f"{where}: {entry.name}"
    if not NAME.fullmatch(name):
        raise ArtifactError(f"{where} cannot be a stage's name")
    if classes not in {policy.learned, (*policy.learned, OTHER)}:
        raise ArtifactError(f"{where}: its classes are not the labels that the policy learns")
    scale, offset = (np.asarray(part, np.float32) for part in (entry.calibration.scale, entry.calibration.offset))
    head, prototypes = _head(classes, held, name, where), _tensor(held, f"{name}.prototypes", where)
    count, dimensions = len(classes), head.dimensions
    shapes, fitting = (prototypes.shape, offset.shape), ((len(prototypes), dimensions), (count,))
    shares = entry.earlier if isinstance(entry.earlier, tuple) else classes
    if shapes != fitting or len(scale) not in {1, count} or len(shares) != count:
        raise ArtifactError(f"{where}: arrays of the shapes {(*shapes, scale.shape)} do not fit {count} classes")
    nearest = None
    if entry.nearest is not None:
        owners = _tensor(held, f"{name}.owners", where, np.int32)
        nearest = model.Nearest(owners=owners, sharpness=entry.nearest.sharpness, share=entry.nearest.share)
    tasks = None
    if entry.tasks is not None:
        weighed = _tensor(held, f"{name}.tasks", where)
        bias, limits = (np.asarray(part, np.float32) for part in (entry.tasks.bias, entry.tasks.limits))
        if weighed.shape != (len(bias), dimensions):
            raise ArtifactError(f"{where}: its task filter does not fit vectors of {dimensions} dimensions")
        tasks = model.TaskFilter(weights=weighed, bias=bias, limits=limits, small=entry.tasks.small)
    return model.Stage(
        name=name,
        encoder=entry.encoder,
        head=head,
        calibration=model.Calibration(
            scale=scale,
            offset=offset,
            whole=entry.calibration.whole,
            chances=entry.calibration.chances,
            few_chances=entry.calibration.few_chances,
            most_chances=entry.calibration.most_chances,
        ),
        thresholds=entry.thresholds,
        novelty=model.Novelty(prototypes=prototypes, limit=entry.novelty.limit, usual=entry.novelty.usual),
        nearest=nearest,
        windowing=entry.windowing,
        earlier=entry.earlier,
        system_tokens=entry.system_tokens,
        bands={
            model.Band(above=band.above, up_to=band.up_to, language=band.language): band.thresholds
            for band in entry.bands
        },
        tasks=tasks,
    )


def _head(classes: tuple[str, ...], held: Tensors, name: str, where: str) -> model.Head:
    weights, bias = (_tensor(held, f"{name}.{part}", where) for part in ("weights", "bias"))
    hidden, linear, inputs, outputs = None, None, weights.shape[-1], {len(classes)}
    if f"{name}.hidden_weights" in held:
        below, offsets = (_tensor(held, f"{name}.hidden_{part}", where) for part in ("weights", "bias"))
        hidden = model.HiddenLayer(weights=below, bias=offsets)
        outputs.add(len(classes) + 1)
        if hidden.weights.ndim != 2 or hidden.weights.shape[0] != inputs or hidden.bias.shape != (inputs,):
            raise ArtifactError(f"{where}: its hidden layer does not fit a head of {inputs} inputs")
    if hidden is not None and f"{name}.linear_weights" in held:
        added, offsets = (_tensor(held, f"{name}.linear_{part}", where) for part in ("weights", "bias"))
        linear = model.LinearLayer(weights=added, bias=offsets)
        if added.shape != (len(classes), hidden.weights.shape[1]) or offsets.shape != (len(classes),):
            raise ArtifactError(f"{where}: its linear layer does not fit {len(classes)} classes")
    if weights.ndim != 2 or len(weights) not in outputs or bias.shape != weights.shape[:1]:
        raise ArtifactError(
            f"{where}: arrays of the shapes {(weights.shape, bias.shape)} do not fit {len(classes)} classes"
        )
    return model.Head(classes=classes, weights=weights, bias=bias, hidden=hidden, linear=linear)


def _tensor(held: Tensors, name: str, where: str, kind: type = np.float32) -> NDArray[Any]:
    tensor = held.get(name)
    if tensor is None or tensor.dtype != kind or not np.isfinite(tensor).all():
        raise ArtifactError(f"{where}: its tensors must hold {name}, finite and of {kind.__name__}")
    return tensor
