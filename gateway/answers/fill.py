"""Fills a JSON schema with a verdict's labels and slots: exactly what the schema allows, or the reason why not. Pure.

A field takes a label where its values (`enum`) hold one of the classifier's labels, however spelled, or an alias. Every
label field of a schema is filled alike; `{type: array, items: {enum: …}}` takes all labels of a verdict. A field named
as a slot takes the slot's value in the type that it asks for; an array, all its values. What the text says nothing of,
and a field that is for neither, has its only value, else null where it may be null, else is left out where it may be,
else the shape is unmet. Numbers named for it take the confidence.

A slot's value in the type that a JSON schema asks for. Pure.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from classifiers.policy import OTHER, Slot
from classifiers.verdict import SlotValue
from gateway.answers.format import FillState, NoPlace, Path, Prediction, SlotFilling, Unsupported, UnsupportedReason
from gateway.answers.json_schema import SAYS_NOTHING, SchemaReader, TooLarge, refused
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


_OF_OBJECTS = frozenset({"type", "properties", "required", "additionalProperties"})
_OF_ARRAYS = frozenset({"type", "items", "minItems", "maxItems", "uniqueItems"})
_OF_NUMBERS = frozenset({"type", "minimum", "maximum"})
_OF_VALUES = frozenset({"type", "enum", "const"})
_CONFIDENCE = frozenset({"confidence", "score", "probability", "confidencescore", "certainty"})
_DEEPEST = 16
_OF_A_VALUE = 8
"""Parts that a slot's value is worth."""
_SAY_NOTHING = frozenset({UnsupportedReason.OTHER_FIELD, UnsupportedReason.NO_VALUE})
"""Why a field may be left out, or null: the text says nothing that belongs there."""


