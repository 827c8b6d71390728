"""JSON of clients and upstreams: bytes to structs, one strict decode of what rules read, and a rewrite in place."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw

from gateway.errors import BadRequest

T = TypeVar("T")
LARGE_BYTES: Final = 100_000
"""A larger body is read in a thread, so that the event loop goes on."""
_PART: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{,]', re.DOTALL)
_MOST_PARTS: Final = 500_000
"""Ten thousand messages that are lists of parts have 200,000."""
_SHOWN: Final = 40
"""Characters of a key in an error."""
_ESCAPES: Final = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F][\da-fA-F]{2})|\\.")
"""What a string escapes: a surrogate pair, half of one (as a group), or something else."""


def bounded(body: bytes) -> None:
    """Raises BadRequest for a body of more values than are decoded at once; it need not be JSON. Its parts are counted
    one by one in Python, so that other threads have their turn."""
    if len(body) > _MOST_PARTS:
        for count, _ in enumerate(_PART.finditer(body)):
            if count == _MOST_PARTS:
                raise BadRequest(f"the body holds over {_MOST_PARTS} strings, lists, objects and commas")


def decoded(decode: Callable[[bytes], T], body: bytes, *, at: str = "") -> T:
    """The body, or the value of its field `at`, as a struct. Raises BadRequest saying what does not fit."""
    try:
        body.decode()
        return decode(body)
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise BadRequest("the body is nested too deeply") from error
    except msgspec.ValidationError as error:
        raise invalid(error, at) from error
    except msgspec.DecodeError as error:
        raise BadRequest(_not_read(body, error)) from error


def _not_read(body: bytes, error: msgspec.DecodeError) -> str:
    """Why msgspec does not take a body for JSON; it refuses half of a surrogate pair, which JavaScript writes."""
    half = next((match for match in _ESCAPES.finditer(body) if match[1]), None)
    if half is None:
        return f"the body is not JSON: {error}" if body.strip() else "the body is empty; send JSON"
    what = f"a string holds {half[1].decode()}, half of a surrogate pair (byte {half.start()})"
    return f"{what}; cut text between whole characters, or put \\ufffd in place of the half"


def of_upstream(decode: Callable[[bytes], T], data: bytes) -> T:
    """What an upstream says as a struct. Bytes that are no UTF-8, as of a character that a stream cuts in two, are read
    as clients read them. Raises msgspec.DecodeError and RecursionError."""
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # msgspec 0.23 raises its own error for such bytes, older versions Python's
        replaced = data.decode(errors="replace").encode()
        if replaced == data:
            raise
    return decode(replaced)


def invalid(error: msgspec.ValidationError, at: str) -> BadRequest:
    """What of a value does not fit. at: the value's own place. msgspec says `Expected …, got … - at `$.model``, or
    `Object missing required field `model``."""
    text = str(error)
    if text.startswith("Object missing required field"):
        what, path = "is missing", text.split("`")[1]
    else:
        what, _, path = text.partition(" - at `$.")
    field = ".".join(filter(None, (at, path.rstrip("`"))))
    return BadRequest(f"{field or 'the body'}: {what}", param=field or None)


Path = tuple[str | int, ...]
"""The way to a value: keys of objects, indexes of lists."""

decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
decode_list = msgspec.json.Decoder(list[Raw]).decode
encode = msgspec.json.Encoder().encode


def rewrite(data: bytes | Raw, changes: Mapping[Path, bytes]) -> bytes:
    """changes: the new JSON of each value, by its path; none lies within another. Of a key that stands twice in an
    object on the way, the last is kept, which is the one that was read. Raises KeyError or IndexError where a path
    leads nowhere, and msgspec.DecodeError where it leads through no object."""
    if () in changes:
        return changes[()]
    within: dict[str | int, dict[Path, bytes]] = {}
    for (first, *rest), value in changes.items():
        within.setdefault(first, {})[tuple(rest)] = value
    if not within:
        return bytes(data)
    of_keys = isinstance(next(iter(within)), str)
    holder: dict[str, Raw] | list[Raw] = of_upstream(decode_fields, bytes(data)) if of_keys else decode_list(data)
    for key, inner in within.items():
        holder[key] = Raw(rewrite(holder[key], inner))  # type: ignore[index]
    return encode(holder)


def leaves(value: Any) -> Iterator[Any]:
    """All values within lists and objects, however deep, that are neither."""
    values = [value]
    while values:
        value = values.pop()
        if isinstance(value, list | dict):
            values += value.values() if isinstance(value, dict) else value
        else:
            yield value


class Digits(str):
    """The digits of a long integer, which may be a card's or a telephone's."""

    __slots__ = ()


_FEWEST_DIGITS: Final = 7


def strict_json(data: bytes, *, digits: bool = False) -> Any:
    """The decoded value, in which every integer is 0: one of thousands of digits is none to Python. digits: whether
    long ones are Digits instead.

    data: JSON that msgspec has checked; Python's decoder takes NaN and lone surrogates as well.
    Raises RecursionError, and ValueError, also for a key that appears twice in one object, however deep: some servers
    take its first value, others its last.
    """
    return (_strict_digits if digits else _strict).decode(str(data, "utf-8"))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        key = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {key[:_SHOWN]!r} stands twice in one object")
    return fields


def _long(digits: str) -> Any:
    return Digits(digits) if len(digits) >= _FEWEST_DIGITS else 0


_strict: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_int=lambda _: 0, strict=False)
_strict_digits: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_long, strict=False)
