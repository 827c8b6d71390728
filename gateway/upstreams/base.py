"""An upstream: a configured target that a call can be sent to."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from gateway.types import Headers, UpstreamModel


@dataclass(slots=True, kw_only=True)
class Call:
    """A call to forward. body: the client's JSON with the upstream's model name in it; headers: the few of the
    client's that may travel (never its Authorization).
    """

    model: UpstreamModel
    body: bytes
    stream: bool
    path: str = "/chat/completions"
    headers: Headers = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Answer:
    """An upstream's answer: a whole body, or chunks of bytes as they come. `headers` are those a client may see."""

    status: int
    headers: Headers
    body: bytes = b""
    chunks: AsyncIterator[bytes] | None = None


class Upstream(Protocol):
    """Raises UpstreamFailed or UpstreamTimeout where there is no answer; an answer of any status is returned.

    name: as configured. notional: its costs are not real (echo). ask_usage: may be asked for usage in streams.
    """

    name: str
    notional: bool
    ask_usage: bool

    async def send(self, call: Call) -> Answer:
        """Sends the call. A cancelled task ends the call at the upstream too."""

    async def close(self) -> None:
        """Closes its connections."""
