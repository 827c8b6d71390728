"""The built-in upstream answers in every shape that OpenAI's client may ask for."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.context import UpstreamModel
from gateway.errors import BadRequest
from gateway.upstreams.base import Answer, UpstreamCall
from gateway.upstreams.echo import EchoUpstream, smallest

USER = [{"role": "system", "content": "be nice"}, {"role": "user", "content": "hello big world"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


async def send(stream: bool = False, **fields: Any) -> Answer:
    body = json.dumps({"model": "m", "messages": USER, "stream": stream, **fields}).encode()
    return await EchoUpstream("echo").send(UpstreamCall(model=UpstreamModel("m"), body=body, stream=stream))


async def whole(**fields: Any) -> ChatCompletion:
    answer = await send(**fields)
    assert answer.status == 200
    return ChatCompletion.model_validate_json(answer.body)


async def streamed(**fields: Any) -> list[ChatCompletionChunk]:
    answer = await send(stream=True, **fields)
    assert answer.chunks is not None
    *parts, done = [chunk async for chunk in answer.chunks]
    assert done == b"data: [DONE]\n\n"
    return [ChatCompletionChunk.model_validate_json(part[6:-2]) for part in parts]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
async def test_a_forced_tool_is_called(choice: Any) -> None:
    message = (await whole(tools=[TOOL], tool_choice=choice)).choices[0]
    assert message.finish_reason == "tool_calls"
    assert message.message.tool_calls is not None
    call = message.message.tool_calls[0]
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "echo"})
    parts = await streamed(tools=[TOOL], tool_choice=choice)
    assert parts[1].choices[0].delta.tool_calls is not None
    assert parts[-1].choices[0].finish_reason == "tool_calls"


async def test_structured_outputs_fit_their_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"enum": ["a", "b"]}, "items": {"type": "array"}, "sub": {"$ref": "#/$defs/sub"}},
        "required": ["kind", "items", "sub"],
        "$defs": {"sub": {"anyOf": [{"type": ["integer", "null"]}]}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    content = (await whole(response_format=wanted)).choices[0].message.content
    assert json.loads(content or "") == {"kind": "a", "items": [], "sub": 0}
    content = (await whole(response_format={"type": "json_object"})).choices[0].message.content
    assert json.loads(content or "") == {"echo": "hello big world"}


SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.one_of(
        st.sampled_from(["string", "integer", "number", "boolean", "null", "array"]).map(lambda kind: {"type": kind}),
        st.lists(st.text(max_size=3), min_size=1, max_size=3).map(lambda words: {"enum": words}),
        st.text(max_size=3).map(lambda word: {"const": word}),
    ),
    lambda inner: st.one_of(
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(
            lambda fields: {"type": "object", "properties": fields, "required": list(fields)}
        ),
        st.lists(inner, min_size=1, max_size=2).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=6,
)


@given(SCHEMAS)
def test_the_smallest_value_fits_any_schema_of_structured_outputs(schema: dict[str, Any]) -> None:
    jsonschema.validate(smallest(schema), schema)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": {"a": 1}},
        {"tools": [1]},
        {"tools": [{"function": {"no": "name"}}], "tool_choice": "required"},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": []}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"anyOf": 7}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "#"}}}},
        {"messages": [{"role": "user", "content": json.loads("[" * 700 + "]" * 700)}]},
    ],
)
async def test_what_cannot_be_answered_is_a_bad_request_or_an_answer(fields: dict[str, Any]) -> None:
    try:
        answer = await send(**fields)
    except BadRequest as error:
        assert "not a chat completion" in error.message  # noqa: PT017 - either outcome is right
    else:
        assert answer.status == 200


async def test_choices_that_together_are_too_large_are_refused() -> None:
    with pytest.raises(BadRequest, match="the answer would be over"):
        await send(n=10_000_000)


@pytest.mark.parametrize(
    "last", [{"type": "string"}, {"const": "x" * 100_000}, {"enum": ["x" * 100_000]}, {"properties": {"x" * 9000: {}}}]
)
async def test_a_schema_that_grows_as_it_is_filled_is_refused(last: dict[str, Any]) -> None:
    levels = 16
    definitions: dict[str, Any] = {
        f"d{level}": {"type": "object", "properties": {name: {"$ref": f"#/$defs/d{level + 1}"} for name in ("a", "b")}}
        for level in range(levels)
    }
    schema = {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{levels}": last}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(BadRequest, match="more places"):
        await send(response_format=wanted)