class _Filling:
    """One schema being filled."""

    def __init__(self, root: Mapping[str, Any], told: Prediction) -> None:
        self._looked = SchemaReader(root)
        self._told = told
        self._slots = {folded(name): name for name in told.slots}
        self.placed = FillState()

    def whole(self) -> Any:
        """What stands in the whole schema, which allows it. Raises Cannot, TooLarge."""
        found = self.value(self._looked.root, ())
        strange = refused(self._looked.root, found, self._looked)
        if strange is not None:
            raise NoPlace(UnsupportedReason.SCHEMA, strange, "it may not allow what would stand there")
        return found

    def value(self, schema: object, path: Path, depth: int = 0) -> Any:
        """What stands at a place. Raises Cannot, TooLarge."""
        schema = self._resolved(schema, path, depth)
        if "anyOf" in schema or "oneOf" in schema:
            return self._either(schema, path, depth)
        kind = schema.get("type")
        if isinstance(kind, list) and "enum" not in schema and "const" not in schema:
            self._looked.parts(len(kind) * len(schema))
            return self._either({"anyOf": [{**schema, "type": one} for one in kind]}, path, depth)
        slot = self._slot_at(schema, path, depth)
        if slot is not None:
            return self._slot(slot, schema, path, depth)
        if "const" in schema or "enum" in schema:
            return self._one_of(schema, path)
        return self._of_kind(kind, schema, path, depth)

    def _of_kind(self, kind: object, schema: Mapping[str, Any], path: Path, depth: int) -> Any:
        if kind == "object":
            return self._object(schema, path, depth)
        if kind == "array":
            return self._labels(schema, path, depth)
        if kind == "number" and path and self._looked.folded(path[-1]) in _CONFIDENCE:
            return self._confidence(schema, path)
        if kind == "null":
            return None
        raise NoPlace(UnsupportedReason.OTHER_FIELD, path)

    def _resolved(self, schema: object, path: Path, depth: int) -> Mapping[str, Any]:
        self._looked.place(schema)
        if depth > _DEEPEST or not isinstance(schema, Mapping):
            raise NoPlace(UnsupportedReason.SCHEMA, path)
        reference = schema.get("$ref")
        if reference is None:
            return schema
        target = self._looked.referred(reference)
        if target is None:
            raise NoPlace(UnsupportedReason.SCHEMA, path, [reference])
        return self._resolved(target, path, depth + 1)

    def _either(self, schema: Mapping[str, Any], path: Path, depth: int) -> Any:
        _only(schema, frozenset({"anyOf", "oneOf"}), path)
        choices = schema.get("anyOf") or schema.get("oneOf")
        if not isinstance(choices, list) or not choices:
            raise NoPlace(UnsupportedReason.SCHEMA, path)
        refused: list[NoPlace] = []
        nothing = False
        for choice in choices:
            if isinstance(choice, Mapping) and choice.get("type") == "null":
                nothing = True
                continue
            before = self._before()
            try:
                found = self.value(choice, path, depth + 1)
            except NoPlace as error:
                self.placed = before
                refused.append(error)
                continue
            if isinstance(found, str) and self.placed.label != before.label:
                self.placed.words = tuple(word for one in choices for word in self._named_by(self._looked.listed(one)))
            return found
        # a label that the caller's values lack is no reason to say null
        if nothing and all(error.reason in _SAY_NOTHING for error in refused):
            self._says_nothing(path)
            return None
        raise refused[0] if refused else NoPlace(UnsupportedReason.SCHEMA, path)

    def _one_of(self, schema: Mapping[str, Any], path: Path) -> Any:
        _only(schema, _OF_VALUES, path)
        values = [schema["const"]] if "const" in schema else schema["enum"]
        if not isinstance(values, list) or not values:
            raise NoPlace(UnsupportedReason.SCHEMA, path)
        if not self._holds_labels(values):
            if len(values) == 1:
                return values[0]
            raise NoPlace(UnsupportedReason.OTHER_FIELD, path)
        if len(self._told.labels) > 1:
            raise NoPlace(UnsupportedReason.AMBIGUOUS, path, self._told.labels)
        return self._label(self._told.labels[0], values, path)

    def _label(self, label: str, values: list[Any], path: Path) -> str:
        self._looked.parts(len(values))
        words = self._named_by(values)
        found = self._told.names.spelled(label, words, self._looked.folded)
        if found is None:
            raise NoPlace(UnsupportedReason.LABEL_NOT_ASKED, path, label)
        if self.placed.label is None:
            self.placed.label, self.placed.words = found, words
        return found

    def _named_by(self, values: Iterable[object]) -> tuple[str, ...]:
        """Those of the values that stand for labels."""
        meant, fold = self._told.names.meant, self._looked.folded
        return tuple(word for word in values if isinstance(word, str) and meant(word, fold) is not None)

    def _holds_labels(self, values: object) -> bool:
        """Whether one of the values is a label; `other` beside words that are none says nothing of it."""
        words = values if isinstance(values, list) else []
        fold = self._looked.folded
        named = {self._told.names.meant(word, fold) if isinstance(word, str) else None for word in words}
        return bool(named - {None, OTHER}) or named == {OTHER}

    def _object(self, schema: Mapping[str, Any], path: Path, depth: int) -> dict[str, Any]:
        _only(schema, _OF_OBJECTS, path)
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list) or set(required) - set(properties):
            raise NoPlace(UnsupportedReason.SCHEMA, path)
        needed = frozenset(required)
        found: dict[str, Any] = {}
        for name, part in properties.items():
            before = self._before()
            try:
                found[name] = self.value(part, (*path, name), depth + 1)
            except NoPlace as error:
                self.placed = before
                if name in needed or error.reason not in _SAY_NOTHING:
                    raise
                self._says_nothing((*path, name))
        return found

    def _labels(self, schema: Mapping[str, Any], path: Path, depth: int) -> list[Any]:
        _only(schema, _OF_ARRAYS, path)
        items = self._resolved(schema.get("items"), path, depth)
        if not self._holds_labels(items.get("enum")):
            raise NoPlace(UnsupportedReason.OTHER_FIELD, path)
        _only(items, _OF_VALUES, path)
        return _counted([self._label(label, items["enum"], path) for label in self._told.labels], schema, path)

    def _confidence(self, schema: Mapping[str, Any], path: Path) -> float:
        _only(schema, _OF_NUMBERS, path)
        if schema.get("minimum", 0) != 0 or schema.get("maximum", 1) != 1:
            raise NoPlace(UnsupportedReason.OTHER_FIELD, path)
        return round(self._told.confidence, 4)

    def _slot_at(self, schema: Mapping[str, Any], path: Path, depth: int) -> str | None:
        """The slot whose name the field has, unless it is for labels or holds fields of its own."""
        name = self._named(path)
        if name is None or schema.get("type") == "object" or "const" in schema:
            return None
        inner = self._resolved(schema.get("items"), path, depth) if schema.get("type") == "array" else schema
        return None if self._holds_labels(inner.get("enum")) else name

    def _slot(self, name: str, schema: Mapping[str, Any], path: Path, depth: int) -> Any:
        found = self._told.slots[name]
        if schema.get("type") == "array":
            _only(schema, _OF_ARRAYS, path)
            items = self._resolved(schema.get("items"), path, depth)
            values = self._values(name, found, items, path)
            self.placed.slots[path] = name
            return _counted(list(dict.fromkeys(values)) if schema.get("uniqueItems") else values, schema, path)
        values = list(dict.fromkeys(self._values(name, found, schema, path)))
        if len(values) > 1:
            raise NoPlace(UnsupportedReason.AMBIGUOUS, path, values)
        self.placed.slots[path] = name
        if not values and None in schema.get("enum", ()):
            return None
        if not values:
            raise NoPlace(UnsupportedReason.NO_VALUE, path)
        return values[0]

    def _values(self, name: str, found: SlotFilling, schema: Mapping[str, Any], path: Path) -> list[Scalar]:
        if schema.get("type") == "null":
            raise NoPlace(UnsupportedReason.OTHER_FIELD, path)
        _only(schema, KEYWORDS, path)
        values: list[Scalar] = []
        for one in found.values:
            self._looked.parts(_OF_A_VALUE)
            self._looked.words(schema.get("enum"), 1 + len(found.slot.values.get(str(one.value), ())))
            fitting = fit(found.slot, one, schema, self._looked.folded)
            if fitting is None:
                raise NoPlace(UnsupportedReason.UNFIT_VALUE, path, f"{name} is {one.raw!r}")
            values.append(fitting)
            self.placed.values += 1
            self.placed.confidence = min(self.placed.confidence, one.confidence)
        return values

    def _says_nothing(self, path: Path) -> None:
        """Remembers that the field, if it is a slot's, says nothing."""
        name = self._named(path)
        if name is not None:
            self.placed.slots[path] = name

    def _named(self, path: Path) -> str | None:
        """The slot whose name the place has."""
        return self._slots.get(self._looked.folded(path[-1])) if path else None

    def _before(self) -> FillState:
        """What stands there so far, to come back to."""
        self._looked.parts(len(self.placed.slots))
        return self.placed.copy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """An object by a schema. label: as the caller spells it, one of them where it stands several times, None where it
    does not stand there; words: the caller's values for its place that stand for labels; slots: names of slots by their
    field's place, those that say nothing among them; confidence: 0..1, of the least certain slot's value in it."""

    values: dict[str, Any]
    label: str | None
    words: tuple[str, ...]
    slots: Mapping[Path, str]
    confidence: float


