"""An upstream's answer as it is read: the reading ends, whatever becomes of its connection."""

import asyncio
from typing import Final

import aiohttp

_LOOKS_EVERY_S: Final = 1.0


class Received:
    """A response's bytes as they come.

    Of bytes in mid-answer that are no HTTP aiohttp tells its connection and nobody who reads, and its own clock stops.
    So both are looked at here, at times, which costs less than a clock for each read.
    """

    def __init__(self, response: aiohttp.ClientResponse, *, timeout_s: float) -> None:
        self._content = response.content
        self._protocol = response.connection.protocol if response.connection is not None else None
        self._timeout_s = timeout_s
        self._waits_since: float | None = None
        self._loop = asyncio.get_running_loop()
        # what is whole by now is waited for by nobody
        self._timer = None if self._content.is_eof() else self._next_look()

    async def next(self) -> bytes:
        """The next bytes; none at the end. Raises TimeoutError where none come in time, and aiohttp.ClientError where
        none can come."""
        self._waits_since = self._loop.time()
        try:
            return await self._content.readany()
        finally:
            self._waits_since = None

    def leave(self) -> None:
        """Nothing more is read."""
        if self._timer is not None:
            self._timer.cancel()

    def _next_look(self) -> asyncio.TimerHandle:
        return self._loop.call_later(min(_LOOKS_EVERY_S, self._timeout_s), self._look)

    def _look(self) -> None:
        if self._content.is_eof() or self._content.exception() is not None:
            return
        if self._protocol is None or self._protocol.exception() is not None:
            self._content.set_exception(aiohttp.ClientPayloadError("the answer cannot be read on"))
        elif self._waits_since is not None and self._loop.time() - self._waits_since >= self._timeout_s:
            self._content.set_exception(aiohttp.SocketTimeoutError("no bytes in time"))
        else:
            self._timer = self._next_look()
