import json
from typing import Any

import msgspec
import pytest

from gateway.answers.shape import AnyObject, Call, Document, Wanted, Word, wanted
from gateway.answers.unmet import Reason, Unmet

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["a", "b"]}}}
TOOL = {"type": "function", "function": {"name": "classify", "parameters": SCHEMA}}
OTHER_TOOL = {"type": "function", "function": {"name": "search"}}


def asked(**fields: Any) -> Wanted | Unmet:
    return wanted({name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Word()),
        ({"response_format": {"type": "text"}}, Word()),
        ({"response_format": None, "tools": None, "unknown": {"a": 1}}, Word()),
        ({"response_format": {"type": "json_object"}}, AnyObject()),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
            Document(SCHEMA),
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "classify"}}},
            Call("classify", SCHEMA, legacy=False, named=True),
        ),
        ({"tools": [TOOL], "tool_choice": "required"}, Call("classify", SCHEMA, legacy=False, named=False)),
        ({"tools": [TOOL], "tool_choice": "none"}, Word()),
        (
            {"functions": [TOOL["function"]], "function_call": {"name": "classify"}},
            Call("classify", SCHEMA, legacy=True, named=True),
        ),
    ],
)
def test_shapes(fields: dict[str, Any], expected: object) -> None:
    found = asked(**fields)
    assert isinstance(found, Wanted)
    assert found.shape == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tools": [TOOL]}, Reason.FREE_TOOLS),
        ({"tools": [TOOL], "tool_choice": "auto"}, Reason.FREE_TOOLS),
        ({"tools": [TOOL, OTHER_TOOL], "tool_choice": "required"}, Reason.FREE_TOOLS),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}], "tool_choice": "required"}, Reason.FREE_TOOLS),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
            Reason.FREE_TOOLS,
        ),
        ({"functions": [TOOL["function"]]}, Reason.FREE_TOOLS),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "no"}}}, Reason.MALFORMED),
        ({"response_format": {"type": "json_schema"}}, Reason.MALFORMED),
        ({"response_format": {"type": "grammar"}}, Reason.MALFORMED),
        ({"response_format": "json"}, Reason.MALFORMED),
        ({"modalities": ["text", "audio"]}, Reason.MODALITY),
        ({"web_search_options": {}}, Reason.MODALITY),
    ],
)
def test_shapes_that_cannot_be_met(fields: dict[str, Any], expected: Reason) -> None:
    found = asked(**fields)
    assert isinstance(found, Unmet)
    assert found.reason == expected


def test_bounds_and_alternatives() -> None:
    found = asked(stop="\n", max_tokens=10, max_completion_tokens=5, logprobs=True, top_logprobs=3)
    assert found == Wanted(shape=Word(), stop=("\n",), most_tokens=5, alternatives=3)
    assert asked(stop=["a", "b"], logprobs=True) == Wanted(shape=Word(), stop=("a", "b"), alternatives=0)
    assert asked(top_logprobs=3) == Wanted(shape=Word())
