"""One client's connection: uvicorn's protocol on httptools, guarded against slow and huge requests, and leaner.

A client may offer another protocol, such as HTTP/2 in the clear. A server that does not take the offer ignores it
(RFC 9110, 7.8). httptools takes every offer as accepted, and would read the request's body as the new protocol.

What uvicorn does for each request, and what is done otherwise here because it costs every call: two timers for an idle
connection, two patterns for each header of a reply, two writes, a task's callback, and reading the same URL again.
"""

import asyncio
from array import array
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import unquote

import httptools
from starlette.types import ASGIApp, Message
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.context import BODY_IDLE_S


class OffersIgnored(httptools.HttpRequestParser):
    """Reads a request with an offer twice: as it came, and again from its headers without the offer. Both readings call
    the protocol, which ignores what ends while `offered()`."""

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        super().__init__(protocol)
        self._protocol = protocol
        # as uvicorn sets it: bytes after a request that closes the connection are not that request's fault
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def offered(self) -> bool:
        """Whether the headers just read offer another protocol. A CONNECT is no offer but a request for a tunnel."""
        return self.should_upgrade() and self.get_method() != b"CONNECT"

    def feed_data(self, data: "bytes | bytearray | memoryview | array[int]") -> None:
        """Reads the bytes that arrived. Raises httptools.HttpParserError where they are not HTTP."""
        parser = self
        while data:
            try:
                httptools.HttpRequestParser.feed_data(parser, data)
            except httptools.HttpParserUpgrade as offer:
                if not parser.offered():
                    raise
                data = memoryview(data)[offer.args[0] :]
                head = parser._without_offer()
                # the old parser takes a connection that is not kept alive as ended
                parser = self._protocol.parser = OffersIgnored(self._protocol)
                httptools.HttpRequestParser.feed_data(parser, head)
            else:
                return

    def _without_offer(self) -> bytes:
        head = b"%s %s HTTP/%s\r\n" % (self.get_method(), self._protocol.url, self.get_http_version().encode())
        kept = [b"%s: %s\r\n" % header for header in self._protocol.headers if header[0] != b"upgrade"]
        return b"".join([head, *kept, b"\r\n"])


_STATUS_LINES: Final = {status.value: b"HTTP/1.1 %d %s" % (status, status.phrase.encode()) for status in HTTPStatus}
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_LONGEST_KNOWN: Final = 100
"""Bytes of a URL that is remembered."""


