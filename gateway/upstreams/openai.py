"""Any server that speaks OpenAI's API, or Anthropic's, over the gateway's own HTTP client or aiohttp."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any, Final, Literal
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from yarl import URL

import gateway
from gateway.context import Headers
from gateway.errors import ApiError, UpstreamFailed
from gateway.upstreams.base import CONTROL, STATUSES, Address, Answer, UpstreamCall, public_name
from gateway.upstreams.http1 import Http1Client

TRAVELS: Final = frozenset({b"openai-beta", b"idempotency-key", b"x-client-request-id"})
"""A client's headers that go on with every call, besides those of Anthropic's."""
_ANTHROPICS: Final = b"anthropic-"
SPEAKS: Final = {
    "openai": frozenset({"chat.completions", "responses", "completions", "embeddings"}),
    "anthropic": frozenset({"messages", "messages.count_tokens"}),
}
"""By kind, the endpoints of the wire formats that its servers take."""
MAX_ANSWER_BYTES: Final = 32 * 1024**2
"""The largest answer of an upstream that is read."""
_NEVER_SENT: Final = (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, ValueError)
"""Errors without a connection; ValueError: an invalid address or header."""


class OpenAIUpstream:
    """One base URL. client: which one sends its calls; what is passed on as it comes is sent by aiohttp."""

    notional = False

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        api_key: str = "",
        connect_timeout_s: float = 5.0,
        timeout_s: float = 600.0,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        ask_usage: bool = True,
        stale_s: float = 1.0,
        at_once_s: float = 0.1,
        client_keys: bool = False,
        client_headers: Collection[str] = (),
        kind: Literal["openai", "anthropic"] = "openai",
        client: Literal["http1", "aiohttp"] = "http1",
    ) -> None:
        """client_headers: names of a client's headers that go on, besides TRAVELS. kind: whose API it is."""
        self.name = name
        self.speaks = SPEAKS[kind]
        self.ask_usage = ask_usage
        self.client_keys = client_keys
        self.timeout_s = timeout_s
        self.client_headers = frozenset(name.encode() for name in client_headers)
        # every header that aiohttp would add by itself, which saves the work on every call
        headers = {
            "Content-Type": "application/json",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": f"offramp/{gateway.__version__}",
        }
        key = ("Authorization", f"Bearer {api_key}")
        if kind == "anthropic":
            # of a client that names its version, that one goes
            key, headers["anthropic-version"] = ("x-api-key", api_key), "2023-06-01"
        self._own = [(key[0].lower().encode(), key[1].encode())] if api_key else []
        if api_key and not client_keys:
            headers[key[0]] = key[1]
        address = Address(
            upstream=name,
            base_url=base_url.rstrip("/"),
            headers=headers,
            connect_timeout_s=connect_timeout_s,
            timeout_s=timeout_s,
            max_answer_bytes=max_answer_bytes,
            stale_s=stale_s,
            at_once_s=at_once_s,
        )
        self._passing = AiohttpClient(address)
        self._client: AiohttpClient | Http1Client = self._passing if client == "aiohttp" else Http1Client(address)

    async def send(self, call: UpstreamCall) -> Answer:
        headers = self._sent(call) if call.headers or self.client_keys else []
        answer = await self._client.ask(call, headers)
        answer.wire, answer.clients_key = call.wire, self.client_keys and call.credentials is not None
        return answer

    async def pass_on(
        self, method: str, target: str, headers: Headers, body: AsyncIterator[bytes] | None, credentials: Headers | None
    ) -> Answer:
        """Sends a call whose body goes as it comes; the answer's bytes are left as they are. target: path and query.
        credentials: as of an UpstreamCall. Raises UpstreamFailed or UpstreamTimeout; nothing is tried again."""
        return await self._passing.pass_on(method, target, [*headers, *self._keys(credentials)], body)

    def _keys(self, credentials: Headers | None) -> Headers:
        """The headers with keys, where clients bring theirs. Raises UpstreamFailed."""
        if not self.client_keys or credentials is not None:
            return credentials if self.client_keys and credentials else []
        if not self._own:
            raise UpstreamFailed(f"upstream {self.name} takes clients' keys, and has none of the gateway's own")
        return self._own

    def _sent(self, call: UpstreamCall) -> Headers:
        """The headers of a call. With the gateway's own key none goes that may belong to the client's."""
        listed = self.client_headers if call.credentials is not None or not self.client_keys else ()
        return [
            *(one for one in call.headers if one[0] in TRAVELS or one[0] in listed or one[0].startswith(_ANTHROPICS)),
            *self._keys(call.credentials),
        ]

    async def close(self) -> None:
        await self._client.close()
        await self._passing.close()


