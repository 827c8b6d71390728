"""Raw ASGI for the hot path: read a bounded body, send a reply or an error."""

import asyncio
import logging
import zlib
from collections.abc import Callable
from typing import Final

import msgspec
from starlette.types import Receive, Scope, Send

from gateway.context import HEADERS, ID_HEADERS, REQUEST_ID, Reply, RequestContext
from gateway.errors import CLIENT_CLOSED, ApiError, BadRequest, BodyTooLarge, InternalError, stopping
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.served import wire_at

_log = logging.getLogger(__name__)
_JSON: Final = (b"content-type", b"application/json")


class ClientGone(Exception):
    """The client closed its connection before its body was read."""


DEPLOYMENT: Final = "offramp.deployment"
"""Where a scope has the model that its path names, for a body that names none."""
_PLAIN: Final = b"identity"
_PACKED: Final = frozenset({b"gzip", b"deflate"})
_WINDOW: Final = 47
"""zlib's `wbits` for either."""


async def read_body(scope: Scope, receive: Receive, *, max_bytes: int) -> bytes:
    """The request's body, unpacked, with the path's model where it names none; the server bounds its time. Raises
    BodyTooLarge, BadRequest or ClientGone."""
    headers: dict[bytes, bytes] = scope[HEADERS]
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    packing = headers.get(b"content-encoding", _PLAIN).lower()
    if packing != _PLAIN and packing not in _PACKED:
        raise BadRequest("a body that is compressed otherwise than by gzip or deflate is not taken")
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
        more = message.get("more_body", False)
    body = part if len(parts) == 1 else b"".join(parts)
    if packing != _PLAIN:
        body = await asyncio.to_thread(_unpacked, body, max_bytes)
    return body if DEPLOYMENT not in scope else _naming(body, scope[DEPLOYMENT])


def _unpacked(body: bytes, max_bytes: int) -> bytes:
    """A body out of gzip or zlib; nothing is unpacked beyond max_bytes."""
    unpacking = zlib.decompressobj(_WINDOW)
    try:
        whole = unpacking.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise BadRequest("the body cannot be unpacked") from error
    if len(whole) > max_bytes:
        raise _too_large(max_bytes)
    if not unpacking.eof or unpacking.unused_data:
        raise BadRequest("the compressed body is not whole, or has bytes behind it")
    return whole


def _naming(body: bytes, model: str) -> bytes:
    """A body with its path's model. What names one, or is no JSON object, is left as it is."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return body
    return body if "model" in fields else msgspec.json.encode({"model": model, **fields})


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is over {max_bytes} bytes (limits.body in gateway.yaml)")


def note_failure(context: RequestContext, error: BaseException) -> ApiError | None:
    """Notes in the record how a request failed. Returns the error for its client; None where that has gone. A cancelled
    request whose client is there was cancelled because the time to drain is over."""
    record = context.record
    cancelled = isinstance(error, asyncio.CancelledError)
    answer: ApiError | None
    if isinstance(error, ClientGone) or (cancelled and context.client_gone):
        answer, record.status, code = None, CLIENT_CLOSED, "client_closed"
    else:
        internal = InternalError(f"internal error; the request's id is {record.request_id}")
        answer = stopping() if cancelled else error if isinstance(error, ApiError) else internal
        record.status, code = answer.status, "cancelled" if cancelled else answer.code or answer.type
    record.error = record.error or code
    if record.decision != "block":
        record.decision = "error"
        record.saved_reason, record.saved_usd, record.saved_estimated = None, 0.0, False
        record.saved_input_tokens = record.saved_output_tokens = 0
        if record.usage_source == "estimated":
            record.usage_source = "none"
    return answer


async def send_reply(scope: Scope, send: Send, reply: Reply, *, cut: Callable[[], ApiError] | None = None) -> None:
    """Sends a reply with the request's id; a stream is sent as it comes, and closed however this ends. cut: makes the
    error that ends a stream that is cut off because this task is cancelled."""
    headers = [*reply.headers, *scope[ID_HEADERS]]
    if reply.chunks is None:
        headers.append((b"content-length", b"%d" % len(reply.body)))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})
        return
    begun = False
    try:
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        begun = True
        async for chunk in reply.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except asyncio.CancelledError:
        if begun and cut is not None:
            # chunks are whole events
            rest = b"" if reply.failed is None else reply.failed(cut())
            await send({"type": "http.response.body", "body": rest})
        raise
    finally:
        close = getattr(reply.chunks, "aclose", None)
        if close is not None:
            await close()
    await send({"type": "http.response.body", "body": b""})


async def send_failure(scope: Scope, send: Send, context: RequestContext, error: BaseException) -> None:
    """Notes in the record how a request failed, and sends its client the error unless a reply has begun. A fault of the
    gateway's own that comes in mid-reply is raised again, so that the server closes the connection."""
    answer = note_failure(context, error)
    if isinstance(answer, InternalError):
        _log.error("%s: a fault of the gateway's own", context.record.request_id, exc_info=error)
        if context.replying:
            raise error
    if answer is not None and not context.replying:
        await send_error(scope, send, answer)


async def send_error(scope: Scope, send: Send, error: ApiError) -> None:
    """Sends an error as the path's wire format has it."""
    extra = [(name.encode(), value.encode()) for name, value in error.headers().items()]
    await send_reply(scope, send, Reply(status=error.status, headers=[_JSON, *extra], body=error_at(scope, error)))


def error_at(scope: Scope, error: ApiError) -> bytes:
    """The body of an error, as the wire format of a request's path has it."""
    wire = wire_at(scope["path"]) or CHAT
    return wire.replies.error(error, scope.get(REQUEST_ID, ""))
