"""A JSON body as a struct, or a clear BadRequest."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from gateway.errors import BadRequest

T = TypeVar("T")


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
        raise BadRequest(f"the body is not JSON: {error}") from error


def _invalid(error: msgspec.ValidationError) -> BadRequest:
    """msgspec says `Expected …, got … - at `$.model``, or `Object missing required field `model``."""
    text = str(error)
    if text.startswith("Object missing required field"):
        field = text.split("`")[1]
        return BadRequest(f"{field}: is missing", param=field)
    what, at, path = text.partition(" - at `$.")
    field = path.rstrip("`")
    return BadRequest(f"{field}: {what}" if at else f"the body: {what}", param=field or None)