@lru_cache(maxsize=1024)
def _read_url(url: bytes) -> tuple[str, bytes, bytes]:
    """The decoded path, the path as it came, the query. Raises httptools.HttpParserInvalidURLError."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""


class RequestCycle(RequestResponseCycle):
    """One request and its reply. A reply that is whole goes in one write."""

    def __init__(self, connection: "Connection", scope: Any, *, keep_alive: bool) -> None:
        # uvicorn's own takes twelve arguments, of which most are the same for all
        self.scope, self.transport, self.flow = scope, connection.transport, connection.flow
        self.logger, self.on_response = connection.logger, connection.on_response_complete
        self.message_event = asyncio.Event()
        self.keep_alive, self.waiting_for_100_continue = keep_alive, connection.expect_100_continue
        self.body, self.more_body = bytearray(), True
        self.disconnected = self.response_started = self.response_complete = False
        self.chunked_encoding: bool | None = None
        self.expected_content_length = 0
        self.access_log, self.default_headers = False, []
        self._head = b""

    async def receive(self) -> Any:
        """As of ASGI."""
        if self.more_body or self.disconnected or self.response_complete or not self.message_event.is_set():
            return await super().receive()
        # all of it has come
        self.message_event.clear()
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:  # type: ignore[override]
        """As of ASGI."""
        if self.disconnected or self.response_started != (message["type"] == "http.response.body"):
            await super().send(message)  # type: ignore[arg-type]
        elif not self.response_started:
            self.response_started, self.waiting_for_100_continue = True, False
            self._head = self._begun(message["status"], message.get("headers", ()))
            if self.chunked_encoding:
                self._flush()
        elif self.response_complete or self.scope["method"] == "HEAD":
            self._flush()
            await super().send(message)  # type: ignore[arg-type]
        else:
            if self.flow.write_paused:
                self._flush()
                await self.flow.drain()
                if self.transport.is_closing():
                    return
            self._write(message.get("body", b""), more=message.get("more_body", False))

    def _begun(self, status: int, headers: Any) -> bytes:
        ends = not self.keep_alive
        lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status]
        for name, value in headers:
            if name == b"content-length":
                self.expected_content_length, self.chunked_encoding = int(value), False
            elif name == b"connection" and value.lower() == b"close":
                self.keep_alive = ends = False
            lines.append(b"%b: %b" % (name, value))
        if ends:
            lines.append(b"connection: close")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in (204, 304):
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked")
        head = b"\r\n".join(lines)
        if head.count(b"\n") >= len(lines) or head.count(b"\r") >= len(lines) or b"\0" in head:
            raise RuntimeError("a header of the reply has a line break in it")
        return head + b"\r\n\r\n"

    def _flush(self) -> None:
        if self._head:
            self.transport.write(self._head)
            self._head = b""

    def _write(self, body: bytes, *, more: bool) -> None:
        if self.chunked_encoding:
            parts = [self._head, b"%x\r\n" % len(body), body, b"\r\n"] if body else [self._head]
            if not more:
                parts.append(b"0\r\n\r\n")
            data = b"".join(parts)
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (not more and self.expected_content_length):
                raise RuntimeError("the reply is not as long as its content-length")
            data = self._head + body
        self._head = b""
        if data:
            self.transport.write(data)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()


_MAX_HEADER_BYTES: Final = 64 * 1024
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on how slowly and how large a request's headers and body may arrive. Headers that
    are not whole within `header_time_s` seconds, or over 64 KiB, and a body that is not whole within `body_time_s`
    close the connection; where the scope has BODY_IDLE_S, only a body whose next part is that late. A request that
    arrives in one piece costs no timer."""

    header_time_s = 10.0
    body_time_s = 30.0
    _arriving: Literal["", "headers", "body"] = ""
    _timed = ""
    _timer: asyncio.TimerHandle | None = None
    _unended_bytes = 0
    _idle_since = 0.0
    _latest_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.parser: OffersIgnored = OffersIgnored(self)
        self._arriving = "headers"
        self._time_arrival()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arriving = ""
        self._time_arrival()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._timed != self._arriving:
            self._time_arrival()
        elif self._arriving == "body":
            self._latest_s = self.loop.time()
        # the parser keeps a header without an end and does not report it
        self._unended_bytes = self._unended_bytes + len(data) if self._arriving == "headers" else 0
        if self._unended_bytes > 2 * _MAX_HEADER_BYTES:
            self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        self.url, self.headers, self.expect_100_continue = b"", [], False
        scope: Any = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            "headers": self.headers,
            "state": self.app_state,
        }
        self.scope = scope
        self._arriving = "headers"

    def on_headers_complete(self) -> None:
        if self.parser.offered():
            return
        if sum([len(name) + len(value) for name, value in self.headers], len(self.url)) > _MAX_HEADER_BYTES:
            self._refuse(_TOO_LARGE)
        else:
            self._arriving = "body"
            self._begin()

    def _begin(self) -> None:
        scope, url, version = self.scope, self.url, self.parser.get_http_version()
        scope["method"] = self.parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        path = _read_url(url) if len(url) <= _LONGEST_KNOWN else _read_url.__wrapped__(url)
        scope["path"], scope["raw_path"], scope["query_string"] = path
        before, keep_alive = self.cycle, version != "1.0" and self.parser.should_keep_alive()
        self.cycle = RequestCycle(self, scope, keep_alive=keep_alive)
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        task = self.loop.create_task(self._run(cycle, app))
        self.tasks.add(task)

    async def _run(self, cycle: RequestResponseCycle, app: Any) -> None:
        try:
            await cycle.run_asgi(app)
        finally:
            task = asyncio.current_task(self.loop)
            assert task is not None
            self.tasks.discard(task)

    def on_response_complete(self) -> None:
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()

    def leave_idle(self, before: float) -> None:
        """Closes the connection if its last reply ended before a time of the loop's, and nothing came since."""
        idle = not self._arriving and self.cycle is not None and self.cycle.response_complete
        if idle and self._idle_since < before:
            self.transport.close()

    def on_message_complete(self) -> None:
        if self.parser.offered():
            return
        self._arriving = ""
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def _time_arrival(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timed = self._arriving
        if self._arriving == "headers":
            self._timer = self.loop.call_later(self.header_time_s, self.transport.close)
        elif self._arriving == "body":
            self._latest_s = self.loop.time()
            self._timer = self.loop.call_later(self.body_time_s, self._refuse_late_body)

    def _refuse_late_body(self) -> None:
        """Refuses, unless this body may take longer: its parts come on, or wait here for who takes them on."""
        idle_s: Any = self.scope.get(BODY_IDLE_S)
        if idle_s is not None and self.flow.read_paused:
            self._latest_s = self.loop.time()
        left_s = 0.0 if idle_s is None else self._latest_s + idle_s - self.loop.time()
        if left_s > 0:
            self._timer = self.loop.call_later(left_s, self._refuse_late_body)
        else:
            self._refuse(_TOO_SLOW)

    def _refuse(self, answer: bytes) -> None:
        """Sends a ready-made answer, unless one is on its way already, and closes."""
        if self.transport.is_closing():
            return
        last = self.cycle
        late_body = self._arriving == "body"
        if last is None or (not last.response_started if late_body else last.response_complete):
            self.transport.write(answer)
        self.transport.close()
