"""A local decision in the caller's own framing: an answer or a block, whole or streamed, as clients understand it."""

import time
from collections.abc import AsyncIterator
from typing import Literal

from msgspec import UNSET, UnsetType

from gateway.errors import Blocked
from gateway.reading.request import Request
from gateway.rules.rule import Action
from gateway.types import Reply
from gateway.wire import chat, sse
from gateway.wire.errors import error_body

_JSON = [(b"content-type", b"application/json")]
FinishReason = Literal["stop", "content_filter"]


def answer(request: Request, action: Action, request_id: str, usage: chat.Usage) -> Reply:
    """The action's text as the model's answer."""
    return _reply(request, request_id, chat.AnswerMessage(content=action.text), "stop", usage)


def block(request: Request, action: Action, request_id: str, usage: chat.Usage) -> Reply:
    """The action's sentence as a content_filter answer; as a refusal where the client parses a schema.

    Raises Blocked where the rule asks for an HTTP error.
    """
    if action.shape == "error":
        raise Blocked(action.text)
    message = chat.AnswerMessage(content=action.text)
    if request.wants_schema:
        message = chat.AnswerMessage(refusal=action.text)
    return _reply(request, request_id, message, "content_filter", usage)


def _reply(
    request: Request, request_id: str, message: chat.AnswerMessage, finish: FinishReason, usage: chat.Usage
) -> Reply:
    answer_id = "chatcmpl-" + request_id.removeprefix("req_")
    if request.stream:
        chunks = _stream(request, answer_id, message, finish, usage)
        return Reply(headers=list(sse.HEADERS), chunks=chunks)
    choices = [chat.Choice(message, finish, index) for index in range(request.choices)]
    body = chat.ChatCompletion(answer_id, int(time.time()), request.model, choices, usage)
    return Reply(headers=list(_JSON), body=chat.encode(body))


async def _stream(
    request: Request, answer_id: str, message: chat.AnswerMessage, finish: FinishReason, usage: chat.Usage
) -> AsyncIterator[bytes]:
    created = int(time.time())
    pending: UnsetType | None = None if request.wants_usage else UNSET
    deltas = [
        (chat.Delta(role="assistant", content=""), None),
        (chat.Delta(content=message.content, refusal=message.refusal), None),
        (chat.Delta(), finish),
    ]
    for delta, reason in deltas:
        choices = [chat.ChunkChoice(delta, reason, index) for index in range(request.choices)]
        yield sse.event(chat.encode(chat.Chunk(answer_id, created, request.model, choices, pending)))
    if request.wants_usage:
        yield sse.event(chat.encode(chat.Chunk(answer_id, created, request.model, [], usage)))
    yield sse.DONE


def broken_off(error: Blocked) -> Reply:
    """A block as an error where the stream's status has been sent already: an error event ends it."""

    async def chunks() -> AsyncIterator[bytes]:
        yield sse.event(error_body(error))

    return Reply(headers=list(sse.HEADERS), chunks=chunks())
