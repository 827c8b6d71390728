"""Whether a JSON schema allows a value, as far as the keywords tell that are looked at here. Pure.

Every keyword of a schema has to allow the value: one that does not settles it, and one that is not looked at leaves it
open. A validator of the whole language would run a client's regular expressions and follow its references without an
end to either.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

SAYS_NOTHING: Final = frozenset({"title", "description", "default", "examples", "$defs", "definitions", "$schema",
                                 "$id", "$comment", "deprecated", "readOnly", "writeOnly"})  # fmt: skip
"""Keywords that allow everything."""
_LOOKED_AT: Final = SAYS_NOTHING | {
    "type", "const", "enum", "$ref", "anyOf", "oneOf", "format", "properties", "required", "additionalProperties",
    "items", "minItems", "maxItems", "uniqueItems", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum",
}  # fmt: skip
_DEEPEST: Final = 32
_MOST_PLACES: Final = 5_000


def refused(schema: Mapping[str, Any], value: Any) -> tuple[str, ...] | None:
    """The place whose value the schema does not allow for certain, by names of properties, from the outermost in; None
    where it allows all. Raises TypeError where a keyword's own value is not of its type."""
    if _Checking(schema).allows(schema, value, 0):
        return None
    return tuple(_innermost(_Checking(schema), schema, value))


def referred(root: Mapping[str, Any], reference: object) -> object:
    """What stands at a `$ref` within the schema; None where there is no such place."""
    if not str(reference).startswith("#"):
        return None
    target: object = root
    for part in str(reference).removeprefix("#").strip("/").split("/"):
        target = target.get(part) if isinstance(target, Mapping) else None
    return target


def listed(root: Mapping[str, Any], schema: object) -> tuple[str, ...]:
    """The strings that a schema within the root lists as values."""
    if isinstance(schema, Mapping) and "$ref" in schema:
        schema = referred(root, schema["$ref"])
    if not isinstance(schema, Mapping):
        return ()
    values = [schema["const"]] if "const" in schema else schema.get("enum", ())
    return tuple(value for value in values if isinstance(value, str))


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

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._places = 0

    def allows(self, schema: object, value: Any, depth: int) -> bool | None:
        self._places += 1
        if isinstance(schema, bool):
            return schema
        if self._places > _MOST_PLACES or depth > _DEEPEST or not isinstance(schema, Mapping):
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
            yield _same(value, schema["const"])
        if "enum" in schema:
            yield any(_same(value, one) for one in schema["enum"])
        if "$ref" in schema:
            yield self.allows(referred(self._root, schema["$ref"]), value, depth)
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
            yield len({(isinstance(one, bool), one) for one in value}) == len(value)
        items = None if "prefixItems" in schema else schema.get("items", True)
        for one in value:
            yield self.allows(items, one, depth)


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


def _same(one: Any, other: Any) -> bool:
    """`True` is not 1."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


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
