"""Whether a JSON schema allows a value, decided by a bounded reader of the common keywords. Pure.

Every keyword has to allow the value: one that does not decides, and an unknown one leaves the answer open. A validator
of the whole language would run a client's regular expressions and follow its references without end. The reader counts
what it reads: a few references to one long list are as much work as a caller likes.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.spelling import normalized

_MAX_PARTS: Final = 100_000
"""A part takes about a microsecond; a schema of use has far fewer."""
_PARTS_PER_PLACE: Final = 12
"""Parts that a place counts for in addition to what is listed there."""
_LETTERS_PER_PART: Final = 8
_MAX_DEPTH: Final = 32
ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "$defs", "definitions", "$schema",
                                "$id", "$comment", "deprecated", "readOnly", "writeOnly"})  # fmt: skip
"""Keywords that allow everything."""
_KNOWN: Final = ANNOTATIONS | {
    "type", "const", "enum", "$ref", "anyOf", "oneOf", "format", "properties", "required", "additionalProperties",
    "items", "minItems", "maxItems", "uniqueItems", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum",
}  # fmt: skip
_TYPES: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "boolean",
    str: "string",
    list: "array",
    dict: "object",
    int: "integer",
    float: "number",
}


class TooLarge(Exception):
    """The schema has more parts than are read, each counted as often as it is read."""


class SchemaReader:
    """Reads one schema within a budget, and remembers its references and normalized words."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._left = _MAX_PARTS
        self._targets: dict[str, object] = {}
        self._folded: dict[str, str] = {}

    def count(self, parts: int) -> None:
        """Counts parts before they are read. Raises TooLarge."""
        self._left -= parts
        if self._left < 0:
            raise TooLarge

    def count_place(self, schema: object) -> None:
        """Counts a place in the schema, with its keywords and what they list. Raises TooLarge."""
        within = sum(map(_size, schema.values()), len(schema)) if isinstance(schema, Mapping) else 0
        self.count(_PARTS_PER_PLACE + within)

    def count_words(self, values: object, times: int) -> None:
        """Counts words, by their letters, that are to be read so many times. Raises TooLarge."""
        if isinstance(values, list):
            self.count(times * sum(_letters(value) if isinstance(value, str) else 1 for value in values))

    def fold(self, word: str) -> str:
        """`spelling.normalized`, once for each word. Raises TooLarge."""
        if word not in self._folded:
            self.count(_letters(word))
            self._folded[word] = normalized(word)
        return self._folded[word]

    def target(self, reference: object) -> object:
        """The place of a `$ref` within the schema; None where there is none."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        if reference not in self._targets:
            target: object = self.root
            for part in reference.removeprefix("#").strip("/").split("/"):
                target = target.get(part) if isinstance(target, Mapping) else None
            self._targets[reference] = target
        return self._targets[reference]

    def listed(self, schema: object) -> tuple[str, ...]:
        """The strings that a schema within the root lists as values. Raises TooLarge."""
        if isinstance(schema, Mapping) and "$ref" in schema:
            schema = self.target(schema["$ref"])
        if not isinstance(schema, Mapping):
            return ()
        self.count_place(schema)
        values = [schema["const"]] if "const" in schema else schema.get("enum", ())
        return tuple(value for value in values if isinstance(value, str))


def _letters(word: str) -> int:
    return 1 + len(word) // _LETTERS_PER_PART


def _size(part: object) -> int:
    if isinstance(part, list | dict):
        return len(part)
    return part.bit_length() // 64 if isinstance(part, int) else 0


def allows(schema: Mapping[str, Any], value: Any, reader: SchemaReader | None = None) -> bool:
    """Whether a schema certainly allows a value. reader: one that has read a part of the schema. Raises TypeError where
    a keyword's own value is not of its type."""
    try:
        return _Check(reader or SchemaReader(schema)).allows(schema, value, 0) is True
    except TooLarge:
        return False


