"""The gateway's own HTTP/1.1 client: calls with a body in memory, over kept connections to one address.

It knows no proxies, redirects, cookies and bodies that come in parts; aiohttp is there for these.
"""

import asyncio
import re
import socket
import ssl
import zlib
from collections.abc import Awaitable
from contextlib import suppress
from functools import cached_property, lru_cache
from typing import Any, Final, cast

import httptools
from aiohappyeyeballs import start_connection
from yarl import URL

from gateway.context import Headers
from gateway.errors import ApiError
from gateway.upstreams.base import CONTROL, STATUSES, Address, Answer, UpstreamCall, public_name

_MAX_HEAD_BYTES: Final = 64 * 1024
"""Of an answer's headers and trailers together, and of what comes in one piece and is no body."""
_MAX_KEPT: Final = 512
_MAX_IDLE_S: Final = 60.0
_MAX_WAITING_BYTES: Final = 128 * 1024
"""Of a stream whose client is slower than the upstream."""
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"content-encoding"})
_LENIENT: Final = {"lenient_headers", "lenient_optional_cr_before_lf", "lenient_spaces_after_chunk_size"}
_EVENTS: Final = re.compile(rb"text/event-stream\s*(;|$)", re.IGNORECASE)
_Future = asyncio.Future[Answer]


class Http1Client:
    """A client on httptools. One look at all connections, once in a while, stands for a timer for each call."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._own = [(name.encode(), value.encode()) for name, value in address.headers.items()]
        self._names = frozenset(name.lower() for name, _ in self._own)
        self._heads: dict[tuple[str, str], bytes] = {}
        self._resolved, self._resolve_at = list[Any](), 0.0
        self._opened: set[_Connection] = set()
        self._kept: list[_Connection] = []
        self._pause_s = min(1.0, address.timeout_s / 10)
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, call: UpstreamCall, headers: Headers) -> Answer:
        try:
            head = self._head(call, headers)
        except ValueError as error:
            raise self._address.unreached() from error
        connection, body = self._take() or await self._connect(), call.body
        answer: _Future = connection.loop.create_future()
        exchange = _Exchange(self._address, connection, answer, stream=call.stream)
        connection.send(b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body), exchange)
        try:
            return await answer
        except asyncio.CancelledError:
            exchange.leave()
            raise

    def _head(self, call: UpstreamCall, headers: Headers) -> bytes:
        """The head of a call up to its length, which comes last. Raises ValueError."""
        instead = self._names.intersection([name for name, _ in headers]) if headers else None
        head = None if instead else self._heads.get((call.method, call.path))
        if head is None:
            url = URL(self._address.base_url + call.path)
            line = f"{call.method} {url.raw_path_qs} HTTP/1.1\r\nHost: {url.host_port_subcomponent}".encode()
            head = line + _lines([one for one in self._own if not instead or one[0].lower() not in instead])
            # a query is the client's, who may send ever new ones
            if not instead and "?" not in call.path:
                self._heads[call.method, call.path] = head
        return head + _lines(headers) if headers else head

    def _take(self) -> "_Connection | None":
        while self._kept:
            if not (connection := self._kept.pop()).closed:
                return connection
        return None

    async def _connect(self) -> "_Connection":
        loop, new = asyncio.get_running_loop(), lambda: _Connection(loop, self._opened, self._kept)
        try:
            url = URL(self._address.base_url)
            tls, host = self._tls if url.scheme == "https" else None, url.raw_host or ""
            async with asyncio.timeout(self._address.connect_timeout_s):
                if loop.time() >= self._resolve_at:
                    self._resolved = await loop.getaddrinfo(host, url.port or 0, type=socket.SOCK_STREAM)
                    self._resolve_at = loop.time() + 300.0
                # within 0.25 s, the next address of the name is tried too
                link = await start_connection(self._resolved, happy_eyeballs_delay=0.25, interleave=1, loop=loop)
                try:
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    named = host.rstrip(".") if tls else None
                    _, made = await loop.create_connection(new, sock=link, ssl=tls, server_hostname=named)
                except BaseException:
                    link.close()
                    raise
        except (OSError, ValueError) as error:
            self._resolve_at = 0.0
            raise self._address.unreached() from error
        if self._timer is None:
            self._timer = loop.call_later(self._pause_s, self._check, loop)
        return made

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        for connection in list(self._opened):
            connection.check(loop.time(), self._address.timeout_s)
        self._timer = loop.call_later(self._pause_s, self._check, loop) if self._opened else None

    async def close(self) -> None:
        for connection in list(self._opened):
            connection.transport.abort()
        await asyncio.sleep(0)


class _Connection(asyncio.Protocol):
    """One connection: a call at a time. kept: whether it had a call before. since: when it began to wait. opened: all
    of its client's that are open; pool: those of them that wait for a call."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop, opened: "set[_Connection]", pool: "list[_Connection]") -> None:
        self.loop = loop
        self.opened = opened
        self.pool = pool
        self.exchange: _Exchange | None = None
        self.closed = self.kept = False
        self.since = 0.0
        self.sent_s: float | None = None

    def send(self, call: bytes, exchange: "_Exchange") -> None:
        self.exchange = exchange
        self.since = self.loop.time()
        if self.closed:
            exchange.end()
            return
        self.sent_s = self.since
        self.transport.write(call)

    def check(self, now_s: float, timeout_s: float) -> None:
        """Ends what has lasted too long."""
        if self.exchange is None:
            if now_s - self.since >= _MAX_IDLE_S:
                self.close()
        elif now_s - self.since >= timeout_s:
            self.exchange.expire()

    def free(self, *, reusable: bool) -> None:
        """Its answer is whole. A call that is not all sent yet leaves its rest in it."""
        self.exchange = None
        sent = not self.closed and not self.transport.get_write_buffer_size()
        if sent and reusable and len(self.pool) < _MAX_KEPT:
            self.kept, self.since = True, self.loop.time()
            self.pool.append(self)
        else:
            self.close()

    def close(self) -> None:
        self.closed = True
        self.transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes
        self.transport = cast("asyncio.Transport", transport)
        self.opened.add(self)

    def data_received(self, data: bytes) -> None:
        if self.exchange is not None:
            self.exchange.feed(data)
        else:
            # nothing was asked
            self.close()

    def eof_received(self) -> None:
        self.closed = True
        if self.exchange is not None:
            self.exchange.end()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self.opened.discard(self)
        with suppress(ValueError):
            self.pool.remove(self)
        if self.exchange is not None:
            self.exchange.end(error)

    def pause_writing(self) -> None:
        self.sent_s = None

    def resume_writing(self) -> None:
        self.sent_s = self.loop.time()


