"""A rule that fills slots under a contract, where another rule redacts what the model is sent: what the model says of a
placeholder is held against what was made here as what the placeholder stands for."""

import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from classifiers.policy import Policy
from classifiers.verdict import Reading, SlotValue, Verdict
from gateway.answers.parse import Completion, unfenced
from gateway.protocols import sse
from gateway.protocols.chat_answers import CHAT
from gateway.upstreams.base import Answer, UpstreamCall
from tests.gateway.conftest import FakeClassify
from tests.gateway.contracts.test_audit import Reference, repeats_of, settled
from tests.given import table_text

Wire = Callable[..., Any]
RULES = table_text("given/gateway-audits_redacted-rules.yaml")
BOOK = {
    "version": 1,
    "name": "book",
    "kind": "slots",
    "about": "tables",
    "labels": {"book": {"means": "a table", "examples": ["book for [joe](guest)"]}, "cancel": {"means": "no table"}},
    "slots": {"guest": {"means": "who comes", "type": "text", "examples": ["joe"]}},
}
PARAMETERS = {
    "type": "object",
    "properties": {"intent": {"enum": ["book", "cancel"]}, "guest": {"type": ["string", "null"]}},
    "required": ["intent", "guest"],
    "additionalProperties": False,
}
SHAPES: dict[str, dict[str, Any]] = {
    "object": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": PARAMETERS}}},
    "call": {
        "tools": [{"type": "function", "function": {"name": "note", "parameters": PARAMETERS}}],
        "tool_choice": {"type": "function", "function": {"name": "note"}},
    },
}


@dataclass
class Repeating(Reference):
    """A model that names the guest in the words that it was sent, or another one. shown: those words; fence: what it
    puts around its JSON."""

    guest: str = ""
    shown: str = ""
    fence: str = "{}"

    async def send(self, call: UpstreamCall) -> Answer:
        self.calls += 1
        body = json.loads(call.body)
        self.shown = body["messages"][-1]["content"].split()[-1]
        said = json.dumps({"intent": "book", "guest": self.guest or self.shown})
        function = {"name": "note", "arguments": said}
        message: dict[str, Any] = {"role": "assistant", "content": self.fence.format(said)}
        if "tools" in body:
            message |= {"content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]}
        choice = {"index": 0, "finish_reason": "tool_calls" if "tools" in body else "stop"}
        if not call.stream:
            answer = {"model": "m", "choices": [{**choice, "message": message}]}
            return Answer(status=200, headers=[], body=json.dumps(answer).encode())

        async def chunks() -> AsyncIterator[bytes]:
            yield sse.event(json.dumps({"choices": [{**choice, "delta": message}]}).encode())
            yield sse.DONE

        return Answer(status=200, headers=[], chunks=chunks())


@pytest.fixture
def filled(policies: dict[str, Policy], monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy `book` whose classifier takes the last word for the guest."""
    policies["book"] = Policy.model_validate(BOOK)
    verdict = FakeClassify._verdict

    def with_guest(self: FakeClassify, reading: Reading) -> Verdict:
        found = verdict(self, reading)
        if found.classifier != "book":
            return found
        text = reading.texts[-1]
        raw = text.split()[-1]
        guest = SlotValue(slot="guest", start=len(text) - len(raw), end=len(text), raw=raw, value=raw, confidence=0.9)
        return replace(found, slots=(guest,))

    monkeypatch.setattr(FakeClassify, "_verdict", with_guest)


def wired(wire: Wire, model: Reference, redact: str) -> Any:
    rules = RULES.format(redact=redact)
    return wire(rules, upstreams={"one": model, "two": model}, draw=random.Random(0).random)


def body(number: int, **fields: Any) -> bytes:
    messages = [{"role": "user", "content": f"book a table for joe{number}@example.com"}]
    return json.dumps({"model": "dear", "messages": messages, **fields}).encode()


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("redact", ["{redact: restore}", "redact", "flag"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_placeholder_agrees_with_what_it_stands_for(
    wire: Wire, ask: Any, redact: str, shape: str, *, stream: bool
) -> None:
    model = Repeating()
    gateway = wired(wire, model, redact)
    for number in range(20):
        await ask(gateway.app, body(number, stream=stream, **SHAPES[shape]))
    assert gateway.metrics.contract_pairs.labels("intents", "agrees", "false")._value.get() == 20
    assert model.shown.startswith("joe") if redact == "flag" else model.shown == "[EMAIL_1]"


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("fence", ["{}", "```json\n{}\n```", "```\n{}```"])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_json_escapes_agrees_in_a_fence_as_well(wire: Wire, ask: Any, fence: str, *, stream: bool) -> None:
    rules = RULES.format(redact="{redact: restore}").replace("contact", "key")
    model = Repeating(fence=fence)
    gateway = wire(rules, upstreams={"one": model, "two": model}, draw=random.Random(0).random)
    # a fence is learned from 20 answers, which differ from an answer without it
    for number in range(10 if fence == "{}" else 30):
        text = rf"book a table {number}, my password is hun\ter2xK9"
        messages = [{"role": "user", "content": text}]
        sent = json.dumps({"model": "dear", "messages": messages, "stream": stream, **SHAPES["object"]}).encode()
        answer = await ask(gateway.app, sent)
    assert model.shown == "[SECRET_1]"
    assert gateway.metrics.contract_pairs.labels("intents", "agrees", "false")._value.get() == 10
    [said] = Completion(answer.body, CHAT, stream=stream).choices
    assert json.loads(unfenced(said.content)) == {"intent": "book", "guest": r"hun\ter2xK9"}


@pytest.mark.usefixtures("filled", "asked_twice")
async def test_a_model_that_repeats_itself_under_redaction_agrees_with_itself(wire: Wire, ask: Any) -> None:
    gateway = wired(wire, Repeating(), "redact")
    for number in range(20):
        await ask(gateway.app, body(number, **SHAPES["object"]))
        await settled(gateway, number + 1)
    assert repeats_of(gateway) == {"agrees": 20, "differs": 0, "missing": 0}
