"""Raw ASGI for the hot path: read a bounded body, send a reply, notice a client that goes away."""

import asyncio
from typing import Final

from starlette.types import Receive, Scope, Send

from gateway.errors import ApiError, BadRequest, BodyTooLarge
from gateway.types import Context, Reply
from gateway.wire.errors import error_body

_JSON: Final = (b"content-type", b"application/json")
_WATCH_AFTER_S: Final = 0.25


class ClientGone(Exception):
    """The client closed its connection before its body was read."""


async def read_body(scope: Scope, receive: Receive, *, max_bytes: int) -> bytes:
    """The request's body; the server bounds its time. Raises BodyTooLarge, BadRequest or ClientGone."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > max_bytes:
            raise _too_large(max_bytes)
        if name == b"content-encoding" and value.lower() != b"identity":
            raise BadRequest("a compressed body is not taken; send it as it is")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return b"".join([*parts, part]) if parts else part
        parts.append(part)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is over {max_bytes} bytes (limits.body in gateway.yaml)")


async def send_reply(send: Send, reply: Reply) -> None:
    """Sends a reply; a stream is sent as it comes, and closed however this ends."""
    if reply.chunks is None:
        headers = [*reply.headers, (b"content-length", b"%d" % len(reply.body))]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    try:
        async for chunk in reply.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        close = getattr(reply.chunks, "aclose", None)
        if close is not None:
            await close()
    await send({"type": "http.response.body", "body": b""})


async def send_error(send: Send, error: ApiError) -> None:
    """Sends an error in OpenAI's shape."""
    extra = [(name.encode(), value.encode()) for name, value in error.headers().items()]
    await send_reply(send, Reply(status=error.status, headers=[_JSON, *extra], body=error_body(error)))


class ClientWatch:
    """Cancels the current task when its client goes away. Quick requests never start the watch.

    Use it as a context manager once the body has been read.
    """

    def __init__(self, receive: Receive, context: Context) -> None:
        self._receive = receive
        self._context = context
        self._task: asyncio.Task[object] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(_WATCH_AFTER_S, self._start)

    def __exit__(self, *exc: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        self._task = None

    def _start(self) -> None:
        self._watch = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._task is not None:
            self._context.client_gone = True
            self._task.cancel()
