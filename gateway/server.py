"""The HTTP server: uvicorn with the gateway's own connections, drained at a stop."""

import asyncio
import ctypes
import gc
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from gateway.connection import Connection

_IDLE_TICKS: Final = 10
_BACKLOG: Final = 1024


class Server(uvicorn.Server):
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

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second. Now and then closes connections that have been idle for long."""
        if counter % _IDLE_TICKS == 0:
            before = asyncio.get_running_loop().time() - self.config.timeout_keep_alive
            for connection in tuple(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.leave_idle(before)
        return await super().on_tick(counter)

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
        http=Connection,
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
    Server(config).run(sockets=[listener])
