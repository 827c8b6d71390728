"""Upstreams: configured targets that a call can be sent to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.answers.parse import Completion
from gateway.context import Headers, UpstreamModel
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.wire import Wire


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
