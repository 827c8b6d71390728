import json
from typing import Any

import msgspec
import pytest

from gateway.answers.format import (
    AnyObject,
    FunctionCall,
    PlainWord,
    RequestedFormat,
    SchemaObject,
    Unsupported,
    UnsupportedReason,
    requested_format,
)

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["a", "b"]}}}
TOOL = {"type": "function", "function": {"name": "classify", "parameters": SCHEMA}}
OTHER_TOOL = {"type": "function", "function": {"name": "search"}}


def asked(**fields: Any) -> RequestedFormat | Unsupported:
    return requested_format({name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, PlainWord()),
        ({"response_format": {"type": "text"}}, PlainWord()),
        ({"response_format": None, "tools": None, "unknown": {"a": 1}}, PlainWord()),
        ({"response_format": {"type": "json_object"}}, AnyObject()),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
            SchemaObject(SCHEMA),
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "classify"}}},
            FunctionCall("classify", SCHEMA, legacy=False, named=True),
        ),
        ({"tools": [TOOL], "tool_choice": "required"}, FunctionCall("classify", SCHEMA, legacy=False, named=False)),
        ({"tools": [TOOL], "tool_choice": "none"}, PlainWord()),
        (
            {"functions": [TOOL["function"]], "function_call": {"name": "classify"}},
            FunctionCall("classify", SCHEMA, legacy=True, named=True),
        ),
    ],
)
def test_shapes(fields: dict[str, Any], expected: object) -> None:
    found = asked(**fields)
    assert isinstance(found, RequestedFormat)
    assert found.shape == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tools": [TOOL]}, UnsupportedReason.FREE_TOOLS),
        ({"tools": [TOOL], "tool_choice": "auto"}, UnsupportedReason.FREE_TOOLS),
        ({"tools": [TOOL, OTHER_TOOL], "tool_choice": "required"}, UnsupportedReason.FREE_TOOLS),
        (
            {"tools": [{"type": "custom", "custom": {"name": "x"}}], "tool_choice": "required"},
            UnsupportedReason.FREE_TOOLS,
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
            UnsupportedReason.FREE_TOOLS,
        ),
        ({"functions": [TOOL["function"]]}, UnsupportedReason.FREE_TOOLS),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "no"}}},
            UnsupportedReason.MALFORMED,
        ),
        ({"response_format": {"type": "json_schema"}}, UnsupportedReason.MALFORMED),
        ({"response_format": {"type": "grammar"}}, UnsupportedReason.MALFORMED),
        ({"response_format": "json"}, UnsupportedReason.MALFORMED),
        ({"modalities": ["text", "audio"]}, UnsupportedReason.MODALITY),
        ({"web_search_options": {}}, UnsupportedReason.MODALITY),
    ],
)
def test_shapes_that_cannot_be_met(fields: dict[str, Any], expected: UnsupportedReason) -> None:
    found = asked(**fields)
    assert isinstance(found, Unsupported)
    assert found.reason == expected


def test_bounds_and_alternatives() -> None:
    found = asked(stop="\n", max_tokens=10, max_completion_tokens=5, logprobs=True, top_logprobs=3)
    assert found == RequestedFormat(shape=PlainWord(), stop=("\n",), max_tokens=5, alternatives=3)
    assert asked(stop=["a", "b"], logprobs=True) == RequestedFormat(shape=PlainWord(), stop=("a", "b"), alternatives=0)
    assert asked(top_logprobs=3) == RequestedFormat(shape=PlainWord())
