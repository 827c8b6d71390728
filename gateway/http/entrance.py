"""Where requests come in: each gets its id and its path in plain form, is let in or not, and goes to who serves it.

One layer: each layer of ASGI costs every call, and wraps every chunk of a stream.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.context import CREDENTIALS, HEADERS, ID_HEADERS, RECORDED, REQUEST_ID, TASK
from gateway.drain import InFlight
from gateway.errors import ApiError
from gateway.http.asgi import DEPLOYMENT, send_error
from gateway.http.auth import Access
from gateway.log import RequestLog
from gateway.protocols.served import wire_at
from gateway.protocols.wire import Wire
from gateway.record import Record

_DIGITS: Final = 24
_AT_ONCE: Final = 256

Serving = Callable[[Scope, Wire | None], tuple[ASGIApp, bool]]
"""Who serves a request, and whether its replies have the headers with the id already."""


def request_ids() -> Iterator[str]:
    """Fresh ids without end: `req_` and 24 hex digits. The system is asked for many at once, which costs as one."""
    while True:
        digits = os.urandom(_DIGITS // 2 * _AT_ONCE).hex()
        for place in range(0, len(digits), _DIGITS):
            yield "req_" + digits[place : place + _DIGITS]


class Entrance:
    """Pure ASGI. What is in flight is known to `in_flight`, for which a stop waits."""

    def __init__(self, serving: Serving, access: Access, in_flight: InFlight, log: RequestLog | None = None) -> None:
        """log: gets a line here for each request without a record."""
        self._serving, self._log = serving, log
        self._access = access
        self._in_flight = in_flight
        self._ids = request_ids()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._serving(scope, None)[0](scope, receive, send)
            return
        request_id = scope[REQUEST_ID] = next(self._ids)
        wire = wire_at(scope["path"])
        if wire is None:
            _rewrite_path(scope)
            wire = wire_at(scope["path"])
        named = scope[ID_HEADERS] = [(b"x-request-id", request_id.encode())]
        if wire is not None and wire.id_header:
            named.append((wire.id_header, named[0][1]))
        headers = scope[HEADERS] = dict(scope["headers"])
        try:
            scope[CREDENTIALS] = self._access.admit(scope["path"], headers)
        except ApiError as error:
            self._note(scope, error.status, time.time())
            await send_error(scope, send, error)
            return
        app, named_already = self._serving(scope, wire)
        # without a loop it asks for the running one, which up to Python 3.11 costs a system call
        self._loop = self._loop or asyncio.get_running_loop()
        task = scope[TASK] = asyncio.current_task(self._loop)
        assert task is not None
        self._in_flight.requests.add(task)
        try:
            await app(scope, receive, send if named_already else self._naming(scope, send))
        finally:
            self._in_flight.requests.discard(task)

    def _naming(self, scope: Scope, send: Send) -> Send:
        """A `send` that gives replies the headers with the request's id, and logs those without a record."""
        at = time.time()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *scope[ID_HEADERS]]
                if RECORDED not in scope:
                    self._note(scope, message["status"], at)
            await send(message)

        return send_with_id

    def _note(self, scope: Scope, status: int, at: float) -> None:
        if self._log is not None:
            record = Record(request_id=scope[REQUEST_ID], at=at, endpoint="", status=status)
            self._log.add([(record, time.time() - at, scope["method"], scope["path"])])


def _rewrite_path(scope: Scope) -> None:
    """Takes extra slashes out of the scope's path, and Azure's beginning: `/openai/deployments/MODEL/chat/completions`
    is `/chat/completions`, and MODEL the model of a body that names none."""
    path: str = scope["path"]
    if "//" in path or (path.endswith("/") and path != "/"):
        scope["path"] = path = "/" + "/".join(filter(None, path.split("/")))
    if path.startswith("/openai/"):
        scope["path"] = path = path.removeprefix("/openai")
        if path.startswith("/deployments/"):
            _, _, scope[DEPLOYMENT], tail = (*path.split("/", 3), "")[:4]
            scope["path"] = f"/{tail}"
