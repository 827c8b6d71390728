"""Paths that no rule reads, passed on to one upstream as they come.

Nothing is held: a body goes on in its parts, and so does the answer. Which paths go on is decided on the decoded path.
What goes on is that path again, in a narrow alphabet, so that the upstream reads no other path in it.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Collection, Mapping
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from gateway.config.settings import ACCOUNT, ALL_PATHS, OpenAISettings, Settings
from gateway.context import BODY_IDLE_S, TASK, UPSTREAM, Reply, RequestContext, context_of
from gateway.errors import ApiError, BadRequest, MethodNotAllowed, NotFound, UpstreamFailed, no_such_path
from gateway.http.asgi import ClientGone, send_error, send_failure, send_reply
from gateway.http.auth import owner_of
from gateway.http.disconnect import Watched
from gateway.ledger.recorder import Recorder
from gateway.metrics.observe import Metrics
from gateway.protocols.json import encode
from gateway.record import PASSED
from gateway.requests.memory import Remembered, ResponseMemory
from gateway.upstreams.base import Answer, Upstream
from gateway.upstreams.dispatch import streaming
from gateway.upstreams.openai import TRAVELS, OpenAIUpstream

_log = logging.getLogger(__name__)
_READS: Final = frozenset({"GET", "HEAD"})
_METHODS: Final = _READS | {"POST", "PUT", "PATCH", "DELETE"}
_BILLED: Final = frozenset({"POST", "PUT", "PATCH"})
_OWN: Final = frozenset({"classify", "docs", "health", "metrics", "moderations", "openapi.json", "ready", "redoc"})
"""First parts of paths that are the gateway's whatever the method."""
_ELSEWHERE: Final = frozenset({"v1", "openai", "anthropic", "api", "engines", "deployments"})
"""First parts behind /v1 under which a server may have its chat, or its account, a second time."""
_READ_BY_RULES: Final = re.compile(r"(^|/)(completions|responses|embeddings|moderations)$|^messages(/count_tokens)?$")
"""Ends of paths that the gateway serves itself, without what a server may ignore behind a name."""
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~:@!$'()*+,=-]+")
_IGNORED: Final = re.compile(r"[^a-z0-9_/-][^/]*$")
_QUERY: Final = re.compile(rb"[\x21-\x7e]*")
_LABELS: Final = frozenset({
    "assistants", "audio", "batches", "chat", "containers", "conversations", "evals", "files", "fine_tuning", "images",
    "messages", "models", "responses", "threads", "uploads", "vector_stores", "videos",
})  # fmt: skip
"""First parts that a row may name."""
_HEADERS: Final = TRAVELS | {b"accept", b"accept-language", b"content-encoding", b"content-type", b"range"}
_PREFIXES: Final = (b"if-", b"openai-", b"anthropic-")
_BY_LIST: Final = frozenset({b"openai-organization", b"openai-project"})


def _parts(path: str) -> list[str]:
    """A path's parts behind /v1."""
    parts = [part for part in path.split("/") if part]
    return parts[1:] if parts and parts[0].casefold() == "v1" else parts


def may_pass(method: str, path: str, named: Collection[str]) -> bool:
    """Whether a path goes on. named: first parts of paths, or `all`. What the gateway serves itself never does, and
    what manages the provider's account, in any spelling; of other faults in a path `target` tells."""
    parts = [part.casefold() for part in _parts(path)]
    if not parts or method not in _METHODS or parts[0] in _OWN | ACCOUNT | _ELSEWHERE:
        return False
    whole = _IGNORED.sub("", "/".join(parts))
    if method not in _READS and _READ_BY_RULES.search(whole):
        return False
    if parts == ["responses"] or (parts[0] == "models" and method in _READS):
        return False
    return ALL_PATHS in named or parts[0] in named


