"""Notices clients that go away while their requests are worked on, and cancels that work.

One sweep for all requests instead of a timer for each: a timer costs more than all the rest of the watching.
"""

import asyncio
import time
from typing import Final

from starlette.types import Receive

from gateway.context import RequestContext

_EVERY_S: Final = 0.1


class ClientWatch:
    """Watches the requests that are older than a tenth of a second; quicker ones cost an entry in a set."""

    def __init__(self) -> None:
        self._open: set[Watched] = set()
        self._sweep: asyncio.TimerHandle | None = None

    def watch(self, receive: Receive, context: RequestContext, task: "asyncio.Task[object]") -> "Watched":
        """A context manager around the work of a task. Use it once the body has been read."""
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_EVERY_S, self._look)
        return Watched(self._open, receive, context, task)

    def _look(self) -> None:
        before = time.perf_counter() - _EVERY_S
        for watched in self._open:
            if watched.context.started < before:
                watched.listen()
        again = bool(self._open)
        self._sweep = asyncio.get_running_loop().call_later(_EVERY_S, self._look) if again else None


class Watched:
    """One request that is worked on, and its listener."""

    __slots__ = ("_listener", "_open", "_receive", "_task", "context")

    def __init__(
        self, open_: "set[Watched]", receive: Receive, context: RequestContext, task: "asyncio.Task[object]"
    ) -> None:
        self.context = context
        self._open = open_
        self._receive = receive
        self._task: asyncio.Task[object] | None = task
        self._listener: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._open.add(self)

    def __exit__(self, *_: object) -> None:
        self._open.discard(self)
        self._task = None
        if self._listener is not None:
            self._listener.cancel()

    def listen(self) -> None:
        """Starts to wait for the client's going, once."""
        if self._listener is None:
            self._listener = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.leave()

    def leave(self) -> None:
        """Cancels the work: the client has gone."""
        if self._task is not None:
            self.context.client_gone = True
            self._task.cancel()
