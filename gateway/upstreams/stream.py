"""An upstream's stream on its way to the client: read, noted in the record, passed on, or held back.

`relay` passes events on as they came, notes usage and errors, and hands the whole
completion to the answer's listeners. `hold` keeps a stream back until output rules have read it; `kept_alive` fills
its silence.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

import msgspec

from gateway.answers.parse import Completion
from gateway.context import Reply, RequestContext
from gateway.errors import ApiError, UpstreamFailed
from gateway.protocols import sse
from gateway.protocols.wire import Meta, StreamReader, Wire
from gateway.record import Record
from gateway.upstreams.base import Answer

_HEARTBEAT_S: Final = 10.0
_MAX_TOKENS: Final = 10**9
"""No call has more; a count below zero or above this is no count."""
_MAX_LISTENED_BYTES: Final = 1024**2
"""A longer answer is none to a small question, and listeners do not get it."""


async def hold(
    chunks: AsyncIterator[bytes], wire: Wire, check: Callable[[Completion], Awaitable[Reply | None]]
) -> AsyncGenerator[bytes]:
    """The stream as it came where `check` returns None for all of it, else the reply's own stream."""
    body = b"".join([chunk async for chunk in chunks])
    instead = await check(Completion(body, wire, stream=True))
    if instead is None:
        yield body
    elif instead.chunks is not None:
        async for chunk in instead.chunks:
            yield chunk


async def kept_alive(chunks: AsyncGenerator[bytes], heartbeat: bytes) -> AsyncIterator[bytes]:
    """A stream with heart-beats that keep its connection alive while nothing comes. However it ends, the stream within
    is closed by then, before the request's record is."""
    async with aclosing(chunks):
        while True:
            task = asyncio.ensure_future(anext(chunks, None))
            try:
                while not (await asyncio.wait({task}, timeout=_HEARTBEAT_S))[0]:
                    yield heartbeat
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            chunk = task.result()
            if chunk is None:
                return
            yield chunk


def note_answer(record: Record, completion: Completion) -> None:
    """Notes the model and the usage of a whole answer."""
    record.usage_source = "missing"
    try:
        meta = completion.meta
    except (msgspec.DecodeError, RecursionError):
        return
    _note(record, meta)


async def relay(
    context: RequestContext, answer: Answer, reader: StreamReader, *, strip_usage: bool, max_bytes: int | None = None
) -> AsyncGenerator[bytes]:
    """A stream's events as they came; its listeners get the completion at the end.

    strip_usage: whether the usage event is left out, which the gateway asked for and the client did not.
    max_bytes: the most that a stream may have that is held back in memory.

    Where the upstream breaks off, or its stream ends before its answer does, the last event is an error. An error event
    of the upstream's own passes as it came, and counts as a failure.
    """
    assert answer.chunks is not None
    record = context.record
    record.usage_source = "missing"
    splitter = sse.Splitter()
    started = time.perf_counter()
    size = 0
    listened: list[bytes] = []
    ended = False
    try:
        async for chunk in answer.chunks:
            size += len(chunk)
            if answer.listeners and size <= _MAX_LISTENED_BYTES:
                listened.append(chunk)
            if max_bytes is not None and size > max_bytes:
                raise ValueError(f"the answer is over {max_bytes} bytes and is read whole here")  # noqa: TRY301
            events = splitter.feed(chunk)
            passed = b"".join([event for event in events if _observe(context, reader, event, started, strip_usage)])
            if passed:
                yield passed
        ended = True
        rest = splitter.flush()
        passes = bool(rest) and _observe(context, reader, rest, started, strip_usage)
        if not record.error and not reader.ended():
            raise UpstreamFailed("the upstream's stream ended before its answer did")
        if passes:
            yield rest
    except (ApiError, ValueError) as error:
        failure = error if isinstance(error, ApiError) else UpstreamFailed(str(error))
        record.error = failure.code or "error"
        yield reader.failed(failure)
    finally:
        record.provider_s = (record.provider_s or 0.0) + time.perf_counter() - started
        listened_to = ended and size <= _MAX_LISTENED_BYTES
        completion = Completion(b"".join(listened), answer.wire, stream=True) if listened_to else None
        async with aclosing(answer.chunks):  # type: ignore[type-var]
            for listener in answer.listeners:
                await listener(completion)


def _observe(context: RequestContext, reader: StreamReader, event: bytes, started: float, strip_usage: bool) -> bool:
    """Notes what the event says; False where it must not reach the client."""
    record = context.record
    facts = reader.read(event, awaiting=record.first_token_s is None)
    if facts.content and record.first_token_s is None:
        record.first_token_s = (record.provider_s or 0.0) - context.failed_s + time.perf_counter() - started
    if facts.error:
        record.error = UpstreamFailed.code or "error"
    if facts.meta is None:
        return True
    _note(record, facts.meta)
    return not (strip_usage and facts.only_usage)


def _note(record: Record, meta: Meta) -> None:
    record.answered_model = meta.model or record.answered_model
    record.service_tier = meta.tier or record.service_tier
    if meta.usage is None:
        return
    given, generated = meta.usage.given, meta.usage.generated
    cached, written = meta.usage.cached or 0, meta.usage.written or 0
    record.usage_source = "missing"
    if given is None or generated is None:
        return
    if min(given, generated, cached, written) >= 0 and max(given, generated, cached, written) <= _MAX_TOKENS:
        record.usage_source = "reported"
        record.input_tokens, record.output_tokens = given, generated
        record.cached_input_tokens = min(cached, given)
        record.cache_write_tokens = min(written, given - record.cached_input_tokens)
