"""Holds a whole stream back until output rules have read it. Comments keep the connection alive meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from gateway.types import Reply

_HEARTBEAT: Final = b": keep-alive\n\n"
_EVERY_S: Final = 10.0


async def hold(chunks: AsyncIterator[bytes], check: Callable[[bytes], Awaitable[Reply | None]]) -> AsyncIterator[bytes]:
    """The stream as it came where `check` (given all of it) has nothing against it, else the reply's own stream."""

    async def read() -> tuple[bytes, Reply | None]:
        body = b"".join([chunk async for chunk in chunks])
        return body, await check(body)

    task = asyncio.ensure_future(read())
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_EVERY_S)
            if not task.done():
                yield _HEARTBEAT
        body, instead = task.result()
    finally:
        task.cancel()
        # the upstream's stream has ended by the time the request's record is closed
        await asyncio.gather(task, return_exceptions=True)
    if instead is None:
        yield body
    elif instead.chunks is not None:
        async for chunk in instead.chunks:
            yield chunk
