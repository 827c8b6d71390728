"""Replies of rules, an answer or a block, in OpenAI's framing: whole or streamed."""

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


def label(request: Request, local: LocalAnswer, request_id: str, usage: chat.Usage) -> Reply:
    """A local answer with its label.

    A function that the request names ends with `stop`, as OpenAI's do; one that it only requires, with `tool_calls`.
    """
    call = local.call
    if call is None:
        message = chat.AnswerMessage(content=local.content)
        return _reply(request, request_id, message, "stop", usage, logprobs=local.logprobs)
    function = chat.AnswerFunction(name=call.name, arguments=local.content)
    if call.legacy:
        return _reply(request, request_id, chat.AnswerMessage(function_call=function), "stop", usage)
    called = chat.AnswerCall(type="function", function=function)
    message = chat.AnswerMessage(tool_calls=[called])
    return _reply(request, request_id, message, "stop" if call.named else "tool_calls", usage)


def block(request: Request, action: Action, request_id: str, usage: chat.Usage) -> Reply:
    """The action's message as a content_filter answer.

    Where the client parses a schema it is a refusal that ends with `stop`, as OpenAI's do: OpenAI's client reads no
    message that ends otherwise. Raises Blocked where the rule asks for an HTTP error.
    """
    if action.shape == "error":
        raise Blocked(action.text)
    if request.wants_schema:
        return _reply(request, request_id, chat.AnswerMessage(refusal=action.text), "stop", usage)
    return _reply(request, request_id, chat.AnswerMessage(content=action.text), "content_filter", usage)


def carry_out(record: Record, request: Request, action: Action) -> Reply:
    """An answer or a block, with the usage of the record. Raises Blocked as `block` does."""
    make = block if action.act is Act.BLOCK else answer
    return make(request, action, record.request_id, usage_of(record))


def usage_of(record: Record) -> chat.Usage:
    """The tokens that a call answered here used, or would have used."""
    given = record.input_tokens or record.saved_input_tokens
    generated = record.output_tokens or record.saved_output_tokens
    return chat.Usage(given, generated, given + generated)


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
        choices_of_events = (
            [structs.replace(choice, index=index) for choice in _deltas(each, finish, logprobs)]
            for index, each in enumerate(messages)
        )
        parts = zip(*choices_of_events, strict=True)
        return Reply(headers=list(sse.HEADERS), chunks=_stream(request, answer_id, parts, usage))
    choices = [chat.AnswerChoice(each, finish, index, logprobs) for index, each in enumerate(messages)]
    body = chat.ChatCompletion(answer_id, int(time.time()), request.model, choices, usage)
    return Reply(headers=list(_JSON), body=chat.encode(body))


def _with_ids(message: chat.AnswerMessage, call_id: str) -> chat.AnswerMessage:
    """The message of one choice with a call id of its own: a client that keeps several choices answers each call."""
    if not message.tool_calls:
        return message
    calls = [structs.replace(call, id=call_id) for call in message.tool_calls]
    return structs.replace(message, tool_calls=calls)


def _deltas(
    message: chat.AnswerMessage, finish: FinishReason, logprobs: chat.Logprobs | None
) -> Iterator[chat.ChunkChoice]:
    """A message cut into the deltas of a stream."""
    calls, call = message.tool_calls or [], message.function_call or None
    yield chat.ChunkChoice(chat.Delta(role="assistant", content=None if calls or call else ""))
    if calls or call:
        heads = [
            chat.AnswerCall(chat.AnswerFunction("", each.function.name), each.id, each.type, index)
            for index, each in enumerate(calls)
        ]
        tails = [
            chat.AnswerCall(function=chat.AnswerFunction(each.function.arguments), index=index)
            for index, each in enumerate(calls)
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
    """A block as an error event, for a stream whose status has been sent already."""

    async def chunks() -> AsyncIterator[bytes]:
        yield sse.event(error_body(error))

    return Reply(headers=list(sse.HEADERS), chunks=chunks())