class AiohttpClient:
    """A client on aiohttp, which also takes bodies as they come."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._urls: dict[str, URL] = {}
        self._session: aiohttp.ClientSession | None = None
        self._written_to: WeakSet[asyncio.Protocol] = WeakSet()
        self._waits = _Waits(address.timeout_s)

    async def ask(self, call: UpstreamCall, headers: Headers) -> Answer:
        sending = _Sending(call.body, self._written_to)
        try:
            with self._waits.on(sending):
                url = self._urls.get(call.path) or self._url(call.path)
                ask, sent = self._open().request, _decoded(headers) if headers else None
                response = await ask(call.method, url, data=sending, headers=sent, allow_redirects=False)
                sending.response = self._checked(response)
                seen = _client_headers(response)
                if call.stream and response.status == 200 and response.content_type == "text/event-stream":
                    return Answer(status=200, headers=seen, chunks=self._chunks(sending, response))
                return Answer(status=response.status, headers=seen, body=await self._body(response))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if sending.response is None:
                raise self._failure(error, sending) from error
            status, late = sending.response.status, isinstance(error, TimeoutError)
            raise (self._address.late(status) if late else self._address.broken_off(status)) from error

    async def pass_on(self, method: str, target: str, headers: Headers, body: AsyncIterator[bytes] | None) -> Answer:
        """As of OpenAIUpstream."""
        sending = _Sending(b"", self._written_to)
        # from here on it may have been taken
        sending.sent_s = 0.0
        parts = None if body is None else _timed(body, sending)
        url, sent = URL(self._address.base_url + target, encoded=True), _decoded(headers)
        try:
            with self._waits.on(sending):
                response = await self._open().request(
                    method, url, data=parts, headers=sent, allow_redirects=False, auto_decompress=False
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failure(error, sending) from error
        sending.response = self._checked(response)
        seen = _client_headers(response, passed=True)
        return Answer(status=response.status, headers=seen, chunks=self._chunks(sending, response))

    def _checked(self, response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
        """The response itself. Raises UpstreamFailed where its status is none."""
        if response.status not in STATUSES:
            response.close()
            raise self._address.no_status(response.status)
        return response

    def _failure(self, error: Exception, sending: "_Sending") -> ApiError:
        """The error to raise, by whether the call may have been taken before the answer's first byte."""
        if isinstance(error, _NEVER_SENT):
            return self._address.unreached()
        if isinstance(error, TimeoutError):
            return self._address.late(0)
        # where a head began, the message of a disconnection is what came of it
        cut = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)
        if cut or isinstance(error, aiohttp.ClientResponseError):
            return self._address.unreadable("its head is cut off" if cut else "")
        return self._address.unanswered(kept=sending.kept, after_s=sending.after_s())

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # name look-ups and connections are timed by themselves: a timer for each call costs more than it guards
            within_s = self._address.connect_timeout_s
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, ttl_dns_cache=300, keepalive_timeout=60, resolver=_Resolver(within_s)
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=within_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._address.headers,
            )
        return self._session

    def _url(self, path: str) -> URL:
        url = URL(self._address.base_url + path)
        if "?" not in path:
            # a query is the client's, who may send ever new ones
            self._urls[path] = url
        return url

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        size, announced = 0, response.content_length or 0
        try:
            while max(size, announced) <= self._address.max_answer_bytes:
                part = await response.content.readany()
                if not part:
                    return parts[0] if len(parts) == 1 else b"".join(parts)
                parts.append(part)
                size += len(part)
        finally:
            # a whole answer has given its connection back by now
            response.close()
        raise self._address.too_long()

    async def _chunks(self, sending: "_Sending", response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            while True:
                with self._waits.on(sending):
                    chunk = await response.content.readany()
                if not chunk:
                    return
                yield chunk
        except TimeoutError as error:
            raise self._address.late(response.status, stream=True) from error
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise self._address.broken_off(response.status, stream=True) from error
        finally:
            # a stream that the client left must not go on upstream
            response.close()


class _Resolver(aiohttp.ThreadedResolver):
    """Looks names up within a time."""

    def __init__(self, within_s: float) -> None:
        super().__init__()
        self._within_s = within_s

    async def resolve(self, *name: Any, **more: Any) -> Any:
        try:
            async with asyncio.timeout(self._within_s):
                return await super().resolve(*name, **more)
        except TimeoutError as error:
            raise OSError("the name was not found in time") from error


async def _timed(parts: AsyncIterator[bytes], sending: "_Sending") -> AsyncIterator[bytes]:
    """The parts of a body; each that comes, or is taken by the upstream, begins the wait anew."""
    async for part in parts:
        sending.wait()
        yield part
        sending.wait()


class _Sending(aiohttp.BytesPayload):
    """A call's body on its way, and the wait for its answer. written_to: connections that had bodies before. kept:
    whether its connection was opened for an earlier call. aiohttp's traces know it too, for 14 µs a call."""

    def __init__(self, body: bytes, written_to: WeakSet[asyncio.Protocol]) -> None:
        super().__init__(body)
        self.kept = self.late = False
        self.since = 0.0
        self.sent_s: float | None = None
        self.task: asyncio.Task[Any] | None = None
        self.response: aiohttp.ClientResponse | None = None
        self._written_to = written_to
        self._loop = asyncio.get_running_loop()

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        assert isinstance(writer, StreamWriter)
        self.kept = writer.protocol in self._written_to
        if not self.kept:
            self._written_to.add(writer.protocol)
        await super().write_with_length(writer, content_length)
        self.sent_s = self._loop.time()

    def wait(self) -> None:
        """Begins to wait for the next bytes."""
        self.since = self._loop.time()

    def after_s(self) -> float:
        """Seconds since all of it was sent; negative before."""
        return -1.0 if self.sent_s is None else self._loop.time() - self.sent_s

    def broken(self) -> bool:
        """Whether what came in mid-answer is no HTTP: aiohttp tells its connection, but not who reads the answer."""
        if self.response is None or self.response.content.is_eof():
            return False
        connection = self.response.connection
        return connection is None or connection.protocol is None or connection.protocol.exception() is not None


class _Waits:
    """Ends waits that last too long. One look at all of them costs less than a timer for each."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._open: set[_Sending] = set()
        self._timer: asyncio.TimerHandle | None = None

    def on(self, sending: _Sending) -> "_Wait":
        """A context manager around one wait; raises TimeoutError where it lasts too long."""
        if self._timer is None:
            self._timer = self._schedule()
        return _Wait(self._open, sending)

    def _schedule(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(min(1.0, self._timeout_s / 10), self._check)

    def _check(self) -> None:
        now = asyncio.get_running_loop().time()
        for sending in self._open:
            if sending.broken() and sending.response is not None:
                sending.response.content.set_exception(aiohttp.ClientPayloadError("the answer cannot be read on"))
            elif now - sending.since >= self._timeout_s and sending.task is not None and not sending.late:
                sending.late = True
                sending.task.cancel()
        self._timer = self._schedule() if self._open else None


class _Wait:
    __slots__ = ("_open", "_sending")

    def __init__(self, open_: set[_Sending], sending: _Sending) -> None:
        self._open = open_
        self._sending = sending

    def __enter__(self) -> None:
        self._sending.task = asyncio.current_task()
        self._sending.wait()
        self._open.add(self._sending)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._open.discard(self._sending)
        task, self._sending.task = self._sending.task, None
        if self._sending.late and task is not None and task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError


def _decoded(headers: Headers) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def _client_headers(response: aiohttp.ClientResponse, *, passed: bool = False) -> Headers:
    named = [(public_name(key, passed), value) for key, value in response.raw_headers]
    return [(name, value) for name, value in named if name and not CONTROL.search(value)]
