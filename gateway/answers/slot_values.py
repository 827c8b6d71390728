"""A slot's value in the type that a field of a schema has: exactly what the field takes, or nothing. Pure."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from classifiers.policy import Slot
from classifiers.verdict import SlotValue
from gateway.spelling import normalized, spell

_CLOCK: Final = re.compile(r"\d\d:\d\d")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
Scalar = str | int | float


def fit(
    slot: Slot, value: SlotValue, schema: Mapping[str, Any], fold: Callable[[str], str] = normalized
) -> Scalar | None:
    """A slot's value as a schema of a string, a number or an enum takes it. None where the schema does not take it, or
    the words are no value of the slot's type. fold: `spelling.normalized`, or a function that remembers it."""
    if value.value is None:
        return None
    if "enum" in schema:
        return _choice(slot, value.value, schema["enum"], fold)
    if schema.get("type") == "string":
        return _text(slot, value, schema)
    if schema.get("type") in ("number", "integer"):
        return _number(slot, value.value, schema)
    return None


def _choice(slot: Slot, value: Scalar, choices: Any, fold: Callable[[str], str]) -> Scalar | None:
    """The caller's choice that is this value; an enum's other words count as its name does. `12.50` is not 1250."""
    if not isinstance(choices, list):
        return None
    if not isinstance(value, str):
        numbers = (choice for choice in choices if isinstance(choice, int | float) and not isinstance(choice, bool))
        return next((number for number in numbers if number == value), None)
    words = [choice for choice in choices if isinstance(choice, str)]
    match slot.type:
        case "enum":
            matches = {spell(name, words, fold) for name in (value, *slot.values.get(value, ()))} - {None}
        case "text":
            key = _plain(value)
            matches = {word for word in words if _plain(word) == key}
        case _:
            return None
    return matches.pop() if len(matches) == 1 else None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _text(slot: Slot, value: SlotValue, schema: Mapping[str, Any]) -> str | None:
    text = f"{value.value} {value.currency}" if value.currency else str(value.value)
    match schema.get("format"):
        case None:
            pass
        case "date" if slot.type == "date" and _DAY.fullmatch(text):
            pass
        case "time" if slot.type == "time" and _CLOCK.fullmatch(text):
            # RFC 3339 wants a zone, which no text has; clients' parsers take, and models give, a time without one
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
