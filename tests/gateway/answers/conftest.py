"""Rows of tests/tables/answers.yaml, each a case."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from classifiers.verdict import SlotValue

_ROWS = yaml.safe_load((Path(__file__).parents[2] / "tables" / "answers.yaml").read_text("utf-8"))


def obj(**properties: Any) -> dict[str, Any]:
    """A schema of an object with these required fields and no others."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def rows(section: str, parts: Mapping[str, Any]) -> list[Any]:
    """parts: what `$NAME` stands for, by name."""

    def expanded(value: Any) -> Any:
        if isinstance(value, list):
            return [expanded(item) for item in value]
        if isinstance(value, dict):
            fields = {name: expanded(part) for name, part in value.items()}
            return obj(**fields.pop("obj")) | fields if "obj" in fields else fields
        return parts.get(value[1:], value) if isinstance(value, str) and value.startswith("$") else value

    return [expanded(row) for row in _ROWS[section]]


def value_of(slot: str, value: Any, currency: str | None = None) -> SlotValue:
    """A value that a text fills a slot with."""
    return SlotValue(slot=slot, start=0, end=1, raw=str(value), value=value, currency=currency, confidence=0.8)
