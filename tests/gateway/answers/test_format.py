import json
from typing import Any

import msgspec

from gateway.protocols import wire as formats
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.wire import RequestedFormat, Unsupported
from tests.gateway.answers.conftest import rows

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["a", "b"]}}}
TOOL = {"type": "function", "function": {"name": "classify", "parameters": SCHEMA}}


def requested(**fields: Any) -> RequestedFormat | Unsupported:
    return CHAT.requests.requested({name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()})


def test_formats() -> None:
    wrong = []
    for fields, expected in rows("formats", {"SCHEMA": SCHEMA, "TOOL": TOOL}):
        found = requested(**fields)
        outcome = str(found.reason) if isinstance(found, Unsupported) else found.shape
        shape = expected if isinstance(expected, str) else getattr(formats, expected[0])(*expected[1:])
        if outcome != shape:
            wrong.append((fields, found))
    assert not wrong
