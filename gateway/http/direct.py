"""What the endpoints that ask classifiers directly share: bounded bodies, verdicts, a ledger row for each request."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from classifiers.verdict import Reading, Verdict
from gateway.context import RequestContext, context_of
from gateway.errors import BadRequest
from gateway.http.asgi import note_failure, read_body
from gateway.ledger.recorder import Recorder
from gateway.metrics.observe import Metrics
from gateway.plan import TimedClassifiers
from gateway.protocols.json import LARGE_BYTES
from gateway.protocols.json import bounded as bounded_json
from gateway.routes import Routes
from gateway.serving.snapshot import CurrentSnapshot, Snapshot


def json_response(value: Any) -> Response:
    """A struct or mapping as a JSON answer."""
    return Response(msgspec.json.encode(value), media_type="application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What these endpoints use. `current` may change while the gateway serves."""

    current: CurrentSnapshot
    routes: Routes
    classifiers: TimedClassifiers
    metrics: Metrics
    recorder: Recorder
    max_body_bytes: int

    async def body(self, request: Request) -> bytes:
        """A request's body. Raises BodyTooLarge, BadRequest or ClientGone."""
        body = await read_body(request.scope, request.receive, max_bytes=self.max_body_bytes)
        if len(body) > LARGE_BYTES:
            await asyncio.to_thread(bounded_json, body)
        return body


MOST_INPUTS: Final = 2048
"""Texts in one question; OpenAI's own bound for a list of inputs."""


def bounded(inputs: Sequence[object]) -> None:
    """Raises BadRequest where a question holds too many texts."""
    if len(inputs) > MOST_INPUTS:
        raise BadRequest(f"input: must not hold over {MOST_INPUTS} texts", param="input")


@asynccontextmanager
async def recorded(engine: Engine, request: Request, endpoint: str) -> AsyncIterator[RequestContext]:
    """The context of a request, whose record is closed however the request ends."""
    context = context_of(request.scope, endpoint)
    context.record.decision = "answer"
    engine.metrics.in_flight.inc()
    try:
        yield context
    except (Exception, asyncio.CancelledError) as error:
        failure = note_failure(context, error)
        if isinstance(error, asyncio.CancelledError) and failure is not None:
            raise failure from None
        raise
    finally:
        engine.metrics.in_flight.dec()
        engine.recorder.finish(context)


async def ask(
    engine: Engine, context: RequestContext, snapshot: Snapshot, name: str, readings: Sequence[Reading]
) -> Sequence[Verdict]:
    """One classifier's verdicts, timed and counted. snapshot: in use when the request began."""
    record = context.record
    record.classifier, record.classifier_version = name, snapshot.versions[name]
    context.runtime = snapshot.runtime
    verdicts = await engine.classifiers.verdicts(context, readings)
    for verdict in verdicts:
        engine.metrics.observe_verdict(verdict, "")
    if len(verdicts) == 1:
        record.label = verdicts[0].labels[0] if verdicts[0].labels else ""
        record.confidence = verdicts[0].confidence
    record.abstentions = ",".join(sorted({verdict.abstention.value for verdict in verdicts if verdict.abstention}))
    return verdicts
