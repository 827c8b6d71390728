"""Rows of tests/tables/config.yaml: a text, and the message of the problem in it; empty where there is none."""

from collections.abc import Callable
from pathlib import Path

import yaml

_TABLES = yaml.safe_load((Path(__file__).parents[2] / "tables" / "config.yaml").read_text("utf-8"))


def unexpected(table: str, problem: Callable[[str], str]) -> list[str]:
    """The rows whose text gets another problem."""
    results = [(text, message, problem(text)) for text, message in _TABLES[table]]
    return [f"{text!r}: {found}" for text, message, found in results if message not in found or (not message and found)]
