"""Which label a reference's answer names, whatever its shape. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.answers.said import bare, streamed, whole
from gateway.spelling import Names


def label_of(body: bytes, names: Names, *, stream: bool) -> str | None:
    """The only label that an answer's choices name, as a word of its own or as values in JSON; None where there is
    none, or several. body: of an answer, of a stream all events."""
    try:
        said = streamed(body) if stream else whole(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    texts = (text for one in said for text in (one.content, *(arguments for _, arguments in one.calls.values())))
    found = {label for text in texts for word in _words(text) if (label := names.meant(word)) is not None}
    return found.pop() if len(found) == 1 else None


def _words(text: str) -> Iterator[str]:
    """A text as a whole, or the strings in its JSON."""
    try:
        yield from _strings(msgspec.json.decode(bare(text)))
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
