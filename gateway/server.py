"""The HTTP server: uvicorn with httptools, guarded against slow and huge headers, drained at a stop.

A client may offer another protocol, such as HTTP/2 in the clear. A server that does not take the offer ignores it
(RFC 9110, 7.8). httptools takes every offer as accepted, and would read the request's body as the new protocol.
"""

import asyncio
import ctypes
import gc
import signal
import socket
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil
from typing import Any, Final, Literal

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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


_BACKLOG: Final = 1024
_MAX_HEADER_BYTES: Final = 64 * 1024
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Guarded(HttpToolsProtocol):
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
        super().on_message_begin()
        self._arriving = "headers"

    def on_headers_complete(self) -> None:
        if self.parser.offered():
            return
        if sum([len(name) + len(value) for name, value in self.headers], len(self.url)) > _MAX_HEADER_BYTES:
            self._refuse(_TOO_LARGE)
        else:
            self._arriving = "body"
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self.parser.offered():
            return
        self._arriving = ""
        super().on_message_complete()

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


class _Server(uvicorn.Server):
    """uvicorn's server, which exits with 0 after SIGTERM, SIGINT or SIGHUP. A closed terminal (SIGHUP) stops it, unless
    it was started to outlive the terminal, as by nohup."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        stops = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            stops.append(signal.SIGHUP)
        before = {number: signal.signal(number, self.handle_exit) for number in stops}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """A second signal cancels requests; their records are still written."""
        await super().shutdown(sockets)
        if self.force_exit:
            for task in tuple(self.server_state.tasks):
                task.cancel()
            await self.lifespan.shutdown()


def bind(host: str, port: int) -> socket.socket:
    """A bound socket. Raises OSError where the port is in use or not permitted. Until it listens, another process can
    still take the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.set_inheritable(True)
    except OSError:
        listener.close()
        raise
    return listener


def listen(listener: socket.socket) -> None:
    """Lets connections queue. Raises OSError where another process has taken the port meanwhile."""
    try:
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise


DRAIN_S = 20.0
"""How long a stop waits for requests in flight."""


_SWITCH_S = 0.001
"""How long a classifier's thread may keep the interpreter from the event loop. At twice the capacity calls without a
rule waited 7.7 times as long as idle (99th percentile, mean of three runs), with Python's 5 ms 11.8 times."""


_GIVES_BACK: Final = (-3, 1_000_000)
"""M_MMAP_THRESHOLD: glibc gives blocks of so many bytes back; else it keeps what the largest bodies took."""


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serves until SIGTERM, SIGINT or SIGHUP, then finishes what is in flight within `DRAIN_S` seconds. listener: a
    listening socket; uvloop does not report one that is not."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Guarded,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=ceil(DRAIN_S),
        backlog=_BACKLOG,
    )
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(*_GIVES_BACK)
    # loaded modules stay: the collector can skip them, and need not run every few hundred requests
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    sys.setswitchinterval(_SWITCH_S)
    _Server(config).run(sockets=[listener])
