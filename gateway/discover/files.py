"""Drafts written into a folder, beside a gateway file if there is one. Files that are there are never written over."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.discover.draft import Draft

GATEWAY: Final = "gateway.yaml"
_BESIDE = "discovered.yaml"


class Occupied(Exception):
    """A file that would be written is there already; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """policies: the files to train; gateway: the file with the rules; files: all; beside: whether there was a gateway
    file already, into which the rules are to be copied."""

    policies: tuple[Path, ...]
    gateway: Path
    files: tuple[Path, ...]
    beside: bool


def write(folder: Path, drafts: Sequence[Draft], gateway: str) -> Written:
    """Raises Occupied, before anything is written, and OSError."""
    beside = (folder / GATEWAY).exists()
    file = folder / (_BESIDE if beside else GATEWAY)
    texts = {file: gateway}
    for one in drafts:
        texts[folder / "policies" / f"{one.name}.yaml"] = one.policy
        texts[folder / "policies" / "data" / f"{one.name}.jsonl"] = one.data
    there = [str(path) for path in texts if path.exists()]
    if there:
        raise Occupied(f"{', '.join(there)}: there already; nothing was written. Name another folder, or move it")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    policies = tuple(path for path in texts if path.suffix == ".yaml" and path.parent.name == "policies")
    return Written(policies=policies, gateway=file, files=tuple(texts), beside=beside)
