"""Whether a JSON schema allows a value, as far as the keywords tell that are looked at here. Pure.

Every keyword of a schema has to allow the value: one that does not settles it, and one that is not looked at leaves it
open. A validator of the whole language would run a client's regular expressions and follow its references without an
end to either.

How much of a schema is looked at: a few references to one long list are as much work as a caller likes.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.spelling import folded

_MOST: Final = 100_000
"""Parts, of about a microsecond each: far more than a schema of use has."""
_OF_A_PLACE: Final = 12
"""Parts that a place is worth beside what is listed there."""
_A_PART: Final = 8
"""So many letters of a word are one."""


class TooLarge(Exception):
    """The schema has more parts than are looked at, each counted as often as it is."""


class SchemaReader:
    """A schema that is being looked at, and what has been read of it."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._left = _MOST
        self._targets: dict[str, object] = {}
        self._folds = _Folds(self)

    def parts(self, count: int) -> None:
        """Counts parts before they are looked at. Raises TooLarge."""
        self._left -= count
        if self._left < 0:
            raise TooLarge

    def place(self, schema: object) -> None:
        """Counts a place in the schema, with its keywords and what they list. Raises TooLarge."""
        within = sum(map(_size, schema.values()), len(schema)) if isinstance(schema, Mapping) else 0
        self.parts(_OF_A_PLACE + within)

    def words(self, values: object, times: int) -> None:
        """Counts words, by their letters, that are to be read so many times. Raises TooLarge."""
        if isinstance(values, list):
            self.parts(times * sum(_letters(one) if isinstance(one, str) else 1 for one in values))

    def folded(self, word: str) -> str:
        """`spelling.folded`, of each word once. Raises TooLarge."""
        return self._folds[word]

    def referred(self, reference: object) -> object:
        """What stands at a `$ref` within the schema; None where there is no such place."""
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
            schema = self.referred(schema["$ref"])
        if not isinstance(schema, Mapping):
            return ()
        self.place(schema)
        values = [schema["const"]] if "const" in schema else schema.get("enum", ())
        return tuple(value for value in values if isinstance(value, str))


class _Folds(dict[str, str]):
    def __init__(self, looked: SchemaReader) -> None:
        super().__init__()
        self._looked = looked

    def __missing__(self, word: str) -> str:
        self._looked.parts(_letters(word))
        found = self[word] = folded(word)
        return found


def _letters(word: str) -> int:
    return 1 + len(word) // _A_PART


def _size(part: object) -> int:
    """Parts of a keyword's value."""
    if isinstance(part, list | dict):
        return len(part)
    return part.bit_length() // 64 if isinstance(part, int) else 0


SAYS_NOTHING: Final = frozenset({"title", "description", "default", "examples", "$defs", "definitions", "$schema",
                                 "$id", "$comment", "deprecated", "readOnly", "writeOnly"})  # fmt: skip
"""Keywords that allow everything."""
_LOOKED_AT: Final = SAYS_NOTHING | {
    "type", "const", "enum", "$ref", "anyOf", "oneOf", "format", "properties", "required", "additionalProperties",
    "items", "minItems", "maxItems", "uniqueItems", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum",
}  # fmt: skip
_DEEPEST: Final = 32


def refused(schema: Mapping[str, Any], value: Any, looked: SchemaReader | None = None) -> tuple[str, ...] | None:
    """The place whose value the schema does not allow for certain, by names of properties, from the outermost in; None
    where it allows all. looked: what of the schema has been looked at before. Raises TypeError where a keyword's own
    value is not of its type."""
    checking = _Checking(looked or SchemaReader(schema))
    try:
        return None if checking.allows(schema, value, 0) else tuple(_innermost(checking, schema, value))
    except TooLarge:
        return ()


def _innermost(checking: "_Checking", schema: Mapping[str, Any], value: Any) -> Iterator[str]:
    """Names on the way to what is not allowed, as far as it leads through properties alone."""
    named = schema.get("properties")
    if not isinstance(named, Mapping) or not isinstance(value, dict):
        return
    for name, part in value.items():
        if isinstance(named.get(name), Mapping) and not checking.allows(named[name], part, 0):
            yield name
            yield from _innermost(checking, named[name], part)
            return