def fill(schema: Mapping[str, Any], told: Prediction) -> Filled | Unsupported:
    """told: with at least one label."""
    filling = _Filling(schema, told)
    try:
        found = filling.whole()
    except NoPlace as error:
        return error.unmet()
    except TooLarge:
        return Unsupported(UnsupportedReason.SCHEMA, "it is too large")
    except (TypeError, ArithmeticError, RecursionError) as error:
        return Unsupported(UnsupportedReason.SCHEMA, str(error))
    placed = filling.placed
    if not isinstance(found, dict):
        return Unsupported(UnsupportedReason.SCHEMA, "not an object")
    if placed.label is None and not placed.values:
        return Unsupported(UnsupportedReason.NO_PLACE)
    return Filled(
        values=found, label=placed.label, words=placed.words, slots=placed.slots, confidence=placed.confidence
    )


def _counted(values: list[Any], schema: Mapping[str, Any], path: Path) -> list[Any]:
    if not schema.get("minItems", 0) <= len(values) <= schema.get("maxItems", len(values)):
        raise NoPlace(
            UnsupportedReason.SCHEMA if values else UnsupportedReason.NO_VALUE, path, f"{len(values)} of them"
        )
    return values


def _only(schema: Mapping[str, Any], allowed: frozenset[str], path: Path) -> None:
    """A keyword that is not looked at could forbid what is given."""
    strange = set(schema) - allowed - SAYS_NOTHING
    if strange:
        raise NoPlace(UnsupportedReason.SCHEMA, path, sorted(strange))
