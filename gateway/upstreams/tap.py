"""Listens to a stream as it passes: its bytes, when it has ended or was left."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

_MOST: Final = 1024**2
"""Bytes that are kept; a longer answer is none to a small question."""


async def tap(chunks: AsyncIterator[bytes], heard: Callable[[bytes | None], Awaitable[None]]) -> AsyncIterator[bytes]:
    """The chunks as they came. heard: is given all of them at the end; None where the stream broke off, was
    left, or is over 1 MiB."""
    kept: list[bytes] | None = []
    size = 0
    whole = False
    try:
        async for chunk in chunks:
            size += len(chunk)
            kept = kept if size <= _MOST else None
            if kept is not None:
                kept.append(chunk)
            yield chunk
        whole = True
    finally:
        await heard(b"".join(kept) if whole and kept is not None else None)
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
