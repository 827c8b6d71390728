"""Upstreams: configured targets that a call can be sent to, and what their HTTP clients share."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

from gateway.answers.parse import Completion
from gateway.context import Headers, UpstreamModel
from gateway.errors import AnswerLost, AnswerStalled, ApiError, CallDropped, UpstreamFailed, UpstreamTimeout
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.wire import Wire

STATUSES: Final = range(200, 600)
CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""Not allowed in a header that is sent on."""
_CLIENT_HEADERS: Final = frozenset({b"content-type", b"retry-after", b"retry-after-ms", b"x-should-retry"})
_CLIENT_PREFIXES: Final = (b"x-ratelimit-", b"openai-", b"anthropic-")
_OPERATOR_HEADERS: Final = frozenset({b"openai-organization", b"openai-project", b"anthropic-organization-id"})
_PASSED_HEADERS: Final = frozenset({
    b"accept-ranges", b"cache-control", b"content-disposition", b"content-encoding", b"content-language",
    b"content-length", b"content-range", b"etag", b"last-modified",
})  # fmt: skip
"""Of an answer that is passed on as it comes."""


@dataclass(slots=True, kw_only=True)
class UpstreamCall:
    """A call to forward. body: the client's JSON with the upstream's model name, in the wire format; headers: those of
    the client that may be sent on; credentials: its own keys, for an upstream that takes them; None of the gateway's
    own calls."""

    model: UpstreamModel
    body: bytes
    stream: bool
    wire: Wire = CHAT
    method: str = "POST"
    path: str = CHAT.path
    headers: Headers = field(default_factory=list)
    credentials: Headers | None = None


Listener = Callable[[Completion | None], Awaitable[None]]
"""Is given an upstream's completion; None of a stream that broke off, was left, or is over 1 MiB."""


@dataclass(kw_only=True, slots=True)
class Answer:
    """An upstream's answer: a whole body, or chunks of bytes as they come. headers: those that a client may see.
    wire: the format of the call. clients_key: whether the call had the client's own key. listeners: get the completion
    of a stream once it has passed."""

    status: int
    headers: Headers
    body: bytes = b""
    wire: Wire = CHAT
    clients_key: bool = False
    chunks: AsyncIterator[bytes] | None = None
    listeners: list[Listener] = field(default_factory=list)

    _completion: Completion | None = None

    @property
    def completion(self) -> Completion:
        """A whole answer's completion."""
        if self._completion is None:
            self._completion = Completion(self.body, self.wire, stream=False)
        return self._completion

    async def listen(self, listener: Listener) -> None:
        """Gives the listener the completion: now where the answer is whole, else at the stream's end."""
        if self.chunks is None:
            await listener(self.completion)
        else:
            self.listeners.append(listener)


class Upstream(Protocol):
    """Raises UpstreamFailed or UpstreamTimeout where there is no answer; an answer of any status is returned. name: as
    configured. speaks: the endpoints of the wire formats that it takes. notional: its costs are not real (echo).
    ask_usage: may be asked for usage in streams."""

    name: str
    speaks: frozenset[str]
    notional: bool
    ask_usage: bool

    async def send(self, call: UpstreamCall) -> Answer:
        """Sends the call. A cancelled task ends the call at the upstream too."""

    async def close(self) -> None:
        """Closes its connections."""


@lru_cache(maxsize=512)
def public_name(key: bytes, passed: bool = False) -> bytes:
    """The name by which a client sees a header of an answer; empty where it does not. passed: of an answer that is
    passed on as it comes."""
    name = key.lower()
    if name in (b"x-request-id", b"request-id"):
        return b"x-upstream-request-id"
    public = name in _CLIENT_HEADERS or (name.startswith(_CLIENT_PREFIXES) and name not in _OPERATOR_HEADERS)
    return name if public or (passed and name in _PASSED_HEADERS) else b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where an HTTP client sends calls, its bounds, and the errors of calls, by how far they came.

    headers: go with every call that has none of the same name. timeout_s: for a whole answer; of a stream, for its
    first byte and from one part to the next. A connection that closes before it had the whole call, or soon after it
    without a byte of an answer, has not taken the call. stale_s: how soon for a kept connection, which the upstream was
    most often just closing. at_once_s: for a new one."""

    upstream: str
    base_url: str
    headers: Mapping[str, str]
    connect_timeout_s: float
    timeout_s: float
    max_answer_bytes: int
    stale_s: float
    at_once_s: float

    def unreached(self) -> ApiError:
        return UpstreamFailed(f"upstream {self.upstream} could not be reached")

    def unanswered(self, *, kept: bool, after_s: float) -> ApiError:
        """after_s: from the end of the call to the end of its connection; negative where the call was not all sent."""
        failure = UpstreamFailed if after_s < (self.stale_s if kept else self.at_once_s) else CallDropped
        return failure(f"upstream {self.upstream} closed the connection without an answer")

    def unreadable(self, why: str) -> ApiError:
        """Of what is no head of an answer: whoever sent it had the call."""
        return CallDropped(f"upstream {self.upstream} sent an answer that cannot be read{why and f' ({why})'}")

    def no_status(self, status: int) -> ApiError:
        return UpstreamFailed(f"upstream {self.upstream} answered with the status {status}, which is none")

    def too_long(self) -> ApiError:
        return AnswerLost(f"upstream {self.upstream} sent an answer over {self.max_answer_bytes} bytes")

    def broken_off(self, status: int, why: str = "", *, stream: bool = False) -> ApiError:
        """status: of the answer. An upstream that refuses a call has not taken it; a stream's bytes have gone on."""
        lost = AnswerLost if status < 400 and not stream else UpstreamFailed
        how = "broke off in mid-stream" if stream else "broke off its answer"
        return lost(f"upstream {self.upstream} {how}{why and f' ({why})'}")

    def late(self, status: int, *, stream: bool = False) -> ApiError:
        """status: 0 before the answer."""
        stalled = AnswerStalled if 0 < status < 400 and not stream else UpstreamTimeout
        how = "fell silent in mid-stream" if stream else "did not finish its answer in time"
        return stalled(f"upstream {self.upstream} {how if status else 'did not answer in time'}")
