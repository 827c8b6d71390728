"""The label that a reference's answer names."""

import json
from typing import Any

import pytest

from gateway.answers.parse import Completion, label_in
from gateway.protocols import sse
from gateway.spelling import Names

NAMES = Names(labels=("card_lost", "greeting"), aliases={"greeting": ("hello",)})


def body(*contents: str | None, **message: Any) -> bytes:
    choices = [{"message": {"content": content, **message}, "finish_reason": "stop"} for content in contents]
    return json.dumps({"choices": choices}).encode()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (body("Card lost."), "card_lost"),
        (body("hello"), "greeting"),
        (body('```json\n{"intent": "card-lost", "why": "a card"}\n```'), "card_lost"),
        (body(None, tool_calls=[{"function": {"name": "f", "arguments": '{"of": ["card_lost"]}'}}]), "card_lost"),
        (body('["card_lost", "greeting"]'), None),
        (body("card lost", "greeting"), None),
        (body("It is about a card that was lost."), None),
        (body(""), None),
        (body("card lost@").replace(b"@", b"\xe2\x80"), "card_lost"),
        (b"<html>", None),
        (b'{"error": {"message": "card_lost"}}', None),
    ],
)
def test_a_whole_answer(answer: bytes, expected: str | None) -> None:
    assert label_in(Completion(answer, stream=False), NAMES) == expected


def test_a_streamed_answer() -> None:
    chunks = [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in ("card", "_lo", "st")]
    events = b"".join(sse.event(json.dumps(chunk).encode()) for chunk in chunks) + sse.DONE
    assert label_in(Completion(events, stream=True), NAMES) == "card_lost"


@pytest.mark.parametrize("message", [{}, {"content": None}, {"content": "card_lost"}])
def test_of_a_stream_that_holds_messages_as_well_the_deltas_count(message: dict[str, Any]) -> None:
    chunks = [{"choices": [{"index": 0, "delta": {"content": part}, "message": message}]} for part in ("card", "_lost")]
    events = b"".join(sse.event(json.dumps(chunk).encode()) for chunk in chunks) + sse.DONE
    assert label_in(Completion(events, stream=True), NAMES) == "card_lost"
