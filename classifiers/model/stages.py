"""Stages and taggers as an artifact stores them: entries of the manifest, and named tensors."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.errors import ArtifactError
from classifiers.model.model import (
    NEVER,
    Band,
    Calibration,
    EncoderId,
    LinearHead,
    Nearest,
    Novelty,
    Stage,
    Tagger,
    Threshold,
    Usual,
    Windowing,
)
from classifiers.policy import OTHER, Policy
from classifiers.slots import tags

WEIGHTS, BIAS = "tagger.weights", "tagger.bias"


def slots_entry(tagger: Tagger) -> dict[str, Any]:
    """The manifest's entry of a tagger."""
    return {"slots": list(tagger.slots), "scale": tagger.scale}


def slots_tensors(tagger: Tagger) -> dict[str, NDArray[Any]]:
    """A tagger's tensors by name."""
    return {
        WEIGHTS: np.ascontiguousarray(tagger.weights, np.float32),
        BIAS: np.ascontiguousarray(tagger.bias, np.float32),
    }


def read_slots(
    values: Mapping[str, Any] | None, held: Mapping[str, NDArray[Any]], policy: Policy, where: str
) -> Tagger | None:
    """The tagger of a manifest's entry; None without one. where: the artifact's folder, for errors.

    Raises ArtifactError where it does not fit the policy, KeyError or TypeError where parts are missing.
    """
    if values is None:
        if policy.slots:
            raise ArtifactError(f"{where}: its policy has slots, but it holds no tagger; train it again")
        return None
    slots = tuple(map(str, values["slots"]))
    if slots != tuple(policy.slots):
        raise ArtifactError(f"{where}: its tagger's slots are not the policy's")
    weights, bias = held[WEIGHTS], held[BIAS]
    count = tags.count(len(slots))
    if weights.dtype != np.float32 or weights.ndim != 2 or len(weights) != count or bias.shape != (count,):
        raise ArtifactError(f"{where}: {WEIGHTS} and {BIAS} must be float32 and have {count} rows")
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ArtifactError(f"{where}: {WEIGHTS} holds numbers that are not finite")
    return Tagger(slots=slots, weights=weights, bias=bias.astype(np.float32), scale=float(values["scale"]))


NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""A stage's name, which names tensors and a folder."""

MOST_SYSTEM_TOKENS = 128
"""The most tokens of a system prompt with each window, since an encoder's input must hold both."""

Tensors = Mapping[str, NDArray[Any]]


def stage_entry(stage: Stage) -> dict[str, Any]:
    """The manifest's entry of a stage."""
    return {
        "name": stage.name,
        "encoder": asdict(stage.encoder),
        "classes": list(stage.head.classes),
        "thresholds": _limits(stage.thresholds),
        "bands": [{**asdict(band), "thresholds": _limits(own)} for band, own in stage.bands.items()],
        "calibration": {
            "scale": stage.calibration.scale.tolist(),
            "offset": stage.calibration.offset.tolist(),
            "whole": stage.calibration.whole,
            "chances": stage.calibration.chances,
        },
        "novelty": {
            "limit": float(stage.novelty.limit),
            "prototypes": len(stage.novelty.prototypes),
            "usual": stage.novelty.usual and asdict(stage.novelty.usual),
        },
        "nearest": stage.nearest and {"sharpness": stage.nearest.sharpness, "share": stage.nearest.share},
        "windowing": asdict(stage.windowing),
        "earlier": float(stage.earlier),
        "system_tokens": stage.system_tokens,
    }


def _limits(thresholds: Mapping[str, Threshold]) -> dict[str, dict[str, float]]:
    return {label: {"act": float(limit.act), "unsure": float(limit.unsure)} for label, limit in thresholds.items()}


def stage_tensors(stage: Stage) -> dict[str, NDArray[Any]]:
    """`<stage>.weights` and so on. Raises ValueError for a stage's name that cannot name a file."""
    if not NAME.fullmatch(stage.name):
        raise ValueError(f"{stage.name!r} cannot be a stage's name")
    floats = {"weights": stage.head.weights, "bias": stage.head.bias, "prototypes": stage.novelty.prototypes}
    packed: dict[str, NDArray[Any]] = {
        f"{stage.name}.{name}": np.ascontiguousarray(value, np.float32) for name, value in floats.items()
    }
    if stage.nearest is not None:
        packed[f"{stage.name}.owners"] = np.ascontiguousarray(stage.nearest.owners, np.int32)
    return packed


