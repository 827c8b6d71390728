"""Fills a JSON schema with a verdict's labels and slots: exactly what the schema allows, or the reason why not. Pure.

A field takes a label where its values (`enum`) hold one of the classifier's labels, however spelled, or an alias. Every
label field of a schema is filled alike; `{type: array, items: {enum: …}}` takes all labels of a verdict. A field named
as a slot takes the slot's value in the type that it asks for; an array, all its values. What the text says nothing of,
and a field that is for neither, is left out where it may be, else null where it may be, else its only value, else the
shape is unmet. Numbers named for it take the confidence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from classifiers.policy import OTHER
from gateway.answers import slots
from gateway.answers.allowed import SAYS_NOTHING, listed, referred, refused
from gateway.answers.told import Found, Told
from gateway.answers.unmet import Reason, Unmet
from gateway.spelling import folded

_OF_OBJECTS = frozenset({"type", "properties", "required", "additionalProperties"})
_OF_ARRAYS = frozenset({"type", "items", "minItems", "maxItems", "uniqueItems"})
_OF_NUMBERS = frozenset({"type", "minimum", "maximum"})
_OF_VALUES = frozenset({"type", "enum", "const"})
_CONFIDENCE = frozenset({"confidence", "score", "probability", "confidencescore", "certainty"})
_DEEPEST = 16
_MOST_PLACES = 5_000
"""Of a schema that are looked at, the tries of `anyOf` among them, which may double at each level."""
_SAY_NOTHING = frozenset({Reason.OTHER_FIELD, Reason.NO_VALUE})
"""Why a field may be left out, or null: the text says nothing that belongs there."""

Path = tuple[str, ...]
"""Names of properties, from the outermost in."""


class _TooLarge(Exception):
    """The schema has more places than are looked at."""


class _Cannot(Exception):
    def __init__(self, reason: Reason, path: Path, detail: str = "") -> None:
        where = ".".join(path)
        super().__init__(detail)
        self.unmet = Unmet(reason, f"{where}: {detail}" if where and detail else where or detail or "the whole answer")


@dataclass(slots=True)
class _Placed:
    """What stands in the object so far. label: as the caller spells it; words: the caller's values for its place;
    slots: names of slots by their field's place, those that say nothing among them; confidence: 0..1, of the least
    certain slot's value; values: how many slots have one."""

    label: str | None = None
    words: tuple[str, ...] = ()
    slots: dict[Path, str] = field(default_factory=dict)
    confidence: float = 1.0
    values: int = 0

    def copy(self) -> "_Placed":
        return _Placed(self.label, self.words, dict(self.slots), self.confidence, self.values)


