"""Work that a stop waits for: requests, and writes that a cancelled request must still finish."""

import asyncio
import logging
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_log = logging.getLogger(__name__)


class InFlight:
    """A gateway's requests in flight, and the work they must finish. requests: their tasks."""

    def __init__(self) -> None:
        self.requests: set[asyncio.Task[Any]] = set()
        self._finishing: set[asyncio.Task[Any]] = set()

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs work to its end, even if the request that awaits it is cancelled."""
        task = asyncio.ensure_future(work)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        return await asyncio.shield(task)

    async def drain(self, within_s: float) -> None:
        """Waits for all of it, up to within_s seconds a step. Cancels requests that do not end in time: one whose
        client stops reading its answer would wait for ever."""
        await _wait(self.requests, within_s)
        for request in tuple(self.requests):
            request.cancel()
        await _wait(self.requests, within_s)
        await _wait(self._finishing, within_s)
        left = len(self.requests) + len(self._finishing)
        if left:
            _log.error("%d requests or their pending work did not end by the stop; their records may be missing", left)


async def _wait(tasks: Collection[asyncio.Task[Any]], within_s: float) -> None:
    if tasks:
        await asyncio.wait(tuple(tasks), timeout=within_s)