def read_stages(values: Mapping[str, Any], held: Tensors, policy: Policy, where: str) -> Stage:
    """The stage of a manifest's entry. where: the artifact's folder, for errors.

    Raises ArtifactError where parts do not fit together, KeyError, TypeError or ValueError where some are missing.
    """
    name = str(values["name"])
    if not NAME.fullmatch(name):
        raise ArtifactError(f"{where}: {name!r} cannot be a stage's name")
    classes = tuple(map(str, values["classes"]))
    labels = policy.learned
    if classes not in {labels, (*labels, OTHER)}:
        raise ArtifactError(f"{where}: its classes are not the labels that the policy learns")
    calibration = values["calibration"]
    scale, offset = (np.asarray(calibration[part], np.float32) for part in ("scale", "offset"))
    weights, bias, prototypes = (_floats(held, f"{name}.{part}", where) for part in ("weights", "bias", "prototypes"))
    count, dimensions = len(classes), weights.shape[-1]
    shapes: dict[str, tuple[tuple[int, ...], set[tuple[int, ...]]]] = {
        "weights": (weights.shape, {(count, dimensions)}),
        "bias": (bias.shape, {(count,)}),
        "prototypes": (prototypes.shape, {(len(prototypes), dimensions)}),
        "calibration.scale": (scale.shape, {(1,), (count,)}),
        "calibration.offset": (offset.shape, {(count,)}),
    }
    for part, (shape, allowed) in shapes.items():
        if shape not in allowed:
            raise ArtifactError(f"{where}: {name}.{part} has the shape {shape}, which does not fit {count} classes")
    if not all(np.isfinite(array).all() for array in (weights, bias, prototypes, scale, offset)):
        raise ArtifactError(f"{where}: {name} holds numbers that are not finite")
    system_tokens = int(values.get("system_tokens", 0))
    if not 0 <= system_tokens <= MOST_SYSTEM_TOKENS:
        raise ArtifactError(f"{where}: {name} reads {system_tokens} tokens of a system prompt")
    chances = _share(calibration.get("chances", 0.0), f"{where}: calibration.chances of {name} is")
    owners = f"{name}.owners"
    return Stage(
        name=name,
        encoder=EncoderId(**values["encoder"]),
        head=LinearHead(classes=classes, weights=weights, bias=bias),
        calibration=Calibration(
            scale=scale, offset=offset, whole=_whole(calibration.get("whole"), f"{where}: {name}"), chances=chances
        ),
        thresholds=_thresholds(values["thresholds"], where),
        novelty=_novelty(values["novelty"], prototypes, f"{where}: {name}"),
        nearest=_nearest(values.get("nearest"), held, owners, prototypes=len(prototypes), classes=count, where=where),
        windowing=_windowing(values["windowing"], where),
        earlier=_share(values.get("earlier", 0.0), f"{where}: the stage before {name} counts"),
        system_tokens=system_tokens,
        bands={_band(band): _thresholds(band["thresholds"], where) for band in values.get("bands", ())},
    )


def _share(value: Any, what: str) -> float:
    share = float(value)
    if not 0 <= share <= 1:
        raise ArtifactError(f"{what} {share}, which must be 0..1")
    return share


def _windowing(values: Mapping[str, Any], where: str) -> Windowing:
    windowing = Windowing(**values)
    if not (windowing.tokens >= 8 and 0 <= windowing.overlap <= windowing.tokens // 2):
        raise ArtifactError(f"{where}: windows of {windowing.tokens} tokens, overlap {windowing.overlap}")
    return windowing


def _band(values: Mapping[str, Any]) -> Band:
    up_to = values["up_to"]
    return Band(above=int(values["above"]), up_to=up_to and int(up_to), language=str(values["language"]))


def _thresholds(values: Mapping[str, Mapping[str, float]], where: str) -> dict[str, Threshold]:
    thresholds = {label: Threshold(**limits) for label, limits in values.items()}
    if not all(limit.unsure <= limit.act and _possible(limit.act, limit.unsure) for limit in thresholds.values()):
        raise ArtifactError(f"{where}: thresholds must be 0 <= unsure <= act <= 1")
    return thresholds


def _possible(*limits: float) -> bool:
    return all(0 <= limit <= 1 or limit == NEVER.act for limit in limits)


def _whole(values: Any, where: str) -> tuple[float, float] | None:
    if values is None:
        return None
    scale, offset = map(float, values)
    if not np.isfinite((scale, offset)).all():
        raise ArtifactError(f"{where} holds numbers that are not finite")
    return scale, offset


def _novelty(values: Mapping[str, Any], prototypes: NDArray[np.float32], where: str) -> Novelty:
    given = values.get("usual")
    usual = None if given is None else Usual(level=float(given["level"]), width=float(given["width"]))
    if usual is not None and not (np.isfinite(usual.level) and 0 < usual.width < np.inf):
        raise ArtifactError(f"{where}: novelty needs a level and a width above 0, not {given}")
    return Novelty(prototypes=prototypes, limit=float(values["limit"]), usual=usual)


def _floats(held: Tensors, name: str, where: str) -> NDArray[np.float32]:
    tensor = held.get(name)
    if tensor is None or tensor.dtype != np.float32:
        raise ArtifactError(f"{where}: its tensors must hold {name} as float32")
    return tensor


def _nearest(
    values: Mapping[str, Any] | None, held: Tensors, name: str, *, prototypes: int, classes: int, where: str
) -> Nearest | None:
    if values is None:
        return None
    owners = held[name]
    whole = len(owners) == prototypes >= classes and owners[0] == 0 and owners[-1] == classes - 1
    if not whole or not np.isin(np.diff(owners), (0, 1)).all():
        raise ArtifactError(f"{where}: {name} must name every class, in ascending order")
    return Nearest(owners=owners, sharpness=float(values["sharpness"]), share=float(values["share"]))