class _Filling:
    """One schema being filled."""

    def __init__(self, root: Mapping[str, Any], told: Told) -> None:
        self._root = root
        self._told = told
        self._slots = {folded(name): name for name in told.slots}
        self.placed = _Placed()
        self._places = 0

    def whole(self, schema: Mapping[str, Any]) -> Any:
        """What stands in the whole schema, which allows it. Raises _Cannot, _TooLarge."""
        found = self.value(schema, ())
        strange = refused(schema, found)
        if strange is not None:
            raise _Cannot(Reason.SCHEMA, strange, "it may not allow what would stand there")
        return found

    def value(self, schema: object, path: Path, depth: int = 0) -> Any:
        """What stands at a place. Raises _Cannot, _TooLarge."""
        self._places += 1
        if self._places > _MOST_PLACES:
            raise _TooLarge
        schema = self._resolved(schema, path, depth)
        if "anyOf" in schema or "oneOf" in schema:
            return self._either(schema, path, depth)
        kind = schema.get("type")
        if isinstance(kind, list) and "enum" not in schema and "const" not in schema:
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
        if kind == "number" and path and folded(path[-1]) in _CONFIDENCE:
            return self._confidence(schema, path)
        if kind == "null":
            return None
        raise _Cannot(Reason.OTHER_FIELD, path)

    def _resolved(self, schema: object, path: Path, depth: int) -> Mapping[str, Any]:
        if depth > _DEEPEST or not isinstance(schema, Mapping):
            raise _Cannot(Reason.SCHEMA, path)
        reference = schema.get("$ref")
        if reference is None:
            return schema
        target = referred(self._root, reference)
        if target is None:
            raise _Cannot(Reason.SCHEMA, path, str(reference))
        return self._resolved(target, path, depth + 1)

    def _either(self, schema: Mapping[str, Any], path: Path, depth: int) -> Any:
        _only(schema, frozenset({"anyOf", "oneOf"}), path)
        choices = schema.get("anyOf") or schema.get("oneOf")
        if not isinstance(choices, list) or not choices:
            raise _Cannot(Reason.SCHEMA, path)
        refused: list[_Cannot] = []
        nothing = False
        for choice in choices:
            if isinstance(choice, Mapping) and choice.get("type") == "null":
                nothing = True
                continue
            before = self.placed.copy()
            try:
                found = self.value(choice, path, depth + 1)
            except _Cannot as error:
                self.placed = before
                refused.append(error)
                continue
            if isinstance(found, str) and self.placed.label != before.label:
                self.placed.words = tuple(word for one in choices for word in listed(self._root, one))
            return found
        # a label that the caller's values lack is no reason to say null
        if nothing and all(error.unmet.reason in _SAY_NOTHING for error in refused):
            self._says_nothing(path)
            return None
        raise refused[0] if refused else _Cannot(Reason.SCHEMA, path)

    def _one_of(self, schema: Mapping[str, Any], path: Path) -> Any:
        _only(schema, _OF_VALUES, path)
        values = [schema["const"]] if "const" in schema else schema["enum"]
        if not isinstance(values, list) or not values:
            raise _Cannot(Reason.SCHEMA, path)
        if not self._holds_labels(values):
            if len(values) == 1:
                return values[0]
            raise _Cannot(Reason.OTHER_FIELD, path)
        if len(self._told.labels) > 1:
            raise _Cannot(Reason.AMBIGUOUS, path, ", ".join(self._told.labels))
        return self._label(self._told.labels[0], values, path)

    def _label(self, label: str, values: list[Any], path: Path) -> str:
        found = self._told.names.spelled(label, [value for value in values if isinstance(value, str)])
        if found is None:
            raise _Cannot(Reason.LABEL_NOT_ASKED, path, label)
        if self.placed.label is None:
            self.placed.label, self.placed.words = found, listed(self._root, {"enum": values})
        return found

    def _holds_labels(self, values: object) -> bool:
        """Whether one of the values is a label; `other` beside words that are none says nothing of it."""
        words = values if isinstance(values, list) else []
        named = {self._told.names.meant(word) if isinstance(word, str) else None for word in words}
        return bool(named - {None, OTHER}) or named == {OTHER}

    def _object(self, schema: Mapping[str, Any], path: Path, depth: int) -> dict[str, Any]:
        _only(schema, _OF_OBJECTS, path)
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list) or set(required) - set(properties):
            raise _Cannot(Reason.SCHEMA, path)
        found: dict[str, Any] = {}
        for name, part in properties.items():
            before = self.placed.copy()
            try:
                found[name] = self.value(part, (*path, name), depth + 1)
            except _Cannot as error:
                self.placed = before
                if name in required or error.unmet.reason not in _SAY_NOTHING:
                    raise
                self._says_nothing((*path, name))
        return found

    def _labels(self, schema: Mapping[str, Any], path: Path, depth: int) -> list[Any]:
        _only(schema, _OF_ARRAYS, path)
        items = self._resolved(schema.get("items"), path, depth)
        if not self._holds_labels(items.get("enum")):
            raise _Cannot(Reason.OTHER_FIELD, path)
        _only(items, _OF_VALUES, path)
        return _counted([self._label(label, items["enum"], path) for label in self._told.labels], schema, path)

    def _confidence(self, schema: Mapping[str, Any], path: Path) -> float:
        _only(schema, _OF_NUMBERS, path)
        if schema.get("minimum", 0) != 0 or schema.get("maximum", 1) != 1:
            raise _Cannot(Reason.OTHER_FIELD, path)
        return round(self._told.confidence, 4)

    def _slot_at(self, schema: Mapping[str, Any], path: Path, depth: int) -> str | None:
        """The slot whose name the field has, unless it is for labels or holds fields of its own."""
        name = self._slots.get(folded(path[-1])) if path else None
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
            raise _Cannot(Reason.AMBIGUOUS, path, ", ".join(map(str, values)))
        self.placed.slots[path] = name
        if not values and None in schema.get("enum", ()):
            return None
        if not values:
            raise _Cannot(Reason.NO_VALUE, path)
        return values[0]

    def _values(self, name: str, found: Found, schema: Mapping[str, Any], path: Path) -> list[slots.Scalar]:
        if schema.get("type") == "null":
            raise _Cannot(Reason.OTHER_FIELD, path)
        _only(schema, slots.KEYWORDS, path)
        values: list[slots.Scalar] = []
        for one in found.values:
            fitting = slots.fit(found.slot, one, schema)
            if fitting is None:
                raise _Cannot(Reason.UNFIT_VALUE, path, f"{name} is {one.raw!r}")
            values.append(fitting)
            self.placed.values += 1
            self.placed.confidence = min(self.placed.confidence, one.confidence)
        return values

    def _says_nothing(self, path: Path) -> None:
        """Remembers that the field, if it is a slot's, says nothing."""
        name = self._slots.get(folded(path[-1])) if path else None
        if name is not None:
            self.placed.slots[path] = name


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """An object by a schema. label: as the caller spells it, one of them where it stands several times, None where it
    does not stand there; words: the caller's values for the label's place; slots: names of slots by their field's
    place, those that say nothing among them; confidence: 0..1, of the least certain slot's value in it."""

    values: dict[str, Any]
    label: str | None
    words: tuple[str, ...]
    slots: Mapping[Path, str]
    confidence: float


def fill(schema: Mapping[str, Any], told: Told) -> Filled | Unmet:
    """told: with at least one label."""
    filling = _Filling(schema, told)
    try:
        found = filling.whole(schema)
    except _Cannot as error:
        return error.unmet
    except _TooLarge:
        return Unmet(Reason.SCHEMA, f"it has over {_MOST_PLACES} places")
    except (TypeError, ArithmeticError) as error:
        return Unmet(Reason.SCHEMA, str(error))
    placed = filling.placed
    if not isinstance(found, dict):
        return Unmet(Reason.SCHEMA, "not an object")
    if placed.label is None and not placed.values:
        return Unmet(Reason.NO_PLACE)
    return Filled(
        values=found, label=placed.label, words=placed.words, slots=placed.slots, confidence=placed.confidence
    )


def _counted(values: list[Any], schema: Mapping[str, Any], path: Path) -> list[Any]:
    if not schema.get("minItems", 0) <= len(values) <= schema.get("maxItems", len(values)):
        raise _Cannot(Reason.SCHEMA if values else Reason.NO_VALUE, path, f"{len(values)} of them")
    return values


def _only(schema: Mapping[str, Any], allowed: frozenset[str], path: Path) -> None:
    """A keyword that is not looked at could forbid what is given."""
    strange = set(schema) - allowed - SAYS_NOTHING
    if strange:
        raise _Cannot(Reason.SCHEMA, path, ", ".join(sorted(strange)))
