"""Calls of models, in any wire format: the hot path, raw ASGI."""

import asyncio
from collections.abc import Collection
from functools import partial
from typing import Final

from starlette.types import Receive, Scope, Send

from gateway.context import HEADERS, TASK, Headers, RequestContext, context_of
from gateway.errors import ApiError, MethodNotAllowed, WebSocketRefused, stopping
from gateway.http.asgi import read_body, send_error, send_failure, send_reply
from gateway.http.auth import owner_of
from gateway.http.disconnect import ClientWatch
from gateway.metrics.observe import Metrics
from gateway.pipeline import Pipeline
from gateway.plan import Incoming
from gateway.protocols.wire import Wire
from gateway.record import Record
from gateway.upstreams.openai import TRAVELS

_TEXT_HEADERS: Final = (
    *(b"x-offramp-rule", b"x-offramp-label", b"x-offramp-flags"),
    *(b"x-offramp-abstained", b"x-offramp-redacted", b"x-offramp-judged"),
)


class CallEndpoint:
    """One wire format's path. A request: body in, reply out, one record behind it."""

    def __init__(
        self,
        wire: Wire,
        pipeline: Pipeline,
        metrics: Metrics,
        *,
        max_body_bytes: int,
        travels: Collection[bytes] = TRAVELS,
    ) -> None:
        """travels: names of headers that any upstream may get."""
        self._wire = wire
        self._pipeline = pipeline
        self._travels = frozenset(travels)
        self._in_flight = metrics.in_flight
        self._max_body_bytes = max_body_bytes
        self._clients = ClientWatch()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            error: ApiError = MethodNotAllowed(f"{scope['method']} is not allowed here; use POST")
            if any(name == b"upgrade" for name, _ in scope["headers"]):
                error = WebSocketRefused("there is no WebSocket here; use POST")
            await send_error(scope, send, error)
            return
        context = context_of(scope, self._wire.endpoint)
        self._in_flight.inc()
        try:
            await self._answer(context, scope, receive, send)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - sent, logged or raised again
            await send_failure(scope, send, context, error)
        finally:
            self._in_flight.dec()
            self._pipeline.record(context)

    async def _answer(self, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(scope, receive, max_bytes=self._max_body_bytes)
        headers: Headers = []
        if not self._travels.isdisjoint(scope[HEADERS]):
            headers = [header for header in scope["headers"] if header[0] in self._travels]
        owner, query = b"" if self._wire.history is None else owner_of(scope), ""
        if self._wire.passes:
            query = scope["query_string"].decode("latin-1")
            headers += [header for header in scope["headers"] if header[0].startswith(self._wire.passes)]
        with self._clients.watch(receive, context, scope[TASK]):
            reply = await self._pipeline.answer(context, Incoming(self._wire, body, headers, query, owner=owner))
            context.record.status = reply.status
            reply.headers = [*reply.headers, *_decision_headers(context.record)]
            context.replying = True
            await send_reply(scope, send, reply, cut=partial(stopping, "breaks its answer off"))


def _decision_headers(record: Record) -> Headers:
    """What was decided, for `with_raw_response` and dashboards. Header values keep to ASCII."""
    headers: Headers = [(b"x-offramp-decision", record.decision.encode())]
    values = (record.rule, record.label, record.flags, record.abstentions, record.redacted, record.judged)
    if any(values):
        named = zip(_TEXT_HEADERS, values, strict=True)
        headers += [(name, value.encode("unicode_escape")) for name, value in named if value]
    if record.classifier_version:
        headers.append((b"x-offramp-classifier", f"{record.classifier}@{record.classifier_version}".encode()))
    if record.confidence is not None:
        headers.append((b"x-offramp-confidence", b"%.4f" % record.confidence))
    if record.usage_source == "estimated":
        headers.append((b"x-offramp-usage", b"estimated"))
    if record.saved_reason is not None and record.saved_usd is not None:
        headers.append((b"x-offramp-saved-usd", b"%.8f" % record.saved_usd))
    return headers
