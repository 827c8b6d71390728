"""Questions put to classifiers directly: each leaves a ledger row, as every request does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final

from fastapi import Request

from classifiers.verdict import Reading, Verdict
from gateway.asgi import ClientGone
from gateway.engine import Engine
from gateway.errors import ApiError, BadRequest, InternalError, Unavailable, stopping
from gateway.in_use import Edition
from gateway.types import CLIENT_CLOSED, REQUEST_ID, Context, new_context

MOST_INPUTS: Final = 2048
"""Texts in one question; OpenAI's own bound for a list of inputs."""


def bounded(inputs: Sequence[object]) -> None:
    """Raises BadRequest where a question holds too many texts."""
    if len(inputs) > MOST_INPUTS:
        raise BadRequest(f"input: must not hold over {MOST_INPUTS} texts", param="input")


@asynccontextmanager
async def recorded(engine: Engine, request: Request, endpoint: str) -> AsyncIterator[Context]:
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
    engine: Engine, context: Context, edition: Edition, name: str, readings: Sequence[Reading]
) -> list[Verdict]:
    """One classifier's verdicts, timed and counted. edition: in use as it is asked; what is taken up meanwhile judges
    what comes after."""
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
