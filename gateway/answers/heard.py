"""Which label a reference's answer names, whatever its shape. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.reading.answer import read
from gateway.spelling import Names


def label_of(body: bytes, names: Names, *, stream: bool) -> str | None:
    """The only label that an answer's texts name, as words of their own or as values in JSON; None where there is none,
    or several. body: of an answer, of a stream all events."""
    said = (word for text in read(body, stream=stream).texts for word in _words(str(text)))
    found = {label for word in said if (label := names.meant(word)) is not None}
    return found.pop() if len(found) == 1 else None


def _words(text: str) -> Iterator[str]:
    """A text as a whole, or the strings in its JSON."""
    bare = text.strip().removeprefix("```json").strip("`")
    try:
        yield from _strings(msgspec.json.decode(bare))
    except (msgspec.DecodeError, RecursionError):
        yield text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
