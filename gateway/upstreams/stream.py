"""An upstream's answer on its way to the client: bytes pass as they came; usage and first content are noted.

Holds a whole stream back until output rules have read it. Comments keep the connection alive meanwhile.

An upstream's answer as it is read: the reading ends, whatever becomes of its connection.

Listens to a stream as it passes: its bytes, when it has ended or was left.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import aiohttp
import msgspec

from gateway.context import Reply, RequestContext
from gateway.errors import ApiError, UpstreamFailed, error_body
from gateway.ledger.record import Record
from gateway.protocols import chat, sse
from gateway.protocols.json import of_upstream

_HEARTBEAT: Final = b": keep-alive\n\n"
_EVERY_S: Final = 10.0


async def hold(chunks: AsyncIterator[bytes], check: Callable[[bytes], Awaitable[Reply | None]]) -> AsyncIterator[bytes]:
    """The stream as it came where `check` (given all of it) has nothing against it, else the reply's own stream."""

    async def read() -> tuple[bytes, Reply | None]:
        body = b"".join([chunk async for chunk in chunks])
        return body, await check(body)

    task = asyncio.ensure_future(read())
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_EVERY_S)
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


_LOOKS_EVERY_S: Final = 1.0


class Received:
    """A response's bytes as they come.

    Of bytes in mid-answer that are no HTTP aiohttp tells its connection and nobody who reads, and its own clock stops.
    So both are looked at here, at times, which costs less than a clock for each read.
    """

    def __init__(self, response: aiohttp.ClientResponse, *, timeout_s: float) -> None:
        self._content = response.content
        self._protocol = response.connection.protocol if response.connection is not None else None
        self._timeout_s = timeout_s
        self._waits_since: float | None = None
        self._loop = asyncio.get_running_loop()
        # what is whole by now is waited for by nobody
        self._timer = None if self._content.is_eof() else self._next_look()

    async def next(self) -> bytes:
        """The next bytes; none at the end. Raises TimeoutError where none come in time, and aiohttp.ClientError where
        none can come."""
        self._waits_since = self._loop.time()
        try:
            return await self._content.readany()
        finally:
            self._waits_since = None

    def leave(self) -> None:
        """Nothing more is read."""
        if self._timer is not None:
            self._timer.cancel()

    def _next_look(self) -> asyncio.TimerHandle:
        return self._loop.call_later(min(_LOOKS_EVERY_S, self._timeout_s), self._look)

    def _look(self) -> None:
        if self._content.is_eof() or self._content.exception() is not None:
            return
        if self._protocol is None or self._protocol.exception() is not None:
            self._content.set_exception(aiohttp.ClientPayloadError("the answer cannot be read on"))
        elif self._waits_since is not None and self._loop.time() - self._waits_since >= self._timeout_s:
            self._content.set_exception(aiohttp.SocketTimeoutError("no bytes in time"))
        else:
            self._timer = self._next_look()


_MOST_TOKENS: Final = 10**9
"""More than any call has; a count below nothing or above this is no count."""
_DONE: Final = b"[DONE]"
_ENDING: Final = 4
"""Events from the one that says why an answer is finished to the last, usage and [DONE] among them."""
_CONTENT_MARKS: Final = (
    *(b'"content":', b'"tool_calls":', b'"function_call":', b'"refusal":'),
    *(b'"reasoning_content":', b'"reasoning":'),
)


def note_answer(record: Record, body: bytes) -> None:
    """Takes the model and the usage from a whole answer."""
    try:
        meta = of_upstream(chat.decode_meta, body)
    except (msgspec.DecodeError, RecursionError):
        record.usage_source = "missing"
        return
    _note(record, meta.model, meta.usage)
    if meta.usage is None:
        record.usage_source = "missing"


