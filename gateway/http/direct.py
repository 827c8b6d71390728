"""What the endpoints that ask classifiers directly share: bounded bodies, verdicts, a ledger row for each request."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import msgspec
from fastapi import Request, Response

from classifiers.verdict import Reading, Verdict
from gateway.context import CLIENT_CLOSED, REQUEST_ID, RequestContext, new_context
from gateway.errors import ApiError, BadRequest, InternalError, Unavailable, stopping
from gateway.http.asgi import ClientGone, read_body
from gateway.ledger.recorder import Recorder
from gateway.metrics.observe import Metrics
from gateway.plan import Classify
from gateway.serving.snapshot import Snapshot, Snapshots
from gateway.upstreams.base import Routes


async def bounded_body(request: Request) -> bytes:
    """The body, within limits.body."""
    return await read_body(request.scope, request.receive, max_bytes=request.app.state.limits.body)


def json_response(value: Any) -> Response:
    """A struct or mapping as a JSON answer."""
    return Response(msgspec.json.encode(value), media_type="application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What these endpoints use. `in_use` may change while the gateway serves."""

    in_use: Snapshots
    routes: Routes
    classify: Classify
    metrics: Metrics
    recorder: Recorder
    classify_time_s: float


MOST_INPUTS: Final = 2048
"""Texts in one question; OpenAI's own bound for a list of inputs."""


def bounded(inputs: Sequence[object]) -> None:
    """Raises BadRequest where a question holds too many texts."""
    if len(inputs) > MOST_INPUTS:
        raise BadRequest(f"input: must not hold over {MOST_INPUTS} texts", param="input")


@asynccontextmanager
async def recorded(engine: Engine, request: Request, endpoint: str) -> AsyncIterator[RequestContext]:
    """The context of a request, whose record is closed however the request ends."""
    context = new_context(request.scope[REQUEST_ID], endpoint, "anonymous")
    record = context.record
    record.decision = "answer"
    engine.metrics.in_flight.inc()
    try:
        yield context
    except ApiError as error:
        record.decision, record.status, record.error = "error", error.status, error.code or error.type
        raise
    except ClientGone:
        record.decision, record.status, record.error = "error", CLIENT_CLOSED, "client_closed"
        raise
    except asyncio.CancelledError:
        # the time to drain is over; nothing else cancels these
        record.decision, record.status, record.error = "error", Unavailable.status, "cancelled"
        raise stopping() from None
    except Exception:
        record.decision, record.status, record.error = "error", InternalError.status, "internal_error"
        raise
    finally:
        engine.metrics.in_flight.dec()
        engine.recorder.finish(context)


async def ask(
    engine: Engine, context: RequestContext, edition: Snapshot, name: str, readings: Sequence[Reading]
) -> list[Verdict]:
    """One classifier's verdicts, timed and counted. edition: in use when the request began."""
    record = context.record
    record.classifier, record.classifier_version = name, edition.versions[name]
    started = perf_counter()
    verdicts = await engine.classify(readings, engine.classify_time_s, edition.runtime)
    record.classifier_s = perf_counter() - started
    for verdict in verdicts:
        engine.metrics.observe_verdict(verdict, "")
    if len(verdicts) == 1:
        record.label = verdicts[0].labels[0] if verdicts[0].labels else ""
        record.confidence = verdicts[0].confidence
    record.abstentions = ",".join(sorted({verdict.abstention.value for verdict in verdicts if verdict.abstention}))
    return verdicts
