"""JSON as structs: a client's body, or a clear BadRequest; and what an upstream says."""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from gateway.errors import BadRequest

T = TypeVar("T")
_BLANKS: Final = b" " * 16


def decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    """The body as a struct. Raises BadRequest saying what does not fit."""
    try:
        body.decode()
        return decode(body)
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise BadRequest("the body is nested too deeply") from error
    except msgspec.ValidationError as error:
        raise _invalid(error) from error
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body is not JSON: {_malformed(decode, body, error)}") from error


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


def _malformed(decode: Callable[[bytes], T], body: bytes, error: msgspec.DecodeError) -> msgspec.DecodeError:
    """What is wrong: of an escape that is broken near the end, msgspec says only that the body is cut off there."""
    try:
        decode(body + _BLANKS)
    except msgspec.DecodeError as other:
        return other
    return error


def _invalid(error: msgspec.ValidationError) -> BadRequest:
    """msgspec says `Expected …, got … - at `$.model``, or `Object missing required field `model``."""
    text = str(error)
    if text.startswith("Object missing required field"):
        field = text.split("`")[1]
        return BadRequest(f"{field}: is missing", param=field)
    what, at, path = text.partition(" - at `$.")
    field = path.rstrip("`")
    return BadRequest(f"{field}: {what}" if at else f"the body: {what}", param=field or None)
