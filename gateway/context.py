"""What a request carries through the gateway, and what goes back to the client."""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, NewType

from starlette.types import Scope

from classifiers import Runtime
from gateway.errors import ApiError
from gateway.ledger.call_store import KeptCall
from gateway.record import Record

RequestedModel = NewType("RequestedModel", str)
"""The model that the client asked for."""
UpstreamModel = NewType("UpstreamModel", str)
"""The model sent upstream."""

REQUEST_ID: Final = "offramp.request_id"
"""Where a request's id stands in its ASGI scope."""
TASK: Final = "offramp.task"
"""Where a scope has the task of its request."""
ID_HEADERS: Final = "offramp.id_headers"
"""Where a scope has the headers with the id that every reply gets."""
HEADERS: Final = "offramp.headers"
"""Where a scope has its headers by name; of a name that came twice, the last."""
BODY_IDLE_S: Final = "offramp.body_idle_s"
"""Where a scope has the seconds within which the next part of a body must come, for one that may take long."""
RECORDED: Final = "offramp.recorded"
"""In the scope of a request that has a record."""
UPSTREAM: Final = "offramp.upstream"
"""Where a scope has the upstream that the call must go to, for what lies at one."""
CREDENTIALS: Final = "offramp.credentials"
"""Where the client's own keys stand in the scope, as headers, if an upstream takes them."""

Headers = list[tuple[bytes, bytes]]


class JudgeVerdict(NamedTuple):
    """The texts that a judge was shown, and the labels that apply to any of them."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """One request. `record` is filled by its steps. Times are time.perf_counter() seconds.

    credentials: the client's own keys, for upstreams that take them; None of the gateway's own calls. In no row or log.
    unbilled: nothing is charged for it, though it goes to an upstream.
    client: whose share of the classifiers' time it takes: an address.
    method, path: as the log has them; empty of the gateway's own calls.
    runtime: the classifiers that it began with; a version that is loaded meanwhile does not judge it.
    wait_s: how long the classifiers' queue was, where they had no time.
    prompt_bytes: bytes of the text that a model would read; tokens are estimated from it. attaches: images, audio or
    files go along.
    matched_rules: the rules that read of it, each with the bytes of the local answer; 0 where those are not known.
    judged: what rules' own judges found of texts alone, by rule; nothing of a fallback.
    judge_s: time spent waiting for judges, whose calls have records of their own.
    failed_s: time of targets that gave no answer, before the last one asked.
    unreported_attempt: an earlier target may have taken the call, at a cost that nobody reports.
    rerouted: a rule sent it to another model than the client asked for.
    client_gone: the client went away, and the work was cancelled.
    replying: the first bytes of the reply may be sent, so that no error can follow.
    after_response: work for after the client has its answer.
    kept: the call for the call log, where calls are kept.
    texts: keep what rules read as training text, unless one of them redacts it.
    """

    record: Record
    started: float = field(default_factory=time.perf_counter)
    client: str = ""
    method: str = ""
    path: str = ""
    credentials: Headers | None = None
    unbilled: bool = False
    runtime: Runtime | None = None
    wait_s: float = 0.0
    prompt_bytes: int = 0
    attaches: bool = False
    matched_rules: dict[str, int] = field(default_factory=dict)
    judged: dict[str, JudgeVerdict] = field(default_factory=dict)
    judge_s: float = 0.0
    failed_s: float = 0.0
    unreported_attempt: bool = False
    rerouted: bool = False
    client_gone: bool = False
    replying: bool = False
    after_response: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    kept: KeptCall | None = None
    texts: list[Callable[[], None]] = field(default_factory=list)


def new_context(request_id: str, endpoint: str, consumer: str) -> RequestContext:
    """A context for a request that has just come in."""
    record = Record(request_id=request_id, at=time.time(), endpoint=endpoint, consumer=consumer)
    return RequestContext(record=record)


def new_request_id() -> str:
    """A fresh id: `req_` and 24 hex digits."""
    return "req_" + os.urandom(12).hex()


def client_of(scope: Scope) -> str:
    """Who asks: the address. All that are admitted have the one access key, and any other header can be made up."""
    return str((scope.get("client") or ("",))[0])


def context_of(scope: Scope, endpoint: str) -> RequestContext:
    """The context of a client's request that has just come in, and is to have a record."""
    context = new_context(scope[REQUEST_ID], endpoint, "anonymous")
    context.client = client_of(scope)
    context.credentials, context.method, context.path = scope.get(CREDENTIALS), scope["method"], scope["path"]
    scope[RECORDED] = True
    return context


@dataclass(slots=True, kw_only=True)
class Reply:
    """What goes back to the client: a whole body, or chunks of a stream. failed: the events that end a stream that is
    cut off, where some of it may have been sent."""

    headers: Headers
    status: int = 200
    body: bytes = b""
    chunks: AsyncIterator[bytes] | None = None
    failed: Callable[[ApiError], bytes] | None = None
