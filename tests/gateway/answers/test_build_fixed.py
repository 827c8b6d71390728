"""Which requests a fixed text answers, and which go on without it."""

import json
from typing import Any

import pytest

from gateway.answers.build import text_unsupported
from gateway.requests.parse import parse_chat

FUNCTION = {"name": "f", "parameters": {"type": "object"}}
TOOLS = [{"type": "function", "function": FUNCTION}]
NAMED = {"type": "function", "function": {"name": "f"}}
TITLE = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
DEEP: dict[str, Any] = {"type": "object", "properties": {"title": {"minLength": "?"}}}


def reason(text: str, **fields: Any) -> str | None:
    request = parse_chat(json.dumps({"model": "m", "messages": [], **fields}).encode())
    found = text_unsupported(text, request.fields)
    return None if found is None else found.reason


def document(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"response_format": None, "tools": None, "tool_choice": None, "logprobs": False, "max_tokens": 1}, None),
        ({"response_format": {"type": "text"}, "stop": ["!"], "n": 2, "stream": True}, None),
        ({"tools": TOOLS}, None),
        ({"tools": TOOLS, "tool_choice": "auto"}, None),
        ({"tools": [*TOOLS, {"type": "custom", "custom": {"name": "g"}}]}, None),
        ({"functions": [FUNCTION], "function_call": "auto"}, None),
        ({"tools": TOOLS, "tool_choice": "none"}, None),
        ({"tools": TOOLS, "tool_choice": "required"}, "no_place"),
        ({"tools": TOOLS * 2, "tool_choice": "required"}, "no_place"),
        ({"tools": TOOLS, "tool_choice": {"type": "auto"}, "max_tokens": 100.0}, None),
        (
            {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
            None,
        ),
        ({"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required"}}}, "no_place"),
        ({"tools": TOOLS, "tool_choice": NAMED}, "no_place"),
        ({"functions": [FUNCTION], "function_call": {"name": "f"}}, "no_place"),
        ({"tools": TOOLS, "response_format": document(TITLE)}, "no_place"),
        ({"response_format": {"type": "json_object"}}, "no_place"),
        ({"response_format": document(TITLE)}, "no_place"),
        ({"response_format": {"type": "json_schema"}}, "malformed"),
        ({"logprobs": True}, "modality"),
        ({"modalities": ["text", "audio"], "audio": {"voice": "x"}}, "modality"),
    ],
)
def test_plain_text(fields: dict[str, Any], expected: str | None) -> None:
    assert reason("Hi! How can I help?", **fields) == expected


@pytest.mark.parametrize("choice", ["1e999", '{"type": "auto", "x": 1e999}'])
@pytest.mark.parametrize("field", ["tool_choice", "function_call"])
def test_a_choice_that_cannot_be_read(field: str, choice: str) -> None:
    request = parse_chat(f'{{"model": "m", "messages": [], "{field}": {choice}}}'.encode())
    found = text_unsupported("Hi!", request.fields)
    assert found is not None
    assert found.reason == "malformed"


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ('{"title": "Hi!"}', {"type": "json_object"}, None),
        ('{"title": "Hi!"}', document(TITLE), None),
        ('{"title": "Hi!"}', {"type": "text"}, None),
        ('{"title": 7}', {"type": "json_object"}, None),
        ('{"title": 7}', document(TITLE), "schema"),
        ("{}", document(TITLE), "schema"),
        ('{"title": "Hi!"}', document({**TITLE, "allOf": [{}]}), "schema"),
        ('{"title": "Hi!"}', document(DEEP), "schema"),
        ('"Hi!"', {"type": "json_object"}, "schema"),
        ("7", {"type": "json_object"}, "schema"),
    ],
)
def test_a_text_that_is_json(text: str, form: dict[str, Any], expected: str | None) -> None:
    assert reason(text, response_format=form) == expected
