import json
from typing import Any

import msgspec

from gateway.answers import format as formats
from gateway.answers.format import PlainWord, RequestedFormat, Unsupported, requested_format
from tests.gateway.answers.conftest import rows

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["a", "b"]}}}
TOOL = {"type": "function", "function": {"name": "classify", "parameters": SCHEMA}}


def requested(**fields: Any) -> RequestedFormat | Unsupported:
    return requested_format({name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()})


def test_formats() -> None:
    wrong = []
    for fields, expected in rows("formats", {"SCHEMA": SCHEMA, "TOOL": TOOL}):
        found = requested(**fields)
        outcome = str(found.reason) if isinstance(found, Unsupported) else found.shape
        shape = expected if isinstance(expected, str) else getattr(formats, expected[0])(*expected[1:])
        if outcome != shape:
            wrong.append((fields, found))
    assert not wrong


def test_bounds_and_alternatives() -> None:
    found = requested(stop="\n", max_tokens=10, max_completion_tokens=5, logprobs=True, top_logprobs=3)
    assert found == RequestedFormat(shape=PlainWord(), stop=("\n",), max_tokens=5, alternatives=3)
    both = RequestedFormat(shape=PlainWord(), stop=("a", "b"), alternatives=0)
    assert requested(stop=["a", "b"], logprobs=True) == both
    assert requested(top_logprobs=3) == RequestedFormat(shape=PlainWord())
