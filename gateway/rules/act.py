"""A local decision in the caller's own framing: an answer or a block, whole or streamed, as clients understand it."""

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Literal

from msgspec import UNSET, UnsetType, structs

from gateway.answers.build import LocalAnswer
from gateway.context import Reply
from gateway.errors import Blocked, error_body
from gateway.ledger.record import Record
from gateway.protocols import chat, sse
from gateway.requests.parse import Request
from gateway.rules.rule import Act, Action

_JSON = [(b"content-type", b"application/json")]
FinishReason = Literal["stop", "content_filter", "tool_calls"]


def answer(request: Request, action: Action, request_id: str, usage: chat.Usage) -> Reply:
    """The action's text as the model's answer."""
    return _reply(request, request_id, chat.AnswerMessage(content=action.text), "stop", usage)


def label(request: Request, made: LocalAnswer, request_id: str, usage: chat.Usage) -> Reply:
    """A label in the shape that the request asks for. A function that the request names ends with `stop`, as OpenAI's
    answers do; one that it only requires, with `tool_calls`."""
    call = made.call
    if call is None:
        message = chat.AnswerMessage(content=made.content)
        return _reply(request, request_id, message, "stop", usage, logprobs=made.logprobs)
    function = chat.AnswerFunction(name=call.name, arguments=made.content)
    if call.legacy:
        return _reply(request, request_id, chat.AnswerMessage(function_call=function), "stop", usage)
    called = chat.AnswerCall(type="function", function=function)
    message = chat.AnswerMessage(tool_calls=[called])
    return _reply(request, request_id, message, "stop" if call.named else "tool_calls", usage)


def block(request: Request, action: Action, request_id: str, usage: chat.Usage) -> Reply:
    """The action's sentence as a content_filter answer; where the client parses a schema as a refusal, which ends with
    `stop` as OpenAI's do: for any other reason its client reads no message.

    Raises Blocked where the rule asks for an HTTP error.
    """
    if action.shape == "error":
        raise Blocked(action.text)
    if request.wants_schema:
        return _reply(request, request_id, chat.AnswerMessage(refusal=action.text), "stop", usage)
    return _reply(request, request_id, chat.AnswerMessage(content=action.text), "content_filter", usage)


def carry_out(record: Record, request: Request, action: Action) -> Reply:
    """An answer or a block, with the usage that the record tells. Raises Blocked as `block` does."""
    make = block if action.act is Act.BLOCK else answer
    return make(request, action, record.request_id, usage_of(record))


def usage_of(record: Record) -> chat.Usage:
    """Of an answer made here: what the call used, or would have."""
    given = record.input_tokens or record.saved_input_tokens
    made = record.output_tokens or record.saved_output_tokens
    return chat.Usage(given, made, given + made)


def _reply(
    request: Request,
    request_id: str,
    message: chat.AnswerMessage,
    finish: FinishReason,
    usage: chat.Usage,
    *,
    logprobs: chat.Logprobs | None = None,
) -> Reply:
    own = request_id.removeprefix("req_")
    answer_id = "chatcmpl-" + own
    messages = [_with_ids(message, f"call_{own}_{index}") for index in range(request.choices)]
    if request.stream:
        parts = zip(*(_chunks(one, finish, index, logprobs) for index, one in enumerate(messages)), strict=True)
        return Reply(headers=list(sse.HEADERS), chunks=_stream(request, answer_id, parts, usage))
    choices = [chat.AnswerChoice(one, finish, index, logprobs) for index, one in enumerate(messages)]
    body = chat.ChatCompletion(answer_id, int(time.time()), request.model, choices, usage)
    return Reply(headers=list(_JSON), body=chat.encode(body))


def _with_ids(message: chat.AnswerMessage, call_id: str) -> chat.AnswerMessage:
    """The message of one choice: a client that keeps several answers each call by its own id."""
    if not message.tool_calls:
        return message
    calls = [structs.replace(one, id=call_id) for one in message.tool_calls]
    return structs.replace(message, tool_calls=calls)


def _chunks(
    message: chat.AnswerMessage, finish: FinishReason, choice: int, logprobs: chat.Logprobs | None
) -> Iterator[chat.ChunkChoice]:
    """A message as what the chunks of a stream hold of it. choice: its number."""
    for part in _deltas(message, finish, logprobs):
        yield structs.replace(part, index=choice)


def _deltas(
    message: chat.AnswerMessage, finish: FinishReason, logprobs: chat.Logprobs | None
) -> Iterator[chat.ChunkChoice]:
    calls, call = message.tool_calls or [], message.function_call or None
    yield chat.ChunkChoice(chat.Delta(role="assistant", content=None if calls or call else ""))
    if calls or call:
        heads = [
            chat.AnswerCall(id=one.id, type=one.type, index=index, function=chat.AnswerFunction("", one.function.name))
            for index, one in enumerate(calls)
        ]
        tails = [
            chat.AnswerCall(index=index, function=chat.AnswerFunction(one.function.arguments))
            for index, one in enumerate(calls)
        ]
        head, tail = (chat.AnswerFunction("", call.name), chat.AnswerFunction(call.arguments)) if call else (None, None)
        yield chat.ChunkChoice(chat.Delta(tool_calls=heads or None, function_call=head))
        yield chat.ChunkChoice(chat.Delta(tool_calls=tails or None, function_call=tail))
    else:
        yield chat.ChunkChoice(chat.Delta(content=message.content, refusal=message.refusal), logprobs=logprobs)
    yield chat.ChunkChoice(chat.Delta(), finish)


async def _stream(
    request: Request, answer_id: str, parts: Iterable[Sequence[chat.ChunkChoice]], usage: chat.Usage
) -> AsyncIterator[bytes]:
    created = int(time.time())
    pending: UnsetType | None = None if request.wants_usage else UNSET
    for part in parts:
        yield sse.event(chat.encode(chat.Chunk(answer_id, created, request.model, list(part), pending)))
    if request.wants_usage:
        yield sse.event(chat.encode(chat.Chunk(answer_id, created, request.model, [], usage)))
    yield sse.DONE


def broken_off(error: Blocked) -> Reply:
    """A block as an error where the stream's status has been sent already: an error event ends it."""

    async def chunks() -> AsyncIterator[bytes]:
        yield sse.event(error_body(error))

    return Reply(headers=list(sse.HEADERS), chunks=chunks())
