"""Any server that speaks OpenAI's API, over aiohttp."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Final
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from yarl import URL

import gateway
from gateway.context import Headers
from gateway.errors import AnswerLost, AnswerStalled, ApiError, CallDropped, UpstreamFailed, UpstreamTimeout
from gateway.upstreams.base import Answer, UpstreamCall
from gateway.upstreams.stream import Received

_CLIENT_HEADERS: Final = frozenset({b"content-type", b"retry-after", b"retry-after-ms", b"x-should-retry"})
_CLIENT_PREFIXES: Final = (b"x-ratelimit-", b"openai-")
_OPERATOR_HEADERS: Final = frozenset({b"openai-organization", b"openai-project"})
_NEVER_SENT: Final = (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, ValueError)
"""Errors without a connection; ValueError: an invalid address or header."""
_STATUSES: Final = range(200, 600)
MAX_ANSWER_BYTES: Final = 32 * 1024**2
"""The largest answer of an upstream that is read."""
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""Not allowed in a header that is sent on."""

_Protocols = WeakSet[asyncio.Protocol]


class OpenAIUpstream:
    """One base URL with its own connection pool. The pool opens on the first call, inside the running loop.

    A connection that closes before it had the whole call, or soon after it without an answer, has not taken the call.
    stale_s: how soon for a kept connection, which the upstream was most often just closing. at_once_s: for a new one.
    """

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
    ) -> None:
        self.name = name
        self.ask_usage = ask_usage
        self._base_url = base_url.rstrip("/")
        self._urls: dict[str, URL] = {}
        self._max_answer_bytes = max_answer_bytes
        self._stale_s = stale_s
        self._at_once_s = at_once_s
        self._timeout_s = timeout_s
        # connect includes the name look-up
        self._client_timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout_s, sock_read=timeout_s)
        # every header that aiohttp would add by itself, which saves the work on every call
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": f"offramp/{gateway.__version__}",
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None
        self._written_to: _Protocols = WeakSet()

    async def send(self, call: UpstreamCall) -> Answer:
        headers = self._headers
        if call.headers:
            headers = {**headers, **{key.decode("latin-1"): value.decode("latin-1") for key, value in call.headers}}
        sending = _Sending(call.body, self._written_to)
        try:
            response = await self._open().post(
                self._url(call.path), data=sending, headers=headers, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failure(error, sending) from error
        if response.status not in _STATUSES:
            response.close()
            raise UpstreamFailed(f"upstream {self.name} answered with the status {response.status}, which is none")
        client_headers = _client_headers(response)
        if call.stream and response.status == 200 and response.content_type == "text/event-stream":
            return Answer(status=200, headers=client_headers, chunks=self._chunks(response))
        return Answer(status=response.status, headers=client_headers, body=await self._body(response))

    def _failure(self, error: Exception, sending: "_Sending") -> ApiError:
        """The error to raise, by whether the call may have been taken before the answer's first byte."""
        if isinstance(error, _NEVER_SENT):
            return UpstreamFailed(f"upstream {self.name} could not be reached")
        if isinstance(error, TimeoutError):
            return UpstreamTimeout(f"upstream {self.name} did not answer in time")
        unreadable = isinstance(error, aiohttp.ClientResponseError)
        why = "sent an answer that cannot be read" if unreadable else "closed the connection without an answer"
        # an upstream that answers anything was not closing the connection
        soon_s = self._stale_s if sending.kept and not unreadable else self._at_once_s
        return (UpstreamFailed if sending.after_s() < soon_s else CallDropped)(f"upstream {self.name} {why}")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=60),
                timeout=self._client_timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _url(self, path: str) -> URL:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = URL(self._base_url + path)
        return url

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        received = Received(response, timeout_s=self._timeout_s)
        parts: list[bytes] = []
        size, announced = 0, response.content_length or 0
        try:
            async with response:
                while max(size, announced) <= self._max_answer_bytes:
                    part = await received.next()
                    if not part:
                        return b"".join(parts)
                    parts.append(part)
                    size += len(part)
                response.close()
        except TimeoutError as error:
            # an upstream that refuses a call has not taken it
            stalled = AnswerStalled if response.ok else UpstreamTimeout
            raise stalled(f"upstream {self.name} did not finish its answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            lost = AnswerLost if response.ok else UpstreamFailed
            raise lost(f"upstream {self.name} broke off its answer") from error
        finally:
            received.leave()
        raise AnswerLost(f"upstream {self.name} sent an answer over {self._max_answer_bytes} bytes")

    async def _chunks(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        received = Received(response, timeout_s=self._timeout_s)
        whole = False
        try:
            while chunk := await received.next():
                yield chunk
            whole = True
        except TimeoutError as error:
            raise UpstreamTimeout(f"upstream {self.name} fell silent in mid-stream") from error
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise UpstreamFailed(f"upstream {self.name} broke off in mid-stream") from error
        finally:
            received.leave()
            # a stream that the client left must not go on upstream
            if whole:
                response.release()
            else:
                response.close()


class _Sending(aiohttp.BytesPayload):
    """A call's body on its way. written_to: connections that bodies were written to before.

    kept: whether its connection was opened for an earlier call. aiohttp's traces know it too, for 14 µs a call.
    """

    def __init__(self, body: bytes, written_to: _Protocols) -> None:
        super().__init__(body)
        self.kept = False
        self._written_to = written_to
        self._sent: float | None = None

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        assert isinstance(writer, StreamWriter)
        self.kept = writer.protocol in self._written_to
        if not self.kept:
            self._written_to.add(writer.protocol)
        await super().write_with_length(writer, content_length)
        self._sent = time.perf_counter()

    def after_s(self) -> float:
        """Seconds since all of it was sent; negative before."""
        return -1.0 if self._sent is None else time.perf_counter() - self._sent


def _client_headers(response: aiohttp.ClientResponse) -> Headers:
    headers: Headers = []
    for key, value in response.raw_headers:
        name = key.lower()
        if name == b"x-request-id":
            name = b"x-upstream-request-id"
        elif name not in _CLIENT_HEADERS and (not name.startswith(_CLIENT_PREFIXES) or name in _OPERATOR_HEADERS):
            continue
        if not _CONTROL.search(value):
            headers.append((name, value))
    return headers
