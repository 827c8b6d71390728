"""Fills a JSON schema with a verdict's labels: exactly what the schema allows, or the reason why not. Pure.

A field takes a label where its values (`enum`) hold one of the classifier's labels, however spelled. Every label field
of a schema is filled alike; `{type: array, items: {enum: …}}` takes all labels of a verdict. A field that is not for a
label is left out where it may be, else null where it may be, else its only value, else the shape is unmet. Numbers
named for it take the confidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.answers.spelling import folded, spelled
from gateway.answers.unmet import Reason, Unmet

_SAYS_NOTHING = frozenset({"title", "description", "default", "examples", "$defs", "definitions", "$schema", "$id",
                           "$comment", "deprecated", "readOnly", "writeOnly"})  # fmt: skip
_OF_OBJECTS = frozenset({"type", "properties", "required", "additionalProperties"})
_OF_ARRAYS = frozenset({"type", "items", "minItems", "maxItems", "uniqueItems"})
_OF_NUMBERS = frozenset({"type", "minimum", "maximum"})
_OF_VALUES = frozenset({"type", "enum", "const"})
_CONFIDENCE = frozenset({"confidence", "score", "probability", "confidencescore", "certainty"})
_DEEPEST = 16


class _Cannot(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.unmet = Unmet(reason, detail)


@dataclass(slots=True)
class _Filling:
    """One schema being filled. placed: the label where one stands, as the caller spells it; known: the classifier's
    labels, folded."""

    root: Mapping[str, Any]
    labels: Sequence[str]
    known: frozenset[str]
    confidence: float
    placed: str | None = None

    def value(self, schema: object, path: str, depth: int = 0) -> Any:
        """What stands at a place. Raises _Cannot."""
        schema = self._resolved(schema, path, depth)
        if "anyOf" in schema or "oneOf" in schema:
            return self._either(schema, path, depth)
        if "const" in schema or "enum" in schema:
            return self._one_of(schema, path)
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._either({"anyOf": [{**schema, "type": one} for one in kind]}, path, depth)
        return self._of_kind(kind, schema, path, depth)

    def _of_kind(self, kind: object, schema: Mapping[str, Any], path: str, depth: int) -> Any:
        if kind == "object":
            return self._object(schema, path, depth)
        if kind == "array":
            return self._array(schema, path, depth)
        if kind == "number" and folded(path.rpartition(".")[2]) in _CONFIDENCE:
            return self._number(schema, path)
        if kind == "null":
            return None
        raise _Cannot(Reason.OTHER_FIELD, path or "the whole answer")

    def _resolved(self, schema: object, path: str, depth: int) -> Mapping[str, Any]:
        if depth > _DEEPEST or not isinstance(schema, Mapping):
            raise _Cannot(Reason.SCHEMA, path)
        reference = schema.get("$ref")
        if reference is None:
            return schema
        target: object = self.root
        for part in str(reference).removeprefix("#").strip("/").split("/"):
            target = target.get(part) if isinstance(target, Mapping) else None
        if not str(reference).startswith("#") or target is None:
            raise _Cannot(Reason.SCHEMA, f"{path}: {reference}")
        return self._resolved(target, path, depth + 1)

    def _either(self, schema: Mapping[str, Any], path: str, depth: int) -> Any:
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
            before = self.placed
            try:
                return self.value(choice, path, depth + 1)
            except _Cannot as error:
                self.placed = before
                refused.append(error)
        # a label that the caller's values lack is no reason to say null
        if nothing and all(error.unmet.reason is Reason.OTHER_FIELD for error in refused):
            return None
        raise refused[0] if refused else _Cannot(Reason.SCHEMA, path)

    def _one_of(self, schema: Mapping[str, Any], path: str) -> Any:
        _only(schema, _OF_VALUES, path)
        values = [schema["const"]] if "const" in schema else schema["enum"]
        if not isinstance(values, list) or not values:
            raise _Cannot(Reason.SCHEMA, path)
        words = [value for value in values if isinstance(value, str)]
        if self.known.isdisjoint(map(folded, words)):
            if len(values) == 1:
                return values[0]
            raise _Cannot(Reason.OTHER_FIELD, path)
        if len(self.labels) > 1:
            raise _Cannot(Reason.AMBIGUOUS, f"{path}: {', '.join(self.labels)}")
        found = spelled(self.labels[0], words)
        if found is None:
            raise _Cannot(Reason.LABEL_NOT_ASKED, f"{path}: {self.labels[0]}")
        self.placed = found
        return found

    def _object(self, schema: Mapping[str, Any], path: str, depth: int) -> dict[str, Any]:
        _only(schema, _OF_OBJECTS, path)
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list) or set(required) - set(properties):
            raise _Cannot(Reason.SCHEMA, path)
        found: dict[str, Any] = {}
        for name, part in properties.items():
            before = self.placed
            try:
                found[name] = self.value(part, f"{path}.{name}" if path else name, depth + 1)
            except _Cannot as error:
                self.placed = before
                if name in required or error.unmet.reason is not Reason.OTHER_FIELD:
                    raise
        return found

    def _array(self, schema: Mapping[str, Any], path: str, depth: int) -> list[Any]:
        _only(schema, _OF_ARRAYS, path)
        items = self._resolved(schema.get("items"), path, depth)
        if "enum" not in items:
            raise _Cannot(Reason.OTHER_FIELD, path)
        found = []
        for label in self.labels:
            alone = _Filling(self.root, (label,), self.known, self.confidence)
            found.append(alone.value(items, path, depth + 1))
            self.placed = self.placed or alone.placed
        if not schema.get("minItems", 0) <= len(found) <= schema.get("maxItems", len(found)):
            raise _Cannot(Reason.SCHEMA, path)
        return found

    def _number(self, schema: Mapping[str, Any], path: str) -> float:
        _only(schema, _OF_NUMBERS, path)
        if schema.get("minimum", 0) != 0 or schema.get("maximum", 1) != 1:
            raise _Cannot(Reason.OTHER_FIELD, path)
        return round(self.confidence, 4)


@dataclass(frozen=True, slots=True)
class Filled:
    """An object by a schema. label: as the caller spells it, one of them where it stands several times."""

    values: dict[str, Any]
    label: str


def fill(
    schema: Mapping[str, Any], labels: Sequence[str], *, known: Sequence[str], confidence: float
) -> Filled | Unmet:
    """labels: of the verdict, the first the most certain; known: all of the classifier's."""
    filling = _Filling(schema, tuple(labels), frozenset(map(folded, known)), confidence)
    try:
        found = filling.value(schema, "")
    except _Cannot as error:
        return error.unmet
    except TypeError as error:
        return Unmet(Reason.SCHEMA, str(error))
    if not isinstance(found, dict):
        return Unmet(Reason.SCHEMA, "not an object")
    return Unmet(Reason.NO_PLACE) if filling.placed is None else Filled(found, filling.placed)


def _only(schema: Mapping[str, Any], allowed: frozenset[str], path: str) -> None:
    """A keyword that is not looked at could forbid what is given."""
    strange = set(schema) - allowed - _SAYS_NOTHING
    if strange:
        raise _Cannot(Reason.SCHEMA, f"{path}: {', '.join(sorted(strange))}")