def target(scope: Scope) -> str:
    """Path and query behind the base URL. Raises BadRequest for a path that two servers may read differently."""
    parts, query = _parts(scope["path"]), scope["query_string"]
    twice = b"%2f" in scope["raw_path"].lower()
    if twice or any(not _SEGMENT.fullmatch(part) or not part.strip(".") for part in parts):
        raise BadRequest("the path has dots for a part, an encoded slash or a character that is not passed on")
    if not parts or not re.fullmatch(r"[A-Za-z0-9_-]+", parts[0]) or not _QUERY.fullmatch(query):
        raise BadRequest("the path or the query has a character that is not passed on")
    return "/" + "/".join(parts) + (f"?{query.decode()}" if query else "")


class Passthrough:
    """Passes calls on; each leaves one row."""

    def __init__(
        self, settings: Settings, upstreams: Mapping[str, Upstream], *, recorder: Recorder, metrics: Metrics
    ) -> None:
        kinds = {name: one for name, one in settings.upstreams.items() if isinstance(one, OpenAISettings)}
        self._name = next((name for name, one in kinds.items() if one.passthrough), next(iter(kinds), ""))
        self._configured = kinds[self._name].passthrough if self._name else ()
        self._upstream = streaming(upstreams[self._name]) if self._configured else None
        self._recorder = recorder
        self._metrics = metrics

    def takes(self, method: str, path: str) -> bool:
        """Whether a path goes on."""
        return self._upstream is not None and may_pass(method, path, self._configured)

    def names(self, first: str) -> bool:
        """Whether calls go on under a first part that the gateway serves, but for what it does not have."""
        return self._upstream is not None and not {ALL_PATHS, first}.isdisjoint(self._configured)

    def no_such_path(self, method: str, path: str) -> NotFound:
        """The error of a path that is not served, with the line that would pass it on."""
        first = next(iter(_parts(path)), "")
        if not self._name or not may_pass(method, path, [first.casefold()]) or not re.fullmatch("[a-z0-9_]+", first):
            return no_such_path(method, path)
        if self._upstream is None and self._configured:
            return no_such_path(method, path, f"upstreams.{self._name} has no api_key, so that it echoes")
        names = ", ".join(dict.fromkeys((*self._configured, first)))
        return no_such_path(method, path, f"upstreams.{self._name}.passthrough: [{names}] in gateway.yaml passes it on")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = context_of(scope, PASSED)
        context.unbilled = scope["method"] not in _BILLED
        self._metrics.in_flight.inc()
        try:
            await self._pass(context, scope, receive, send)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - sent, logged or raised again
            await send_failure(scope, send, context, error)
        finally:
            self._metrics.in_flight.dec()
            self._recorder.finish(context)

    async def _pass(self, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        upstream, record = scope.get(UPSTREAM, self._upstream), context.record
        assert upstream is not None
        to, watched = target(scope), Watched(set(), receive, context, scope[TASK])
        first = to[1:].partition("?")[0].partition("/")[0]
        record.label = first if first in _LABELS else ""
        record.upstream, record.notional = upstream.name, upstream.notional
        scope[BODY_IDLE_S] = upstream.timeout_s
        headers = [header for header in scope["headers"] if _goes_on(header[0], upstream.client_headers)]
        # of both the server takes one alone
        framing = [header for header in scope["headers"] if header[0] in (b"content-length", b"transfer-encoding")]
        body = None
        if scope["method"] not in _READS and any(value != b"0" for _, value in framing):
            body = _body(receive, watched)
            headers += [header for header in framing if header[0] == b"content-length"]
        asked = upstream.pass_on(scope["method"], to, headers, body, context.credentials)
        started = time.perf_counter()
        try:
            with watched:
                if body is None:
                    watched.listen()
                answer = await self._answer(upstream, asked)
                context.replying, record.status = True, answer.status
                await send_reply(scope, send, Reply(status=answer.status, headers=answer.headers, chunks=answer.chunks))
        except ApiError as error:
            if not context.replying:
                raise
            # without an end of the answer the server closes the connection, so that the client knows of the break
            record.error = error.code or "error"
        finally:
            record.provider_s = time.perf_counter() - started

    async def _answer(self, upstream: OpenAIUpstream, asked: Awaitable[Answer]) -> Answer:
        self._metrics.upstream_calls.labels(upstream.name).inc()
        failures = self._metrics.upstream_failures
        try:
            answer = await asked
        except ApiError as error:
            failures.labels(upstream.name, error.code).inc()
            raise
        refused = answer.status == 401 and not upstream.client_keys
        if refused or answer.status >= 500 or answer.status in (408, 429):
            failures.labels(upstream.name, str(answer.status)).inc()
        if refused:
            assert isinstance(answer.chunks, AsyncGenerator)
            await answer.chunks.aclose()
            _log.error("upstream %s refuses the gateway's API key", upstream.name)
            raise UpstreamFailed(f"upstream {upstream.name} refuses the gateway's own key")
        return answer


async def _body(receive: Receive, watched: Watched) -> AsyncIterator[bytes]:
    """The parts of a client's body as they come; once it is whole, the client's going is watched for."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            watched.leave()
            raise ClientGone
        more = message.get("more_body", False)
        if part := message.get("body", b""):
            yield part
    watched.listen()


def _goes_on(name: bytes, listed: Collection[bytes]) -> bool:
    """Whether a client's header goes on. listed: names of the upstream's own list."""
    return name in listed or name in _HEADERS or (name.startswith(_PREFIXES) and name not in _BY_LIST)


class StoredResponses:
    """What was answered before, by its id: `/v1/responses/ID`, for its owner alone.

    What was made here is read and deleted here; what an upstream made, there. An answer that rules read, whose passages
    they replaced, say, is not fetched again: the upstream has it as it was.
    """

    def __init__(self, memory: ResponseMemory, upstreams: Mapping[str, Upstream], passing: Passthrough) -> None:
        self._memory = memory
        self._upstreams = upstreams
        self._passing = passing

    def knows(self, path: str) -> bool:
        """Whether a path is one of a response that is remembered."""
        return _id_in(path) in self._memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = self._body(scope)
        except ApiError as error:
            await send_error(scope, send, error)
            return
        if body is None:
            await self._passing(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json")]
        await send_reply(scope, send, Reply(headers=headers, body=body))

    def _body(self, scope: Scope) -> bytes | None:
        """The reply; None where the upstream gives it. Raises NotFound and MethodNotAllowed."""
        response, method = _id_in(scope["path"]), scope["method"]
        one = self._memory.find(response, owner_of(scope))
        if one is None:
            raise NotFound(f"no response {response!r} is known")
        part = scope["path"].rstrip("/").partition(response)[2]
        if one.upstream:
            upstream = streaming(self._upstreams[one.upstream])
            if upstream is None:
                raise NotFound(f"upstream {one.upstream} keeps no responses")
            if one.checked and method != "DELETE":
                raise NotFound(f"{response} was read by rules, and is not fetched again past them")
            scope[UPSTREAM] = upstream
        if method == "DELETE":
            self._memory.forget(response)
        return None if one.upstream else _local(response, one, method, part)


def _id_in(path: str) -> str:
    """The id of a response that a path is about; empty for any other path."""
    parts = [part for part in path.removeprefix("/v1").split("/") if part]
    return parts[1] if len(parts) > 1 and parts[0] == "responses" else ""


def _local(response: str, one: Remembered, method: str, part: str) -> bytes:
    if method == "DELETE" and not part:
        return encode({"id": response, "object": "response", "deleted": True})
    if method != "GET":
        raise MethodNotAllowed(f"{method} is not allowed for a response that was made here")
    if not part:
        return one.body
    if part != "/input_items":
        raise NotFound(f"a response that was made here has no {part}")
    items: list[Any] = [*one.items[: len(one.items) - len(one.ids)]][::-1]
    return encode({"object": "list", "data": items, "has_more": False, "first_id": None, "last_id": None})
