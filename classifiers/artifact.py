"""An artifact: a trained classifier as a folder of files, saved whole and loaded only if whole.

manifest.json        what it is, its numbers, and the sha256 of every other file
head.safetensors     weights (classes, dimensions), bias (classes,), prototypes (n, dimensions), float32; owners (n,),
                     int32, where the head also asks the nearest sentences
policy.filled.yaml   the policy with every default written out, without secrets
report.json          what training measured; report.html and MODEL_CARD.md say it for people

A version's folder is named for its manifest's sha256 as well, so the manifest cannot be changed unnoticed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from classifiers.errors import ArtifactError
from classifiers.model import Calibration, EncoderId, LinearHead, Model, Nearest, Novelty, Threshold, Windowing
from classifiers.policy import OTHER, Policy

SCHEMA = 1
MANIFEST, HEAD, POLICY, REPORT = "manifest.json", "head.safetensors", "policy.filled.yaml", "report.json"
VERSION = re.compile(r"\d{8}-\d{6}-([0-9a-f]{8})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A loaded artifact. version: the folder's name, empty for one that is not published yet."""

    name: str
    version: str
    model: Model
    folder: Path
    manifest: Mapping[str, Any] = field(repr=False)

    def report(self) -> Mapping[str, Any]:
        """What training measured. Raises ArtifactError where report.json cannot be read."""
        return _object(self.folder / REPORT)


def policy_text(policy: Policy) -> str:
    """The policy with every default written out, without the teacher's key. JSON, so YAML as well."""
    filled = policy.model_dump(mode="json", by_alias=True, exclude={"teacher": {"api_key"}})
    return json.dumps(filled, ensure_ascii=False, indent=2) + "\n"


def policy_sha256(policy: Policy) -> str:
    """By this an artifact knows whether it was trained from a policy as it stands now."""
    return hashlib.sha256(policy_text(policy).encode()).hexdigest()


