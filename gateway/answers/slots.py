"""A slot's value in the type that a JSON schema asks for. Pure."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from classifiers.policy import Slot
from classifiers.verdict import SlotValue
from gateway.spelling import folded, spelled

KEYWORDS: Final = frozenset({
    "type", "format", "enum", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
})  # fmt: skip
"""What of a schema is looked at here."""
_CLOCK: Final = re.compile(r"\d\d:\d\d")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")

Scalar = str | int | float


def fit(slot: Slot, found: SlotValue, schema: Mapping[str, Any], fold: Callable[[str], str] = folded) -> Scalar | None:
    """The value as a schema of a string, a number or an enum takes it; None where it does not, or where the words are
    no value of the slot's type. fold: `spelling.folded`, or what remembers it."""
    if found.value is None:
        return None
    if "enum" in schema:
        return _one_of(slot, found.value, schema["enum"], fold)
    if schema.get("type") == "string":
        return _text(slot, found, schema)
    if schema.get("type") in ("number", "integer"):
        return _number(slot, found.value, schema)
    return None


def _one_of(slot: Slot, value: Scalar, choices: Any, fold: Callable[[str], str]) -> Scalar | None:
    """The caller's value that is this one; an enum's other words count as its name does. `12.50` is not 1250."""
    if not isinstance(choices, list):
        return None
    numbers = [one for one in choices if isinstance(one, int | float) and not isinstance(one, bool)]
    if not isinstance(value, str):
        return next((one for one in numbers if one == value), None)
    words = [one for one in choices if isinstance(one, str)]
    match slot.type:
        case "enum":
            found = {one for name in (value, *slot.values.get(value, ())) if (one := spelled(name, words, fold))}
        case "text":
            key = _plain(value)
            found = {one for one in words if _plain(one) == key}
        case _:
            return None
    return next(iter(found)) if len(found) == 1 else None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _text(slot: Slot, found: SlotValue, schema: Mapping[str, Any]) -> str | None:
    text = f"{found.value} {found.currency}" if found.currency else str(found.value)
    match schema.get("format"):
        case None:
            pass
        case "date" if slot.type == "date" and _DAY.fullmatch(text):
            pass
        case "time" if slot.type == "time" and _CLOCK.fullmatch(text):
            # RFC 3339 wants a zone, which no text tells; clients' parsers take, and models give, a time without one
            text = f"{text}:00"
        case _:
            return None
    return text if schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text)) else None


def _number(slot: Slot, value: Scalar, schema: Mapping[str, Any]) -> int | float | None:
    if slot.type not in ("number", "money"):
        return None
    number = Decimal(str(value))
    if (
        number < Decimal(str(schema.get("minimum", number)))
        or number > Decimal(str(schema.get("maximum", number)))
        or number <= Decimal(str(schema.get("exclusiveMinimum", number - 1)))
        or number >= Decimal(str(schema.get("exclusiveMaximum", number + 1)))
    ):
        return None
    whole = number == int(number)
    if schema["type"] == "integer":
        return int(number) if whole else None
    return int(number) if whole and slot.type == "number" else float(number)
