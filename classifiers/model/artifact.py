"""An artifact: a trained classifier as a folder of files, saved whole and loaded only if whole.

manifest.json        what it is, its stages with their numbers, and the sha256 of every other file
head.safetensors     for each stage, under its name: weights (classes, dimensions), bias (classes,), prototypes
                     (n, dimensions), float32; owners (n,), int32, where the head also asks the nearest sentences;
                     for slots tagger.weights (tags, dimensions) and tagger.bias (tags,), float32; held_out (n, 3),
                     float32: confidence, weight and whether wrong of texts that were held out
encoders/<name>/     an encoder of the artifact's own, as `encoder.prepare` leaves one; shared ones lie in the
                     models folder
policy.filled.yaml   the policy with every default written out, without secrets; of a safety goal only what is stated
judge.txt            of a safety policy: what a judge is told of it
report.json          what training measured; report.html and MODEL_CARD.md say it for people

A version's folder is named for its manifest's sha256 as well, so the manifest cannot be changed unnoticed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from classifiers.encoder.session import DESCRIPTION, Description
from classifiers.encoder.source import sha256_of
from classifiers.errors import ArtifactError
from classifiers.judge_prompt import instructions
from classifiers.model import stages
from classifiers.model.model import OWN, EncoderId, Model
from classifiers.model.stages import StageEntry, TaggerEntry
from classifiers.policy import Policy

MANIFEST, HEAD, POLICY, REPORT = "manifest.json", "head.safetensors", "policy.filled.yaml", "report.json"
JUDGE = "judge.txt"
ENCODERS = "encoders"
_HELD_OUT, _NONE = "held_out", np.zeros((0, 3), np.float32)
_T = TypeVar("_T")
VERSION = re.compile(r"\d{8}-\d{6}-([0-9a-f]{8})")


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What manifest.json holds. writers: the share of the training text by writer; made_with: versions of the tools;
    learned: whether a gateway had it learned from its calls; files: the sha256 of every other file."""

    schema: Literal[2]
    name: str
    kind: str
    policy_sha256: str
    stages: tuple[StageEntry, ...]
    tagger: TaggerEntry | None = None
    seed: int
    writers: dict[str, float]
    made_with: dict[str, str]
    learned: bool = False
    files: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A loaded artifact. version: the folder's name, empty for one that is not published yet. judge: what a judge is
    told; empty where there is nothing to ask one."""

    name: str
    version: str
    model: Model
    folder: Path
    judge: str = ""
    manifest: Manifest = field(repr=False)

    def encoder_folder(self, encoder: EncoderId) -> Path | None:
        """Where an encoder of the artifact's own lies; None for a shared one."""
        return self.folder / ENCODERS / encoder.own if encoder.own else None


