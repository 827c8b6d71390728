"""Replies of rules, an answer or a block, in OpenAI's framing: whole or streamed."""

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from msgspec import UNSET, UnsetType, structs

from gateway.answers.build import LocalAnswer
from gateway.context import Reply
from gateway.errors import ApiError, Blocked, Overloaded, TextTooLong, error_body
from gateway.protocols import chat, sse
from gateway.record import Record
from gateway.requests.parse import Request
from gateway.rules.rule import Act, Action

_JSON = [(b"content-type", b"application/json")]


def label(record: Record, request: Request, local: LocalAnswer) -> Reply:
    """A local answer with its label. A function that the request names ends with `stop`, as OpenAI's do; one that it
    only requires, with `tool_calls`."""
    call, finish = local.call, "stop"
    if call is None:
        message = chat.AnswerMessage(content=local.content)
    elif call.legacy:
        message = chat.AnswerMessage(function_call=chat.AnswerFunction(local.content, call.name))
    else:
        function = chat.AnswerFunction(local.content, call.name)
        message = chat.AnswerMessage(tool_calls=[chat.AnswerCall(type="function", function=function)])
        finish = "stop" if call.named else "tool_calls"
    return _reply(record, request, message, finish, None if call else local.logprobs)


def carry_out(record: Record, request: Request, action: Action, *, wait_s: float = 0.0) -> Reply:
    """An answer with the action's text, or a block with its message as a content_filter answer.

    Where the client parses a schema a block is a refusal that ends with `stop`, as OpenAI's do: OpenAI's client reads
    no message that ends otherwise. Raises Blocked where the rule asks for an HTTP error, TextTooLong where it blocks
    for a text's length, and Overloaded where there was no time to judge. wait_s: after which there may be.
    """
    if action.act is Act.ERROR:
        raise Overloaded(wait_s)
    if action.act is not Act.BLOCK:
        return _reply(record, request, chat.AnswerMessage(content=action.text), "stop")
    if action.shape == "error":
        raise Blocked(action.text)
    if action.shape == "too_long":
        raise TextTooLong("a text is too long to be read whole (limits.text in gateway.yaml); send it in parts")
    if request.wants_schema:
        return _reply(record, request, chat.AnswerMessage(refusal=action.text), "stop")
    return _reply(record, request, chat.AnswerMessage(content=action.text), "content_filter")


def _reply(
    record: Record, request: Request, message: chat.AnswerMessage, finish: str, logprobs: chat.Logprobs | None = None
) -> Reply:
    """The message in each choice, with the tokens that the call used, or would have used."""
    given = record.input_tokens or record.saved_input_tokens
    generated = record.output_tokens or record.saved_output_tokens
    usage = chat.Usage(given, generated, given + generated)
    own = record.request_id.removeprefix("req_")
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
    return structs.replace(message, tool_calls=[structs.replace(message.tool_calls[0], id=call_id)])


def _deltas(message: chat.AnswerMessage, finish: str, logprobs: chat.Logprobs | None) -> Iterator[chat.ChunkChoice]:
    call = message.tool_calls[0] if message.tool_calls else None
    function = call.function if call else message.function_call or None
    yield chat.ChunkChoice(chat.Delta(role="assistant", content=None if function else ""))
    if function is None:
        yield chat.ChunkChoice(chat.Delta(content=message.content, refusal=message.refusal), logprobs=logprobs)
    else:
        head, tail = chat.AnswerFunction("", function.name), chat.AnswerFunction(function.arguments)
        if call is None:
            deltas = [chat.Delta(function_call=head), chat.Delta(function_call=tail)]
        else:
            calls = [chat.AnswerCall(head, call.id, call.type, index=0), chat.AnswerCall(tail, index=0)]
            deltas = [chat.Delta(tool_calls=[each]) for each in calls]
        yield from map(chat.ChunkChoice, deltas)
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


def broken_off(error: ApiError) -> Reply:
    """An error as an event, for a stream whose status has been sent already."""

    async def chunks() -> AsyncIterator[bytes]:
        yield sse.event(error_body(error))

    return Reply(headers=list(sse.HEADERS), chunks=chunks())
