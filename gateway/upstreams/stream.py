"""An upstream's stream on its way to the client: read, noted in the record, passed on, or held back.

`relay` passes events on as they came, notes usage and errors, and hands the whole
completion to the answer's listeners. `hold` keeps a stream back until output rules have read it.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Final

import msgspec

from gateway.answers.parse import Completion
from gateway.context import Reply, RequestContext
from gateway.errors import ApiError, UpstreamFailed, error_body
from gateway.protocols import chat, sse
from gateway.protocols.json import of_upstream
from gateway.record import Record
from gateway.upstreams.base import Answer

_HEARTBEAT: Final = b": keep-alive\n\n"
_HEARTBEAT_S: Final = 10.0
_MAX_TOKENS: Final = 10**9
"""No call has more; a count below zero or above this is no count."""
_MAX_LISTENED_BYTES: Final = 1024**2
"""A longer answer is none to a small question, and listeners do not get it."""
_DONE: Final = b"[DONE]"
_LAST_EVENTS: Final = 4
"""Events from the one with the finish reason to the last, usage and [DONE] among them."""
_CONTENT: Final = ("content", "tool_calls", "function_call", "refusal", "reasoning_content", "reasoning")
_CONTENT_MARKS: Final = tuple(f'"{name}":'.encode() for name in _CONTENT)


async def hold(
    chunks: AsyncIterator[bytes], check: Callable[[Completion], Awaitable[Reply | None]]
) -> AsyncIterator[bytes]:
    """The stream as it came where `check` returns None for all of it, else the reply's own stream. Comments keep the
    connection alive meanwhile."""

    async def read() -> tuple[bytes, Reply | None]:
        body = b"".join([chunk async for chunk in chunks])
        return body, await check(Completion(body, stream=True))

    task = asyncio.ensure_future(read())
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_HEARTBEAT_S)
            if not task.done():
                yield _HEARTBEAT
        body, instead = task.result()
    finally:
        task.cancel()
        # the upstream's stream has ended by the time the request's record is closed
        await asyncio.gather(task, return_exceptions=True)
    if instead is None:
        yield body
    elif instead.chunks is not None:
        async for chunk in instead.chunks:
            yield chunk


def note_answer(record: Record, completion: Completion) -> None:
    """Notes the model and the usage of a whole answer."""
    record.usage_source = "missing"
    with suppress(msgspec.DecodeError, RecursionError):
        _note(record, completion.meta.model, completion.meta.usage)


async def relay(
    context: RequestContext, answer: Answer, *, strip_usage: bool, max_bytes: int | None = None
) -> AsyncIterator[bytes]:
    """A stream's events as they came; its listeners get the completion at the end.

    strip_usage: whether the usage event is left out, which the gateway asked for and the client did not.
    max_bytes: the most that a stream may have that is held back in memory.

    Where the upstream breaks off, or its stream ends without [DONE] and without a finish reason, the last event is an
    error, without [DONE] after it. An error event of the upstream's own passes as it came, and counts as a failure.
    """
    assert answer.chunks is not None
    record = context.record
    record.usage_source = "missing"
    splitter = sse.Splitter()
    started = time.perf_counter()
    size = 0
    latest: deque[bytes] = deque(maxlen=_LAST_EVENTS)
    listened: list[bytes] = []
    ended = False
    try:
        async for chunk in answer.chunks:
            size += len(chunk)
            if answer.listeners and size <= _MAX_LISTENED_BYTES:
                listened.append(chunk)
            if max_bytes is not None and size > max_bytes:
                raise ValueError(f"the answer is over {max_bytes} bytes and is read whole here")  # noqa: TRY301
            events = list(splitter.feed(chunk))
            latest += events
            passed = b"".join([event for event in events if _observe(context, event, started, strip_usage)])
            if passed:
                yield passed
        ended = True
        rest = splitter.flush()
        passes = bool(rest) and _observe(context, rest, started, strip_usage)
        if not record.error and not any(map(_finishes, (*latest, rest))):
            raise UpstreamFailed("the upstream's stream ended before its answer did")
        if passes:
            yield rest
    except (ApiError, ValueError) as error:
        failure = error if isinstance(error, ApiError) else UpstreamFailed(str(error))
        record.error = failure.code or "error"
        yield sse.event(error_body(failure))
    finally:
        record.provider_s = (record.provider_s or 0.0) + time.perf_counter() - started
        listened_to = ended and size <= _MAX_LISTENED_BYTES
        completion = Completion(b"".join(listened), stream=True) if listened_to else None
        async with aclosing(answer.chunks):  # type: ignore[type-var]
            for listener in answer.listeners:
                await listener(completion)


def _observe(context: RequestContext, event: bytes, started: float, strip_usage: bool) -> bool:
    """Notes what the event says; False where it must not reach the client."""
    record = context.record
    if record.first_token_s is None and any(mark in event for mark in _CONTENT_MARKS) and _has_content(event):
        record.first_token_s = (record.provider_s or 0.0) - context.failed_s + time.perf_counter() - started
    if b'"error"' in event and _has_error(event):
        record.error = UpstreamFailed.code or "error"
    if b'"usage"' not in event or b'"usage":null' in event:
        return True
    answer = _decoded(event)
    if answer is None or answer.usage is None:
        return True
    _note(record, answer.model, answer.usage)
    return not (strip_usage and not answer.choices)


def _finishes(event: bytes) -> bool:
    if sse.data_of(event) == _DONE:
        return True
    answer = _decoded(event) if b'"finish_reason"' in event else None
    return any(choice.finish_reason for choice in (answer.choices if answer else None) or ())


def _has_error(event: bytes) -> bool:
    try:
        error = of_upstream(chat.decode_fields, sse.data_of(event) or b"{}").get("error")
        # null, false, and what is empty: some servers have the field in every event
        return error is not None and bool(of_upstream(msgspec.json.decode, bytes(error)))
    except (msgspec.DecodeError, RecursionError):
        return False


def _has_content(event: bytes) -> bool:
    answer = _decoded(event)
    deltas = [choice.delta for choice in (answer.choices if answer else None) or () if choice.delta]
    return any(getattr(delta, name) for delta in deltas for name in _CONTENT)


def _decoded(event: bytes) -> chat.UpstreamAnswer | None:
    data = sse.data_of(event)
    if data is None:
        return None
    try:
        return of_upstream(chat.decode_answer, data)
    except (msgspec.DecodeError, RecursionError):
        return None


def _note(record: Record, model: str | None, usage: chat.ReportedUsage | None) -> None:
    record.answered_model = model or record.answered_model
    if usage is None:
        return
    given, generated, details = usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details is not None else 0
    record.usage_source = "missing"
    if given is not None and generated is not None and all(0 <= n <= _MAX_TOKENS for n in (given, generated, cached)):
        record.usage_source = "reported"
        record.input_tokens, record.output_tokens = given, generated
        record.cached_input_tokens = min(cached, given)
