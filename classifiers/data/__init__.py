"""Texts and tables that ship with the package, read when first needed: everyday sentences, the safety suite's texts,
samples, the attributes of a teacher's messages, the instructions of a judge, graphs of small models."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path


def _read(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


@cache
def lines(name: str) -> tuple[str, ...]:
    """The lines of a text file in this folder, in order."""
    return tuple(_read(name).splitlines())


@cache
def table(name: str) -> Mapping[str, tuple[str, ...]]:
    """The lists of a JSON file in this folder, by key, in order."""
    return {key: tuple(texts) for key, texts in json.loads(_read(name)).items()}


def trained(name: str) -> Path | None:
    """A trained classifier that is shipped, as `offramp models export` writes one; None where there is none."""
    path = Path(__file__).parent / "trained" / f"{name}.zip"
    return path if path.is_file() else None