class _Exchange:
    """A call on its way, and what has come of its answer: httptools calls the methods `on_…`.

    answer: is resolved by a whole answer, or by the head of a stream, whose parts `read` gives then. Nothing of it is
    in a circle once it has ended: a stream that nobody reads ends by being forgotten."""

    def __init__(self, address: Address, connection: _Connection, answer: _Future, *, stream: bool) -> None:
        self._answer: _Future | None = answer
        self._connection = connection
        self._address = address
        self._parser: Any = httptools.HttpResponseParser(self)
        # what is odd and clear is read, as aiohttp does: the answer has been paid for
        self._parser.set_dangerous_leniencies(**dict.fromkeys(_LENIENT, True))
        self._may_stream = stream
        self._streams = self._complete = self._surplus = self._reusable = self._paused = False
        self._status = 0
        self._headers: Headers = []
        self._framing: dict[bytes, bytes] = {}
        self._head_bytes = self._bare_bytes = self._raw_bytes = self._size = 0
        self._parts: list[bytes] = []
        self._inflater: Any = None
        self._error: ApiError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        before = self._raw_bytes
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail(self._address.no_status(self._parser.get_status_code()))
        except httptools.HttpParserError as error:
            self._surplus = True
            if not self._complete:
                self.fail(self._broken(str(error)))
        if self._error is not None:
            return
        if self._complete:
            self._finish()
        elif self._raw_bytes != before:
            self._bare_bytes = 0
            if self._streams:
                self._wake()
        else:
            self._bare_bytes += len(data)
            if self._bare_bytes > _MAX_HEAD_BYTES:
                self.fail(self._broken("its headers have no end"))

    def on_message_begin(self) -> None:
        self._surplus = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > _MAX_HEAD_BYTES and not self._complete:
            self.fail(self._broken("its headers have no end"))
        kind = _kind(name)
        if not kind or self._status:
            return
        if kind in _FRAMING:
            self._framing[kind] = value
        elif not CONTROL.search(value):
            self._headers.append((kind, value))

    def on_headers_complete(self) -> None:
        if self._error is not None or self._complete:
            return
        status = self._parser.get_status_code()
        if status < STATUSES.start:
            # of a message that only announces another
            self._headers, self._framing = [], {}
            return
        if status not in STATUSES:
            self.fail(self._address.no_status(status))
            return
        self._status, self._reusable = status, self._parser.should_keep_alive()
        kind = next((value for name, value in self._headers if name == b"content-type"), b"")
        streams = self._may_stream and status == 200 and _EVENTS.match(kind) is not None
        self._open_body(bound=not streams)
        if streams and self._error is None:
            self._streams = True
            self._resolve(Answer(status=200, headers=self._headers, chunks=_Chunks(self)))

    def _open_body(self, *, bound: bool) -> None:
        framing = self._framing
        if framing.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            self.fail(self._broken("its transfer encoding is not known"))
        elif bound and int(framing.get(b"content-length", b"0")) > self._address.max_answer_bytes:
            self.fail(self._address.too_long())
        encoding = framing.get(b"content-encoding", b"").strip().lower()
        if encoding in (b"gzip", b"x-gzip", b"deflate"):
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
        elif encoding not in (b"", b"identity"):
            self.fail(self._broken("its content is encoded, which was not asked for"))

    def on_body(self, data: bytes) -> None:
        self._raw_bytes += len(data)
        if self._error is not None or self._complete:
            return
        limit = self._address.max_answer_bytes
        if self._inflater is not None:
            try:
                data = self._inflater.decompress(data, limit + 1)
            except zlib.error:
                self.fail(self._broken("its compressed content is damaged"))
                return
        if data:
            self._size += len(data)
            self._parts.append(data)
        if (self._size > limit and not self._streams) or (self._inflater and self._inflater.unconsumed_tail):
            self.fail(self._address.too_long())

    def on_message_complete(self) -> None:
        self._complete = self._status != 0

    def end(self, error: Exception | None = None) -> None:
        """The upstream has closed the connection."""
        ends_there = self._status and not self._framing.keys() & {b"content-length", b"transfer-encoding"}
        if ends_there and error is None:
            self._complete, self._reusable = True, False
            self._finish()
        elif self._status or self._bare_bytes:
            self.fail(self._broken(), error)
        else:
            kept, sent_s = self._connection.kept, self._connection.sent_s
            after_s = -1.0 if sent_s is None else self._connection.loop.time() - sent_s
            self.fail(self._address.unanswered(kept=kept, after_s=after_s), error)

    def _finish(self) -> None:
        if self._inflater is not None and not self._inflater.eof:
            self.fail(self._broken())
            return
        self._parser = None
        self._connection.free(reusable=self._reusable and not self._surplus)
        if self._streams:
            self._wake()
        else:
            body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._resolve(Answer(status=self._status, headers=self._headers, body=body))

    def _resolve(self, result: Answer | ApiError) -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return
        if isinstance(result, ApiError):
            answer.set_exception(result)
            # whoever asked may have left by now
            answer.exception()
        else:
            answer.set_result(result)

    def fail(self, error: ApiError, cause: BaseException | None = None) -> None:
        if self._error is not None or self._connection.exchange is not self:
            return
        error.__cause__ = cause
        self._error = error
        self.leave()
        self._resolve(error)
        self._wake()

    def leave(self) -> None:
        """Ends the call at the upstream, where it has not ended yet."""
        if self._connection.exchange is self:
            self._connection.exchange = None
            self._connection.closed = True
            self._connection.transport.abort()
            self._parser = None

    def expire(self) -> None:
        """Ends it where somebody waits for more just now; a client that reads slowly does not."""
        if not self._streams or self._waiter is not None:
            self.fail(self._address.late(self._status, stream=self._streams))

    def _broken(self, why: str = "") -> ApiError:
        if not self._status:
            return self._address.unreadable(why or "its head is cut off")
        return self._address.broken_off(self._status, why, stream=self._streams)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        elif self._connection.exchange is self and not self._paused and self._size > _MAX_WAITING_BYTES:
            self._paused = True
            self._connection.transport.pause_reading()

    async def read(self) -> bytes:
        """What has come of a stream. Raises StopAsyncIteration at its end, UpstreamFailed or UpstreamTimeout."""
        if not self._parts and self._connection.exchange is self:
            self._connection.since = self._connection.loop.time()
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if not self._parts:
            raise self._error or StopAsyncIteration
        chunk = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            if self._connection.exchange is self:
                self._connection.transport.resume_reading()
        return chunk

    def drop(self) -> None:
        """As `leave`, from any thread: a stream that nobody reads is collected wherever memory is."""
        if self._connection.exchange is self:
            with suppress(RuntimeError):
                self._connection.loop.call_soon_threadsafe(self.leave)


class _Chunks:
    """A stream's bytes as they come, in the hands of one reader."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    def __aiter__(self) -> "_Chunks":
        return self

    def __anext__(self) -> Awaitable[bytes]:
        return self._exchange.read()

    async def aclose(self) -> None:
        self._exchange.leave()

    def __del__(self) -> None:
        self._exchange.drop()


def _lines(headers: Headers) -> bytes:
    """Raises ValueError where one would be more than a line."""
    if any(CONTROL.search(value) or CONTROL.search(name) for name, value in headers):
        raise ValueError("a header has control characters")
    return b"".join([b"\r\n%b: %b" % header for header in headers])


@lru_cache(maxsize=512)
def _kind(name: bytes) -> bytes:
    """By what name a header counts: as a client sees it, or as it frames the body; empty where it does not."""
    lower = name.lower()
    return lower if lower in _FRAMING else public_name(name)
