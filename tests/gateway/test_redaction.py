"""Personal data replaced on its way to an upstream and in its answer, on fakes at the gateway's ends."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from gateway.protocols import sse
from gateway.upstreams.base import Answer

Wire = Callable[..., Any]
MakeAnswer = Callable[..., Answer]

MAIL, CARD = "joe@example.com", "4111 1111 1111 1111"
# the key has no end, so that all after it counts as its own: replaced, this would be JSON no more
ENDLESS = json.dumps({"key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc", "to": "x"})
CALL = {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": ENDLESS}}]}
RULE = """
rules:
  - name: data
    classifier: data
    reads: {{output: {output}}}
    then: {{payment: {then}, contact: {then}}}
{more}"""
SENT = b'{"choices":[{"message":{"content":"ok"}}],"model":"m","usage":{"prompt_tokens":7,"completion_tokens":3}}'


def rules(then: str = "redact", *, output: str = "false", more: str = "") -> str:
    return RULE.format(then=then, output=output, more=more)


def body(*messages: Any, **fields: Any) -> bytes:
    turns = [{"role": "user", "content": one} if isinstance(one, str) else one for one in messages]
    return json.dumps({"model": "dear", "messages": turns, **fields}).encode()


def says(text: str, **choice: Any) -> bytes:
    return json.dumps({"model": "m", "choices": [{"message": {"content": text}, **choice}]}).encode()


def stream(*texts: str) -> list[bytes]:
    chunks = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    return [*(sse.event(json.dumps(chunk, separators=(",", ":")).encode()) for chunk in chunks), sse.DONE]


@pytest.fixture
def gateway(wire: Wire, fake_upstream: Any, make_answer: MakeAnswer) -> Callable[..., Any]:
    """gateway(rules, answer or events=…): with one upstream that answers so; what it was sent is in `.sent`."""

    def make(text: str, answer: bytes = SENT, *, events: list[bytes] | None = None) -> Any:
        upstream = fake_upstream([make_answer(answer, events=events)])
        return wire(text, upstreams={"one": upstream, "two": upstream})

    return make


def sent(wired: Any) -> list[dict[str, Any]]:
    """The messages that the upstream got."""
    (call,) = wired.upstreams["one"].calls
    messages: list[dict[str, Any]] = json.loads(call.body)["messages"]
    return messages


def replaced(wired: Any, kind: str, rule: str = "data") -> float | None:
    value: float | None = wired.metrics.registry.get_sample_value(
        "offramp_redacted_places_total", {"rule": rule, "kind": kind}
    )
    return value


async def test_what_is_found_is_replaced_before_it_is_forwarded(gateway: Any, ask: Any) -> None:
    wired = gateway(rules())
    answer = await ask(wired.app, body(f"I am {MAIL}, my card {CARD}", f"again: {MAIL}"))
    assert answer.body == SENT
    assert [message["content"] for message in sent(wired)] == ["I am [EMAIL_1], my card [CARD_1]", "again: [EMAIL_1]"]
    assert answer.headers["x-offramp-decision"] == "redact"
    assert answer.headers["x-offramp-redacted"] == "card:1,email:2"
    assert (answer.headers["x-offramp-rule"], answer.headers["x-offramp-label"]) == ("data", "contact")
    assert (replaced(wired, "email"), replaced(wired, "card")) == (2, 1)
    record = wired.record()
    assert (record.decision, record.rule, record.redacted) == ("redact", "data", "card:1,email:2")
    assert record.spent_usd == pytest.approx(7 * 10e-6 + 3 * 40e-6)
    # a time may have any digits
    texts = [value for value in structs.astuple(record) if isinstance(value, str)]
    assert not any(MAIL in text or "1111" in text for text in texts)


async def test_text_without_any_is_forwarded_byte_for_byte(gateway: Any, ask: Any) -> None:
    wired = gateway(rules())
    request = b'{"model":"dear", "messages":[ {"role":"user","content":"hi"} ],"x" : 1.50}'
    answer = await ask(wired.app, request)
    assert answer.headers["x-offramp-decision"] == "forward"
    assert "x-offramp-redacted" not in answer.headers
    assert (
        wired.upstreams["one"].calls[0].body
        == b'{"model":"dear","messages":[ {"role":"user","content":"hi"} ],"x":1.50}'
    )
    assert wired.record().redacted == ""


async def test_every_text_of_every_role_is_read_and_nothing_else_changes(gateway: Any, ask: Any) -> None:
    messages = [
        {"role": "system", "content": f"write to {MAIL}"},
        {"role": "user", "content": [{"type": "text", "text": f"at {MAIL}"}, {"type": "text", "text": "é", "x": 1e2}]},
        {
            "role": "assistant",
            "content": None,
            "refusal": f"no {MAIL}",
            "tool_calls": [
                {
                    "id": "1",
                    "type": "function",
                    "function": {"name": "f", "arguments": json.dumps({"to": MAIL, "n": 1})},
                },
                {"id": "2", "type": "custom", "custom": {"name": "g", "input": MAIL}},
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": json.dumps({"card": 4111111111111111})},
        {"role": "user", "name": MAIL, "content": "the end"},
    ]
    wired = gateway(rules())
    await ask(wired.app, body(*messages, temperature=1.0, tools=[{"type": "function", "function": {"name": "f"}}]))
    asked = json.loads(wired.upstreams["one"].calls[0].body)
    text = json.dumps(messages).replace(MAIL, "[EMAIL_1]").replace("4111111111111111", '\\"[CARD_1]\\"')
    assert asked["messages"] == json.loads(text)
    assert json.loads(asked["messages"][2]["tool_calls"][0]["function"]["arguments"]) == {"to": "[EMAIL_1]", "n": 1}
    assert (asked["temperature"], len(asked["tools"])) == (1.0, 1)
    assert wired.record().redacted == "card:1,email:6"


@pytest.mark.parametrize(
    ("message", "label"),
    [
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "unread"),
        (f"broken {MAIL}", "broken"),
    ],
)
async def test_what_could_not_be_read_is_not_forwarded(gateway: Any, ask: Any, message: Any, label: str) -> None:
    wired = gateway(rules())
    answer = await ask(wired.app, body(MAIL, message))
    assert (answer.headers["x-offramp-decision"], answer.headers["x-offramp-label"]) == ("block", label)
    assert wired.upstreams["one"].calls == []
    wired.writer.close()


@pytest.mark.parametrize(("more", "decision"), [("", "block"), ("    when_broken: forward", "forward")])
async def test_what_cannot_be_replaced_goes_by_when_broken(gateway: Any, ask: Any, more: str, decision: str) -> None:
    wired = gateway(rules(more=more).replace("contact: redact", "key: redact"))
    answer = await ask(wired.app, body({"role": "assistant", **CALL}))
    assert (answer.headers["x-offramp-decision"], answer.headers["x-offramp-rule"]) == (decision, "data")
    assert answer.headers["x-offramp-label"] == ("broken" if decision == "block" else "key")
    assert len(wired.upstreams["one"].calls) == (decision == "forward")
    wired.writer.close()


async def test_json_in_a_message_may_end_as_none_where_a_value_has_no_end(gateway: Any, ask: Any) -> None:
    wired = gateway(rules().replace("contact:", "key:"))
    await ask(wired.app, body(ENDLESS))
    assert sent(wired)[0]["content"] == '{"key": "[SECRET_1]'
    assert wired.record().redacted == "secret:1"


async def test_places_of_request_and_answer_are_counted_together_and_not_those_of_a_flag(
    gateway: Any, ask: Any
) -> None:
    _, _, reads = rules(output="true").replace("payment: redact", "payment: flag").partition("rules:")
    wired = gateway(rules() + reads.replace("name: data", "name: answers"), says(f"{CARD} or ann@example.com"))
    answer = await ask(wired.app, body(MAIL))
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == f"{CARD} or [EMAIL_2]"
    record = wired.record()
    assert (record.decision, record.rule, record.redacted) == ("redact", "data", "email:2")


async def test_an_answer_is_redacted_and_loses_its_logprobs(gateway: Any, ask: Any) -> None:
    wired = gateway(rules(output="true"), says(f"write to {MAIL}", logprobs={"content": [{"token": MAIL}]}))
    answer = await ask(wired.app, body("who can help?"))
    (choice,) = json.loads(answer.body)["choices"]
    assert choice == {"message": {"content": "write to [EMAIL_1]"}, "logprobs": None}
    assert answer.headers["x-offramp-decision"] == "redact"
    record = wired.record()
    assert (record.decision, record.rule, record.label, record.redacted) == ("redact", "data", "contact", "email:1")
    # the question, then the answer
    assert [part.rpartition(":")[0] for part in record.verdicts.split(",")] == ["data:payment:0.0100", "data:contact"]


async def test_a_streamed_answer_is_held_and_redacted_across_its_chunks(gateway: Any, ask: Any) -> None:
    wired = gateway(rules(output="true"), events=stream("write to joe@", "exam", "ple.com", ", please"))
    answer = await ask(wired.app, body("who?", stream=True))
    assert answer.body == b"".join(stream("write to [EMAIL_1]", "", "", ", please"))
    assert wired.record().redacted == "email:1"


@pytest.mark.parametrize("message", [{"content": MAIL, "audio": {"transcript": MAIL}}, CALL])
async def test_an_answer_that_cannot_be_read_or_replaced_is_blocked(gateway: Any, ask: Any, message: Any) -> None:
    held = json.dumps({"choices": [{"message": message}]}).encode()
    wired = gateway(rules(output="true").replace("payment:", "key:"), held)
    answer = await ask(wired.app, body("who?"))
    assert answer.headers["x-offramp-decision"] == "block"
    assert not any(word in answer.body.decode() for word in (MAIL, "MIIE"))
    wired.writer.close()


async def test_values_are_put_back_into_the_answer(gateway: Any, ask: Any) -> None:
    call = {"function": {"name": "mail", "arguments": '{"to":"[EMAIL_1]"}'}}
    content = {"choices": [{"message": {"content": "to [EMAIL_1], not [EMAIL_2]", "tool_calls": [call]}}]}
    wired = gateway(rules("{redact: restore}"), json.dumps(content).encode())
    answer = await ask(wired.app, body(f"mail {MAIL}"))
    assert sent(wired)[0]["content"] == "mail [EMAIL_1]"
    message = json.loads(answer.body)["choices"][0]["message"]
    assert message["content"] == f"to {MAIL}, not [EMAIL_2]"
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"to": MAIL}
    assert wired.record().redacted == "email:1"


async def test_an_answer_that_is_json_stays_json(gateway: Any, ask: Any) -> None:
    content = json.dumps({"mail": MAIL, "card": 4111111111111111})
    wired = gateway(rules(output="true"), says(content))
    answer = await ask(wired.app, body("who pays?"))
    content = json.loads(answer.body)["choices"][0]["message"]["content"]
    assert json.loads(content) == {"mail": "[EMAIL_1]", "card": "[CARD_1]"}
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----"
    wired = gateway(rules("{redact: restore}").replace("contact:", "key:"), says('{"key": "[SECRET_1]"}'))
    answer = await ask(wired.app, body(f"keep {key}"))
    assert json.loads(json.loads(answer.body)["choices"][0]["message"]["content"]) == {"key": key}
    wired.writer.close()
