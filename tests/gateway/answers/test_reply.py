"""An answer or a block made here, as OpenAI's own client types it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.answers import reply
from gateway.answers.build import LocalAnswer
from gateway.context import Reply
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.wire import FunctionCall, Request
from gateway.record import Record
from gateway.rules.rule import Act, Action

RECORD = Record(request_id="req_abc", at=1.0, endpoint="chat", saved_input_tokens=5, saved_output_tokens=2)
SAYS = Action(act=Act.ANSWER, text="Hello 👋")
STOPS = Action(act=Act.BLOCK, text="Not here.")


def request(**fields: Any) -> Request:
    return CHAT.parse(json.dumps({"model": "gpt-4o", "messages": [], **fields}).encode())


async def events(reply: Reply) -> list[bytes]:
    assert reply.chunks is not None
    return [event async for event in reply.chunks]


async def chunks(reply: Reply) -> list[ChatCompletionChunk]:
    *parts, last = await events(reply)
    assert last == b"data: [DONE]\n\n"
    assert all(part.startswith(b"data: ") and part.endswith(b"\n\n") for part in parts)
    return [ChatCompletionChunk.model_validate(json.loads(part[6:]), strict=True) for part in parts]


def test_a_block_is_a_refusal_where_the_client_parses_a_schema() -> None:
    asked = request(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {}}})
    (choice,) = ChatCompletion.model_validate_json(reply.carry_out(RECORD, asked, STOPS).body).choices
    assert (choice.message.content, choice.message.refusal, choice.finish_reason) == (None, "Not here.", "stop")


@pytest.mark.parametrize("choices", [1, 2])
async def test_a_stream_of_an_answer(choices: int) -> None:
    sent = reply.carry_out(RECORD, request(stream=True, n=choices), SAYS)
    assert dict(sent.headers)[b"content-type"].startswith(b"text/event-stream")
    first, middle, last = await chunks(sent)
    assert {(part.id, part.model, part.object) for part in (first, middle, last)} == {
        ("chatcmpl-abc", "gpt-4o", "chat.completion.chunk")
    }
    assert len({part.created for part in (first, middle, last)}) == 1
    assert first.choices[0].delta.role == "assistant"
    assert middle.choices[0].delta.content == "Hello 👋"
    assert last.choices[0].finish_reason == "stop"
    assert len(last.choices) == choices


async def test_a_stream_has_usage_only_where_it_was_asked_for() -> None:
    assert b"usage" not in b"".join(await events(reply.carry_out(RECORD, request(stream=True), SAYS)))
    asked = request(stream=True, stream_options={"include_usage": True})
    *parts, last = await chunks(reply.carry_out(RECORD, asked, SAYS))
    assert all(part.usage is None for part in parts)
    assert (last.choices, last.usage and last.usage.completion_tokens) == ([], 2)


CALLED = FunctionCall("route", {}, legacy=False, named=False)
CALLS = LocalAnswer(content='{"intent":"card"}', label="card", call=CALLED)


async def test_a_streamed_call_of_several_choices() -> None:
    parts = await chunks(reply.label(RECORD, request(stream=True, n=2), CALLS))
    for number in range(2):
        deltas = [choice.delta for part in parts for choice in part.choices if choice.index == number]
        calls = [call for delta in deltas for call in delta.tool_calls or []]
        assert [call.id for call in calls] == [f"call_abc_{number}", None]
        assert "".join(call.function.arguments or "" for call in calls if call.function) == CALLS.content
    assert {choice.finish_reason for choice in parts[-1].choices} == {"tool_calls"}


async def test_a_streamed_call_of_a_function_as_it_was_asked_for_before_tools() -> None:
    answer = replace(CALLS, call=replace(CALLED, legacy=True))
    parts = await chunks(reply.label(RECORD, request(stream=True), answer))
    calls = [call for part in parts if (call := part.choices[0].delta.function_call)]
    assert ("".join(call.name or "" for call in calls), calls[-1].arguments) == ("route", CALLS.content)
    assert (calls[0].arguments, parts[-1].choices[0].finish_reason) == ("", "stop")