class _Checking:
    """One value being held against one schema."""

    def __init__(self, looked: SchemaReader) -> None:
        self._looked = looked

    def allows(self, schema: object, value: Any, depth: int) -> bool | None:
        self._looked.place(schema)
        if isinstance(schema, bool):
            return schema
        if depth > _DEEPEST or not isinstance(schema, Mapping):
            return None
        return _all(self._told(schema, value, depth + 1))

    def _told(self, schema: Mapping[str, Any], value: Any, depth: int) -> Iterator[bool | None]:
        """What each keyword says."""
        yield from self._of_any_value(schema, value, depth)
        if isinstance(value, dict):
            yield from self._object(schema, value, depth)
        elif isinstance(value, list):
            yield from self._array(schema, value, depth)
        elif isinstance(value, str):
            yield schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield schema.get("minimum", value) <= value <= schema.get("maximum", value)
            yield schema.get("exclusiveMinimum", -math.inf) < value < schema.get("exclusiveMaximum", math.inf)
        yield None if set(schema) - _LOOKED_AT else True

    def _of_any_value(self, schema: Mapping[str, Any], value: Any, depth: int) -> Iterator[bool | None]:
        if "type" in schema:
            named = schema["type"]
            yield not _types(value).isdisjoint([named] if isinstance(named, str) else named)
        if "const" in schema:
            yield self._same(value, schema["const"])
        if "enum" in schema:
            yield self._one_of(value, schema["enum"])
        if "$ref" in schema:
            yield self.allows(self._looked.referred(schema["$ref"]), value, depth)
        if "anyOf" in schema:
            yield _any(self.allows(one, value, depth) for one in schema["anyOf"])
        if "oneOf" in schema:
            yield _one([self.allows(one, value, depth) for one in schema["oneOf"]])

    def _object(self, schema: Mapping[str, Any], value: dict[str, Any], depth: int) -> Iterator[bool | None]:
        yield all(name in value for name in schema.get("required", ()))
        named = schema.get("properties", {})
        if not isinstance(named, Mapping):
            yield None
            return
        # names by a pattern are none of the others
        others = None if "patternProperties" in schema else schema.get("additionalProperties", True)
        for name, part in value.items():
            yield self.allows(named.get(name, others), part, depth)

    def _array(self, schema: Mapping[str, Any], value: list[Any], depth: int) -> Iterator[bool | None]:
        yield schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        if schema.get("uniqueItems"):
            self._looked.parts(len(value))
            yield len({(isinstance(one, bool), one) for one in value}) == len(value)
        items = None if "prefixItems" in schema else schema.get("items", True)
        for one in value:
            yield self.allows(items, one, depth)

    def _one_of(self, value: Any, values: Any) -> bool:
        if not isinstance(values, list):
            raise TypeError("an enum that is no array")
        # a string is like no value of another type, and there may be thousands
        return value in values if isinstance(value, str) else any(self._same(value, one) for one in values)

    def _same(self, one: Any, other: Any) -> bool:
        """`True` is not 1."""
        if isinstance(one, list) and isinstance(other, list):
            self._looked.parts(len(one))
            return len(one) == len(other) and all(map(self._same, one, other))
        if isinstance(one, dict) and isinstance(other, dict):
            self._looked.parts(len(one))
            return one.keys() == other.keys() and all(self._same(one[name], other[name]) for name in one)
        return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _types(value: Any) -> frozenset[str]:
    match value:
        case None:
            return frozenset({"null"})
        case bool():
            return frozenset({"boolean"})
        case str():
            return frozenset({"string"})
        case list():
            return frozenset({"array"})
        case int() | float():
            whole = isinstance(value, int) or value.is_integer()
            return frozenset({"number", "integer"} if whole else {"number"})
        case _:
            return frozenset({"object"})


def _all(found: Iterable[bool | None]) -> bool | None:
    told: bool | None = True
    for one in found:
        if one is False:
            return False
        told = told and one
    return told


def _any(found: Iterable[bool | None]) -> bool | None:
    told: bool | None = False
    for one in found:
        if one:
            return True
        told = None if one is None else told
    return told


def _one(found: list[bool | None]) -> bool | None:
    """Whether just one of them is so."""
    sure = sum(one is True for one in found)
    if sure > 1:
        return False
    return None if None in found else sure == 1
