"""Responses are remembered for a while, within bounds, for their owner."""

import json

import pytest

from gateway.errors import NotFound
from gateway.protocols.responses_answers import RESPONSES
from gateway.protocols.wire import Meta, Request
from gateway.requests.memory import ResponseMemory


def asked(**fields: object) -> Request:
    return RESPONSES.parse(json.dumps({"model": "m", "input": "hi", **fields}).encode())


def answer(response: str, text: str = "Hello.") -> bytes:
    item = {"type": "message", "id": f"msg_{response}", "role": "assistant", "content": text}
    return json.dumps({"id": response, "output": [item]}).encode()


def test_what_is_old_or_too_much_is_forgotten() -> None:
    now = 0.0
    memory = ResponseMemory(most_bytes=10_000, within_s=60, clock=lambda: now)

    def make(name: str, text: str = "Hello.") -> None:
        request, _ = memory.begin(asked(), b"me")
        assert request.remember is not None
        request.remember(answer(name, text))

    make("one")
    make("large", "x" * 20_000)
    assert ("one" in memory, "large" in memory) == (True, False)
    make("two", "x" * 3_000)
    make("three", "x" * 3_000)
    assert [name for name in ("one", "two", "three") if name in memory] == ["three"]
    now = 61.0
    assert memory.find("three", b"me") is None
    reference = {"type": "item_reference", "id": "msg_three"}
    request, _ = memory.begin(asked(input=[reference]), b"me")
    assert json.loads(bytes(request.fields["input"])) == [reference]


def test_an_item_of_another_owner_stays_a_reference() -> None:
    memory = ResponseMemory()
    request, continued = memory.begin(asked(), b"me")
    assert (request.remember is not None, bool(continued.tag)) == (True, True)
    assert request.remember is not None
    request.remember(answer("one"))
    reference = {"type": "item_reference", "id": "msg_one"}
    theirs, _ = memory.begin(asked(input=[reference]), b"you")
    assert json.loads(bytes(theirs.fields["input"])) == [reference]
    mine, _ = memory.begin(asked(input=[reference]), b"me")
    assert json.loads(bytes(mine.fields["input"]))[0]["content"] == "Hello."
    memory.learn(Meta(ids=("far",)), b"me", "model", {"[EMAIL_A_1]": "a@b.example"}, checked=False)
    _, continued = memory.begin(asked(previous_response_id="far", store=False), b"me")
    assert (continued.upstream, continued.values) == ("model", {"[EMAIL_A_1]": "a@b.example"})
    with pytest.raises(NotFound):
        memory.begin(asked(previous_response_id="far"), b"you")
