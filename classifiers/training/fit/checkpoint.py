"""Encoders that were tuned, kept until a version is published: a training that is cut off, or whose model is refused,
does not tune them again.

A large encoder's tuning takes an hour. `<models>/<name>/tuning/` holds each encoder as it will serve and its head.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from classifiers.training.fit.fitted import TunedHead

FOLDER: Final = "tuning"
WORTH_S: Final = 60.0
"""Seconds that a tuning takes to be worth keeping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Of one encoder of a policy. folder: the encoder's; key: of all that the tuning depends on."""

    folder: Path
    key: str

    @classmethod
    def of(cls, models_dir: Path, policy: str, encoder: str, depends: Iterable[Any]) -> "Checkpoint":
        """depends: what the tuning depends on besides the code of this folder, each by its `repr`."""
        digest = hashlib.sha256()
        for code in sorted(Path(__file__).parent.glob("*.py")):
            digest.update(code.read_bytes())
        for one in depends:
            digest.update(repr(one).encode("utf-8", "surrogatepass") + b"\n")
        return cls(folder=models_dir / policy / FOLDER / encoder, key=digest.hexdigest())

    @property
    def file(self) -> Path:
        """The head's, written last."""
        return self.folder.with_name(f"{self.folder.name}.safetensors")

    def read(self) -> tuple[TunedHead, dict[str, Any]] | None:
        """The head and the record of this very tuning; None where nothing is kept, or nothing that can be read."""
        try:
            with safe_open(self.file, framework="numpy") as kept:
                facts = json.loads((kept.metadata() or {})["facts"])
                arrays = {name: kept.get_tensor(name) for name in ("weights", "bias", "unseen")}
        except (OSError, SafetensorError, ValueError, KeyError):
            return None
        return (TunedHead(**arrays, **facts["head"]), facts["record"]) if facts["key"] == self.key else None

    def write(self, encoder: Path, head: TunedHead, record: Mapping[str, Any]) -> None:
        """Keep a tuning instead of any before. encoder: the folder to copy. Raises OSError."""
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(encoder, self.folder)
        read_by = {"tokens": head.tokens, "system_tokens": head.system_tokens, "multi_label": head.multi_label}
        facts = json.dumps({"key": self.key, "head": read_by, "record": record})
        made = self.file.with_suffix(".part")
        save_file({"weights": head.weights, "bias": head.bias, "unseen": head.unseen}, made, metadata={"facts": facts})
        made.replace(self.file)


def forget(models_dir: Path, policy: str) -> None:
    """Delete what is kept of a policy's tunings."""
    shutil.rmtree(models_dir / policy / FOLDER, ignore_errors=True)