class _Check:
    """Checks values: True is allowed, False forbidden, None not known."""

    def __init__(self, reader: SchemaReader) -> None:
        self._reader = reader

    def allows(self, schema: object, value: Any, depth: int) -> bool | None:
        self._reader.count_place(schema)
        if isinstance(schema, bool):
            return schema
        if depth > _MAX_DEPTH or not isinstance(schema, Mapping):
            return None
        return _settled(self._keywords(schema, value, depth + 1), by=False)

    def _keywords(self, schema: Mapping[str, Any], value: Any, depth: int) -> Iterator[bool | None]:
        yield from self._any_type(schema, value, depth)
        if isinstance(value, dict):
            yield from self._object(schema, value, depth)
        elif isinstance(value, list):
            yield from self._array(schema, value, depth)
        elif isinstance(value, str):
            yield schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield schema.get("minimum", value) <= value <= schema.get("maximum", value)
            yield schema.get("exclusiveMinimum", -math.inf) < value < schema.get("exclusiveMaximum", math.inf)
        yield None if set(schema) - _KNOWN else True

    def _any_type(self, schema: Mapping[str, Any], value: Any, depth: int) -> Iterator[bool | None]:
        if "type" in schema:
            types = schema["type"]
            yield not _types(value).isdisjoint([types] if isinstance(types, str) else types)
        if "const" in schema:
            yield self._same(value, schema["const"])
        if "enum" in schema:
            yield self._listed(value, schema["enum"])
        if "$ref" in schema:
            yield self.allows(self._reader.target(schema["$ref"]), value, depth)
        if "anyOf" in schema:
            yield _settled((self.allows(choice, value, depth) for choice in schema["anyOf"]), by=True)
        if "oneOf" in schema:
            yield _exactly_one([self.allows(choice, value, depth) for choice in schema["oneOf"]])

    def _object(self, schema: Mapping[str, Any], value: dict[str, Any], depth: int) -> Iterator[bool | None]:
        yield all(name in value for name in schema.get("required", ()))
        properties = schema.get("properties", {})
        if not isinstance(properties, Mapping):
            yield None
            return
        # names that match a pattern are not additional
        others = None if "patternProperties" in schema else schema.get("additionalProperties", True)
        for name, part in value.items():
            yield self.allows(properties.get(name, others), part, depth)

    def _array(self, schema: Mapping[str, Any], value: list[Any], depth: int) -> Iterator[bool | None]:
        yield schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        if schema.get("uniqueItems"):
            self._reader.count(len(value))
            yield len({(isinstance(item, bool), item) for item in value}) == len(value)
        items = None if "prefixItems" in schema else schema.get("items", True)
        for item in value:
            yield self.allows(items, item, depth)

    def _listed(self, value: Any, values: Any) -> bool:
        if not isinstance(values, list):
            raise TypeError("an enum that is no array")
        # a string equals no value of another type, and there may be thousands
        return value in values if isinstance(value, str) else any(self._same(value, other) for other in values)

    def _same(self, value: Any, other: Any) -> bool:
        """Whether two values are equal; `True` is not 1."""
        if isinstance(value, list) and isinstance(other, list):
            self._reader.count(len(value))
            return len(value) == len(other) and all(map(self._same, value, other))
        if isinstance(value, dict) and isinstance(other, dict):
            self._reader.count(len(value))
            return value.keys() == other.keys() and all(self._same(value[name], other[name]) for name in value)
        return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _types(value: Any) -> set[str]:
    name = _TYPES[type(value)]
    whole = isinstance(value, float) and value.is_integer()
    return {name, "number"} if name == "integer" else {name, "integer"} if whole else {name}


def _settled(results: Iterable[bool | None], by: bool) -> bool | None:
    """`by` as soon as one result is; otherwise None where one is not known, or else the opposite."""
    verdict: bool | None = not by
    for result in results:
        if result is by:
            return by
        verdict = None if result is None else verdict
    return verdict


def _exactly_one(results: list[bool | None]) -> bool | None:
    if results.count(True) > 1:
        return False
    return None if None in results else True in results