def save(
    model: Model,
    folder: Path,
    *,
    report: Mapping[str, Any],
    files: Mapping[str, str] | None = None,
    seed: int = 0,
    made_with: Mapping[str, str] | None = None,
) -> None:
    """Write an artifact into an existing, empty folder.

    files: further texts by file name (report.html, MODEL_CARD.md). made_with: versions of the tools.
    The same model gives the same bytes of head.safetensors. Raises OSError where the folder cannot be written.
    """
    from safetensors.numpy import save as pack

    floats = {"weights": model.head.weights, "bias": model.head.bias, "prototypes": model.novelty.prototypes}
    tensors: dict[str, NDArray[Any]] = {name: np.ascontiguousarray(value, np.float32) for name, value in floats.items()}
    if model.nearest is not None:
        tensors["owners"] = np.ascontiguousarray(model.nearest.owners, np.int32)
    contents = {name: text.encode() for name, text in (files or {}).items()} | {
        HEAD: pack(tensors),
        POLICY: policy_text(model.policy).encode(),
        REPORT: (json.dumps(report, ensure_ascii=False, indent=1) + "\n").encode(),
    }
    manifest = {
        "schema": SCHEMA,
        "name": model.policy.name,
        "kind": model.policy.kind,
        "policy_sha256": policy_sha256(model.policy),
        "encoder": asdict(model.encoder),
        "classes": list(model.head.classes),
        "thresholds": {
            label: {"act": float(limit.act), "unsure": float(limit.unsure)} for label, limit in model.thresholds.items()
        },
        "calibration": {
            "scale": model.calibration.scale.tolist(),
            "offset": model.calibration.offset.tolist(),
        },
        "novelty": {"limit": float(model.novelty.limit), "prototypes": len(model.novelty.prototypes)},
        "nearest": model.nearest and {"sharpness": model.nearest.sharpness, "share": model.nearest.share},
        "windowing": asdict(model.windowing),
        "seed": seed,
        "made_with": dict(made_with or {}),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())},
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def manifest_digest(folder: Path) -> str:
    """The eight hexadecimal digits that end a version's name. Raises OSError where there is no manifest."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:8]


def load(folder: Path) -> Artifact:
    """Read an artifact, every file checked. Raises ArtifactError naming the file that is missing or changed."""
    manifest = _object(folder / MANIFEST)
    named = VERSION.fullmatch(folder.name)
    if named and manifest_digest(folder) != named[1]:
        raise ArtifactError(f"{folder / MANIFEST} has been changed since it was published; train it again")
    if manifest.get("schema") != SCHEMA:
        raise ArtifactError(f"{folder / MANIFEST} has schema {manifest.get('schema')!r}, not {SCHEMA}")
    try:
        digests = dict(manifest["files"])
        for name in {HEAD, POLICY, REPORT, *digests}:
            _check(folder, name, digests.get(name))
        model = _model(folder, manifest)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder / MANIFEST} is not complete: {type(error).__name__}: {error}") from error
    version = folder.name if named else ""
    return Artifact(name=model.policy.name, version=version, model=model, folder=folder, manifest=manifest)


def _check(folder: Path, name: str, wanted: str | None) -> None:
    if Path(name).name != name:
        raise ArtifactError(f"{folder / MANIFEST} names a file outside its folder: {name!r}")
    try:
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    except OSError as error:
        raise ArtifactError(f"{folder / name} cannot be read ({error.strerror}); train it again") from error
    if found != wanted:
        raise ArtifactError(f"{folder / name} has been changed since it was trained; train it again or roll back")


def _model(folder: Path, manifest: Mapping[str, Any]) -> Model:
    policy = _policy(folder / POLICY)
    if policy_sha256(policy) != manifest["policy_sha256"]:
        raise ArtifactError(f"{folder / POLICY} is not the policy that the manifest names")
    tensors = _tensors(folder / HEAD)
    classes = tuple(map(str, manifest["classes"]))
    labels = tuple(policy.labels)
    if classes not in {labels, (*labels, OTHER)}:
        raise ArtifactError(f"{folder / MANIFEST}: its classes are not the policy's labels")
    scale = np.asarray(manifest["calibration"]["scale"], np.float32)
    offset = np.asarray(manifest["calibration"]["offset"], np.float32)
    weights, bias, prototypes = tensors["weights"], tensors["bias"], tensors["prototypes"]
    count, dimensions = len(classes), weights.shape[-1]
    shapes: dict[str, tuple[tuple[int, ...], set[tuple[int, ...]]]] = {
        "weights": (weights.shape, {(count, dimensions)}),
        "bias": (bias.shape, {(count,)}),
        "prototypes": (prototypes.shape, {(len(prototypes), dimensions)}),
        "calibration.scale": (scale.shape, {(1,), (count,)}),
        "calibration.offset": (offset.shape, {(count,)}),
    }
    for name, (shape, allowed) in shapes.items():
        if shape not in allowed:
            raise ArtifactError(f"{folder}: {name} has the shape {shape}, which does not fit {count} classes")
    if not all(np.isfinite(values).all() for values in (weights, bias, prototypes, scale, offset)):
        raise ArtifactError(f"{folder / HEAD} holds numbers that are not finite")
    thresholds = {label: Threshold(**values) for label, values in manifest["thresholds"].items()}
    if not all(0 <= limit.unsure <= limit.act <= 1 for limit in thresholds.values()):
        raise ArtifactError(f"{folder / MANIFEST}: thresholds must be 0 <= unsure <= act <= 1")
    windowing = Windowing(**manifest["windowing"])
    if not (windowing.tokens >= 8 and 0 <= windowing.overlap <= windowing.tokens // 2):
        raise ArtifactError(f"{folder / MANIFEST}: windows of {windowing.tokens} tokens, overlap {windowing.overlap}")
    return Model(
        policy=policy,
        encoder=EncoderId(**manifest["encoder"]),
        head=LinearHead(classes=classes, weights=weights, bias=bias),
        calibration=Calibration(scale=scale, offset=offset),
        thresholds=thresholds,
        novelty=Novelty(prototypes=prototypes, limit=float(manifest["novelty"]["limit"])),
        nearest=_nearest(folder, manifest, tensors, count),
        windowing=windowing,
    )


def _nearest(
    folder: Path, manifest: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], classes: int
) -> Nearest | None:
    values = manifest.get("nearest")
    if values is None:
        return None
    owners = tensors["owners"]
    whole = len(owners) == len(tensors["prototypes"]) >= classes and owners[0] == 0 and owners[-1] == classes - 1
    if not whole or not np.isin(np.diff(owners), (0, 1)).all():
        raise ArtifactError(f"{folder / HEAD}: owners must name every class, in ascending order")
    return Nearest(owners=owners, sharpness=float(values["sharpness"]), share=float(values["share"]))


def _policy(path: Path) -> Policy:
    try:
        return Policy.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ArtifactError(f"{path} is no policy: {error.errors()[0]['msg']}") from error


def _tensors(path: Path) -> Mapping[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack

    try:
        # copied, because arrays that lie unaligned in the file's bytes make products many times slower
        tensors: dict[str, NDArray[Any]] = {name: value.copy() for name, value in unpack(path.read_bytes()).items()}
    except SafetensorError as error:
        raise ArtifactError(f"{path} is not in the safetensors format: {error}") from error
    missing = {"weights", "bias", "prototypes"} - set(tensors)
    floats = {name: value for name, value in tensors.items() if name != "owners"}
    if missing or any(value.dtype != np.float32 for value in floats.values()):
        raise ArtifactError(f"{path} must hold weights, bias and prototypes as float32")
    return tensors


def _object(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error.strerror}); is the classifier trained?") from error
    except ValueError as error:
        raise ArtifactError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} must hold a JSON object")
    return value
