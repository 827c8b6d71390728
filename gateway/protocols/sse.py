"""Server-sent events: framing, and cutting a byte stream into its events."""

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Final

DONE: Final = b"data: [DONE]\n\n"
HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_EMPTY_LINE: Final = re.compile(rb"(?>\r\n|\n|\r)(?:\r\n|\n|\r)")


def event(data: bytes) -> bytes:
    """One event with one line of data."""
    return b"data: " + data + b"\n\n"


def named(name: str, data: bytes) -> bytes:
    """One event with its name and one line of data."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


async def each(events: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Events that are there already, as a stream."""
    for block in events:
        yield block


def data_of(block: bytes) -> bytes | None:
    """An event's data (its lines joined), or None for a comment."""
    if block.startswith(b"data: ") and block.find(b"\n") == len(block) - 2 and b"\r" not in block:
        return block[6:-2]
    lines = [line[5:].removeprefix(b" ") for line in block.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def with_data(block: bytes, data: bytes) -> bytes:
    """An event with other data, which is JSON, in one line; its other fields stay."""
    line = data.replace(b"\r", b"").replace(b"\n", b"")
    others = [line for line in block.splitlines() if line and not line.startswith(b"data:")]
    return b"\n".join([*others, b"data: " + line]) + b"\n\n"


class Splitter:
    """Cuts chunks of bytes, however they fall, into whole events; the bytes of each are kept as they came. Events end
    in an empty line; lines end in LF, CRLF or CR. Raises ValueError where one event is over `max_event_bytes`."""

    def __init__(self, max_event_bytes: int = 8 * 1024**2) -> None:
        self._rest = bytearray()
        self._holds_cr = False
        self._max = max_event_bytes

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The events that are whole now."""
        # an empty line that what was kept back has a part of begins in its last three bytes
        start, searched = 0, max(0, len(self._rest) - 3)
        lf = not self._holds_cr and b"\r" not in chunk
        self._rest += chunk
        while (end := _event_end(self._rest, searched, lf=lf)) >= 0:
            yield bytes(self._rest[start:end])
            start = searched = end
        del self._rest[:start]
        self._holds_cr = not lf and b"\r" in self._rest
        if len(self._rest) > self._max:
            raise ValueError(f"an event of the stream is over {self._max} bytes")

    def flush(self) -> bytes:
        """What is left when the stream ends without an empty line."""
        rest, self._rest, self._holds_cr = bytes(self._rest), bytearray(), False
        return rest


def _event_end(data: bytearray, searched: int, *, lf: bool) -> int:
    """Where the first empty line from `searched` on ends; -1 where there is none, or the end of its line may still
    come. lf: whether lines end in LF alone, which is found much faster."""
    if lf:
        end = data.find(b"\n\n", searched)
        return end + 2 if end >= 0 else -1
    found = _EMPTY_LINE.search(data, searched)
    if found is None or (found.end() == len(data) and data.endswith(b"\r")):
        return -1
    return found.end()
