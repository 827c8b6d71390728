"""How far a tuning has come, kept after an epoch: one that is cut off, or whose model is refused, goes on from there.

A large encoder's tuning takes an hour or two. `<models>/<name>/tuning/<encoder>.safetensors` stays until a version is
published. Tensors and JSON; no text.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

FOLDER: Final = "tuning"
WORTH_S: Final = 60.0
"""Seconds that an epoch takes to be worth keeping."""
_KEY, _FACTS = "key", "facts"


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningState:
    """How far a tuning has come. arrays: by name; facts: what JSON can hold."""

    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Of one encoder of a policy. key: of all that the tuning depends on."""

    file: Path
    key: str

    @classmethod
    def of(cls, models_dir: Path, policy: str, encoder: str, depends: Iterable[Any]) -> "Checkpoint":
        """depends: what the tuning depends on besides the code of this folder, each by its `repr`."""
        digest = hashlib.sha256()
        for code in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(code.read_bytes())
        for one in depends:
            digest.update(repr(one).encode("utf-8", "surrogatepass") + b"\n")
        return cls(file=models_dir / policy / FOLDER / f"{encoder}.safetensors", key=digest.hexdigest())

    def read(self) -> TuningState | None:
        """What is kept of this very tuning; None where nothing is, or nothing that can be read."""
        try:
            with safe_open(self.file, framework="numpy") as kept:
                values = kept.metadata() or {}
                if values.get(_KEY) != self.key:
                    return None
                facts = json.loads(values[_FACTS])
                return TuningState(arrays={name: kept.get_tensor(name) for name in kept.keys()}, facts=facts)  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError, ValueError, KeyError):
            return None

    def write(self, state: TuningState) -> None:
        """Keep it in the place of any before, whole or not at all. Raises OSError."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        for left in self.file.parent.glob(f".{self.file.stem}-*"):
            # by a training that was killed while it wrote; one that writes now keeps its next epoch
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{self.file.stem}-", dir=self.file.parent) as scratch:
            made = Path(scratch) / self.file.name
            arrays = {name: np.asarray(array, order="C") for name, array in state.arrays.items()}
            try:
                save_file(arrays, made, metadata={_KEY: self.key, _FACTS: json.dumps(state.facts)})
            except SafetensorError as error:
                raise OSError(str(error)) from error
            with made.open("rb") as file:
                os.fsync(file.fileno())
            made.replace(self.file)


def forget(models_dir: Path, policy: str) -> None:
    """Delete what is kept of a policy's tunings."""
    shutil.rmtree(models_dir / policy / FOLDER, ignore_errors=True)
