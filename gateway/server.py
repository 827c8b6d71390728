"""The HTTP server: uvicorn with httptools, guarded against slow and huge headers, drained on SIGTERM."""

import asyncio
import socket
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MAX_HEADER_BYTES: Final = 64 * 1024
_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Guarded(HttpToolsProtocol):
    """uvicorn's protocol, which closes a connection whose headers are not whole within `header_time_s` seconds or
    are over 64 KiB.
    """

    header_time_s = 10.0
    _header_timer: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._header_timer = self.loop.call_later(self.header_time_s, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = 0
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.header_time_s, self.transport.close)

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_timer()
        if self._header_bytes <= _MAX_HEADER_BYTES:
            super().on_headers_complete()

    def _count(self, size: int) -> None:
        before, self._header_bytes = self._header_bytes, self._header_bytes + size
        if before <= _MAX_HEADER_BYTES < self._header_bytes:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError where the port is in use or may not be had."""
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


def serve(app: ASGIApp, listener: socket.socket, *, header_time_s: float, drain_s: float) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what is in flight within `drain_s` seconds."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=type("Guarded", (Guarded,), {"header_time_s": header_time_s}),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(drain_s)),
        backlog=1024,
    )
    server: Any = uvicorn.Server(config)
    server.run(sockets=[listener])
