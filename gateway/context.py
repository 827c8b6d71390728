"""Names for the things a request carries, so that they are not mixed up."""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, NewType

from classifiers import Runtime
from gateway.ledger.call_store import KeptCall
from gateway.ledger.record import Record

RequestedModel = NewType("RequestedModel", str)
"""The model that the client asked for."""
UpstreamModel = NewType("UpstreamModel", str)
"""The model sent upstream."""

CLIENT_CLOSED = 499
"""The status in the records of requests whose client went away."""

REQUEST_ID: Final = "offramp.request_id"
"""Where a request's id stands in its ASGI scope."""

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """One request's way through the gateway. `record` is filled as it goes. Times are time.perf_counter() seconds.

    runtime: the classifiers that it has begun with, which judge all of it whatever is taken up meanwhile.
    prompt_bytes: the size of the text that a model would have read, from which tokens are estimated. attaches: there
    are images, audio or files beside it.
    met: the rules that it met, each with the bytes that would have been given here instead of the model's answer; 0
    where that is not known.
    judge_s: how long judges were waited for, whose calls have records of their own.
    failed_s: the time of targets that gave no answer, before the one that was asked last.
    untold: a target before the one that was asked last may have taken the call; what it cost is told by nobody.
    rerouted: a rule sent it to another model than the client asked for.
    client_gone: the client went away, so the work on its request was cancelled.
    replying: the first bytes of the reply may have been sent, so that no error can be sent any more.
    later: what is to be done once the client has its answer.
    kept: the call as it is to be kept, where calls are.
    texts: keep what rules read of it to train on, once it is known that none has redacted it.
    """

    record: Record
    started: float = field(default_factory=time.perf_counter)
    runtime: Runtime | None = None
    prompt_bytes: int = 0
    attaches: bool = False
    met: dict[str, int] = field(default_factory=dict)
    judge_s: float = 0.0
    failed_s: float = 0.0
    untold: bool = False
    rerouted: bool = False
    client_gone: bool = False
    replying: bool = False
    later: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    kept: KeptCall | None = None
    texts: list[Callable[[], None]] = field(default_factory=list)


def new_context(request_id: str, endpoint: str, consumer: str) -> RequestContext:
    """A context for a request that has just come in."""
    return RequestContext(record=Record(request_id=request_id, at=time.time(), endpoint=endpoint, consumer=consumer))


def new_request_id() -> str:
    """A fresh id: `req_` and 24 hex digits."""
    return "req_" + os.urandom(12).hex()


@dataclass(slots=True, kw_only=True)
class Reply:
    """What goes back to the client: a whole body, or chunks of a stream."""

    headers: Headers
    status: int = 200
    body: bytes = b""
    chunks: AsyncIterator[bytes] | None = None