async def relay(
    context: RequestContext, chunks: AsyncIterator[bytes], *, strip_usage: bool, max_bytes: int | None = None
) -> AsyncIterator[bytes]:
    """The stream's events as they came. strip_usage: the client did not ask for the usage event, the gateway did.
    max_bytes: where the stream is held back as a whole, how much memory it may take.

    An upstream that breaks off leaves an error event as the last; never [DONE] after it. So does one whose stream ends
    as if it were whole, but with neither [DONE] nor a reason why the answer is finished. An error event of the
    upstream's own is its failure too, and passes as it came.
    """
    record = context.record
    record.usage_source = "missing"
    splitter = sse.Splitter()
    started = time.perf_counter()
    size = 0
    ending = _Ending()
    try:
        async for chunk in chunks:
            size += len(chunk)
            if max_bytes is not None and size > max_bytes:
                raise ValueError(f"the answer is over {max_bytes} bytes and is read whole here")  # noqa: TRY301
            events = map(ending.see, splitter.feed(chunk))
            out = [event for event in events if _keep(context, event, started, strip_usage)]
            if out:
                yield b"".join(out)
        rest = splitter.flush()
        kept = bool(rest) and _keep(context, rest, started, strip_usage)
        if not record.error:
            ending.check(rest)
        if kept:
            yield rest
    except ApiError as error:
        record.error = error.code or "error"
        yield sse.event(error_body(error))
    except ValueError as error:
        record.error = UpstreamFailed.code or "error"
        yield sse.event(error_body(UpstreamFailed(str(error))))
    finally:
        record.provider_s = (record.provider_s or 0.0) + time.perf_counter() - started
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


class _Ending:
    """How a stream ends."""

    def __init__(self) -> None:
        self._latest: deque[bytes] = deque(maxlen=_ENDING)

    def see(self, event: bytes) -> bytes:
        """The event as it came."""
        self._latest.append(event)
        return event

    def check(self, rest: bytes) -> None:
        """rest: what came after the last event. Raises UpstreamFailed where nothing says that the answer is whole."""
        if not any(map(_ends, (*self._latest, rest))):
            raise UpstreamFailed("the upstream's stream ended before its answer did")


def _keep(context: RequestContext, event: bytes, started: float, strip_usage: bool) -> bool:
    """Notes what the event tells; False where it must not reach the client."""
    record = context.record
    if record.first_token_s is None and any(mark in event for mark in _CONTENT_MARKS) and _has_content(event):
        record.first_token_s = (record.provider_s or 0.0) - context.failed_s + time.perf_counter() - started
    if b'"error"' in event and _tells_an_error(event):
        record.error = UpstreamFailed.code or "error"
    if b'"usage"' not in event or b'"usage":null' in event:
        return True
    answer = _answer(event)
    if answer is None or answer.usage is None:
        return True
    _note(record, answer.model, answer.usage)
    return not (strip_usage and not answer.choices)


def _ends(event: bytes) -> bool:
    """Whether the event says that the answer is finished."""
    if sse.data_of(event) == _DONE:
        return True
    answer = _answer(event) if b'"finish_reason"' in event else None
    return any(choice.finish_reason for choice in (answer.choices if answer else None) or ())


def _tells_an_error(event: bytes) -> bool:
    try:
        error = of_upstream(chat.decode_fields, sse.data_of(event) or b"{}").get("error")
        # null, false, and what is empty: some servers have the field in every event
        return error is not None and bool(of_upstream(msgspec.json.decode, bytes(error)))
    except (msgspec.DecodeError, RecursionError):
        return False


def _has_content(event: bytes) -> bool:
    answer = _answer(event)
    deltas = [choice.delta for choice in (answer.choices if answer else None) or () if choice.delta]
    thought = any(d.reasoning_content or d.reasoning for d in deltas)
    return thought or any(d.content or d.refusal or d.tool_calls or d.function_call for d in deltas)


def _answer(event: bytes) -> chat.UpstreamAnswer | None:
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
    given, made, details = usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details is not None else 0
    if given is None or made is None or not all(0 <= tokens <= _MOST_TOKENS for tokens in (given, made, cached)):
        record.usage_source = "missing"
        return
    record.usage_source = "reported"
    record.input_tokens = given
    record.output_tokens = made
    record.cached_input_tokens = min(cached, given)


_MOST: Final = 1024**2
"""Bytes that are kept; a longer answer is none to a small question."""


async def tap(chunks: AsyncIterator[bytes], heard: Callable[[bytes | None], Awaitable[None]]) -> AsyncIterator[bytes]:
    """The chunks as they came. heard: is given all of them at the end; None where the stream broke off, was
    left, or is over 1 MiB."""
    kept: list[bytes] | None = []
    size = 0
    whole = False
    try:
        async for chunk in chunks:
            size += len(chunk)
            kept = kept if size <= _MOST else None
            if kept is not None:
                kept.append(chunk)
            yield chunk
        whole = True
    finally:
        await heard(b"".join(kept) if whole and kept is not None else None)
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