def made_at(version: str) -> datetime | None:
    """The time in a version's name; None for a model that is not published."""
    try:
        return datetime.strptime(version[: len("YYYYMMDD-HHMMSS")], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def policy_text(policy: Policy) -> str:
    """The policy as JSON (so YAML too) with every default, except unstated sides of a safety goal, and without keys."""
    filled = policy.model_dump(mode="json", by_alias=True, exclude={"teachers": {"__all__": {"api_key"}}})
    return json.dumps(filled, ensure_ascii=False, indent=2) + "\n"


def report_text(report: Mapping[str, Any]) -> str:
    return json.dumps(report, ensure_ascii=False, indent=1) + "\n"


def policy_sha256(policy: Policy) -> str:
    """The hash by which an artifact knows whether its policy has changed."""
    return hashlib.sha256(policy_text(policy).encode()).hexdigest()


def save(
    model: Model,
    folder: Path,
    *,
    report: Mapping[str, Any],
    encoders: Mapping[str, Path] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    seed: int = 0,
    made_with: Mapping[str, str] | None = None,
    learned: bool = False,
) -> None:
    """Write an artifact into an existing, empty folder.

    encoders: for each encoder `own:NAME` of the model's stages, its NAME and a folder as `encoder.prepare` leaves
    it, which is copied. files: further files by name (report.html, MODEL_CARD.md). made_with: versions of the tools.
    learned: as of `Manifest`.
    The same model gives the same bytes of head.safetensors. Raises OSError where the folder cannot be written, and
    ValueError where a stage's own encoder is not given or is another one.
    """
    texts = {**(files or {}), POLICY: policy_text(model.policy), REPORT: report_text(report)}
    if model.policy.kind == "safety":
        texts[JUDGE] = instructions(model.policy)
    contents = {name: text.encode() if isinstance(text, str) else text for name, text in texts.items()}
    contents[HEAD] = _packed(model)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    digests |= _copied(model, encoders or {}, folder)
    tagger = model.tagger
    manifest = Manifest(
        schema=2,
        name=model.policy.name,
        kind=model.policy.kind,
        policy_sha256=policy_sha256(model.policy),
        stages=tuple(map(stages.stage_entry, model.stages)),
        tagger=TaggerEntry(slots=tagger.slots, scale=tagger.scale) if tagger else None,
        seed=seed,
        writers=dict(report.get("text", {}).get("writers", {})),
        made_with=dict(made_with or {}),
        learned=learned,
        files=dict(sorted(digests.items())),
    )
    # numbers of numpy become Python's
    encoded = msgspec.json.format(msgspec.json.encode(manifest, enc_hook=float), indent=1)
    (folder / MANIFEST).write_bytes(encoded + b"\n")


def manifest_digest(folder: Path) -> str:
    """The eight hexadecimal digits that end a version's name. Raises OSError where there is no manifest."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:8]


def is_learned(folder: Path) -> bool:
    """Whether a gateway had a version learned from its calls. Raises ArtifactError where it has no manifest."""
    return _decode(folder / MANIFEST, Manifest).learned


def report_in(folder: Path) -> Mapping[str, Any]:
    """What training measured of a version. Raises ArtifactError where report.json cannot be read."""
    return _decode(folder / REPORT, dict[str, Any])


def load(folder: Path) -> Artifact:
    """Read an artifact, every file checked. Raises ArtifactError naming the file that is missing or changed."""
    manifest = _decode(folder / MANIFEST, Manifest)
    named = VERSION.fullmatch(folder.name)
    if named and manifest_digest(folder) != named[1]:
        raise ArtifactError(f"{folder / MANIFEST} has been changed since it was published; train or import it again")
    for name in {HEAD, POLICY, REPORT, *manifest.files}:
        _check(folder, name, manifest.files.get(name))
    try:
        model = _model(folder, manifest)
        judge = (folder / JUDGE).read_text(encoding="utf-8") if JUDGE in manifest.files else ""
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder} is not complete: {type(error).__name__}: {error}") from error
    version = folder.name if named else ""
    return Artifact(name=model.policy.name, version=version, model=model, folder=folder, judge=judge, manifest=manifest)


def _check(folder: Path, name: str, wanted: str | None) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or (len(path.parts) > 1 and path.parts[0] != ENCODERS):
        raise ArtifactError(f"{folder / MANIFEST} names a file outside its folder: {name!r}")
    try:
        digest = sha256_of(folder / name)
    except OSError as error:
        raise ArtifactError(f"{folder / name} cannot be read ({error.strerror}); train or import it again") from error
    if digest != wanted:
        mend = "train or import it again, or roll back"
        raise ArtifactError(f"{folder / name} has been changed since it was trained; {mend}")


def _packed(model: Model) -> bytes:
    from safetensors.numpy import save as pack

    tensors: dict[str, NDArray[Any]] = {_HELD_OUT: np.array(model.held_out, np.float32)} if model.held_out else {}
    for stage in model.stages:
        tensors |= stages.stage_tensors(stage)
    return pack(tensors if model.tagger is None else tensors | stages.tagger_tensors(model.tagger))


def _copied(model: Model, encoders: Mapping[str, Path], folder: Path) -> dict[str, str]:
    """Copies the model's own encoders; the sha256 of each file written, by its name."""
    wanted = {stage.encoder.own: stage.encoder for stage in model.stages if stage.encoder.own}
    if missing := set(wanted) - set(encoders):
        raise ValueError(f"no folder is given for the encoder own:{min(missing)}")
    digests: dict[str, str] = {}
    for name, source in encoders.items():
        given = Description.read(source)
        if not wanted.get(name, given.id).fits(given.id):
            raise ValueError(f"{source} is not the encoder own:{name} that the model was trained on")
        copied = given.copy(source, folder / ENCODERS / name, OWN + name)
        digests |= {f"{ENCODERS}/{name}/{file}": digest for file, digest in copied.items()}
    return digests


def _model(folder: Path, manifest: Manifest) -> Model:
    policy, tensors = _policy(folder / POLICY), _tensors(folder / HEAD)
    # the hash of the file, since this version may fill in more settings than the file has
    if manifest.files[POLICY] != manifest.policy_sha256:
        raise ArtifactError(f"{folder / POLICY} is not the policy that the manifest names")
    model = Model(
        policy=policy,
        stages=tuple(stages.read_stage(entry, tensors, policy, str(folder)) for entry in manifest.stages),
        tagger=stages.read_tagger(manifest.tagger, tensors, policy, str(folder)),
        held_out=tuple((sure, weight, bool(wrong)) for sure, weight, wrong in tensors.get(_HELD_OUT, _NONE).tolist()),
    )
    for own in filter(None, (stage.encoder.own for stage in model.stages)):
        if f"{ENCODERS}/{own}/{DESCRIPTION}" not in manifest.files:
            raise ArtifactError(f"{folder / MANIFEST} names no files of the encoder own:{own}; train it again")
    return model


def _policy(path: Path) -> Policy:
    try:
        return Policy.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ArtifactError(f"{path} is no policy for this version: {reason}; train it again, or roll back") from error


def _tensors(path: Path) -> stages.Tensors:
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack

    try:
        # copied, since unaligned arrays make products many times slower
        return {name: value.copy() for name, value in unpack(path.read_bytes()).items()}
    except SafetensorError as error:
        raise ArtifactError(f"{path} is not in the safetensors format: {error}") from error


def _decode(path: Path, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read ({error.strerror}); is the classifier trained?") from error
    except ValueError as error:
        raise ArtifactError(f"{path} is not of this version of Offramp: {error}; train it again") from error
