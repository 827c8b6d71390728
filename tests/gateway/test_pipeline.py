"""Which rules read what, and output rules on whole answers and on streams."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from classifiers.verdict import Reading
from gateway.context import new_context
from gateway.metrics.observe import Metrics
from gateway.plan import TimedClassifiers
from gateway.protocols import sse
from gateway.upstreams.base import Answer
from tests.given import table_text

Wire = Callable[..., Any]
MakeAnswer = Callable[..., Answer]

OUT = """
rules:
  - name: out
    classifier: safe
    reads: {output: true}
    then: {violence: {block: Not here.}, jailbreak: flag}
"""


SLOW = table_text("given/gateway-pipeline-slow.yaml")


def body(text: str = "hello", **fields: Any) -> bytes:
    return json.dumps({"model": "dear", "messages": [{"role": "user", "content": text}], **fields}).encode()


def whole(text: str) -> bytes:
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return json.dumps({"model": "m", "usage": usage, "choices": [{"message": {"content": text}}]}).encode()


def stream(*texts: str) -> list[bytes]:
    parts = [sse.event(json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()) for text in texts]
    return [*parts, sse.DONE]


async def test_each_rule_reads_its_roles_and_turns(wire: Wire, ask: Any) -> None:
    gateway = wire(
        """
rules:
  - {name: a, classifier: safe, then: {violence: block}}
  - {name: b, classifier: bank, then: {card: flag}}
  - {name: c, classifier: bank, when: {model: cheap}, then: {card: flag}}
  - {name: d, classifier: bank, when: {system: "be *"}, reads: {roles: [system, assistant]}, then: {card: flag}}
"""
    )
    messages = [
        {"role": "system", "content": "be nice"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "tool", "content": "three"},
        {"role": "user", "content": "four"},
    ]
    await ask(gateway.app, json.dumps({"model": "dear", "messages": messages}).encode())
    assert [(reading.classifier, reading.texts) for reading in gateway.classify.asked] == [
        ("safe", ("one", "three", "four")),
        ("bank", ("four",)),
        ("bank", ("two",)),
    ]
    assert [reading.system for reading in gateway.classify.asked] == ["be nice"] * 3
    # beside itself a prompt would say nothing
    assert [reading.alone for reading in gateway.classify.asked] == [set(), set(), {"be nice"}]
    assert gateway.record().classifier_s is not None


async def test_a_text_on_which_a_pattern_runs_out_of_time_is_not_passed_under_safety(wire: Wire, ask: Any) -> None:
    gateway = wire(SLOW)
    text = "Ticket:" + " " * 120_000
    answer = await ask(gateway.app, body(text))
    assert [(one.classifier, one.texts, one.cut) for one in gateway.classify.asked] == [("safe", (text,), True)]
    assert answer.headers["x-offramp-decision"] == "block"
    await ask(gateway.app, body("Ticket: a greeting\n---"))
    asked = [(one.classifier, one.texts, one.cut) for one in gateway.classify.asked[1:]]
    assert asked == [("safe", ("a greeting",), False), ("bank", ("a greeting",), False)]


async def test_a_whole_answer_is_blocked(wire: Wire, ask: Any, fake_upstream: Any, make_answer: MakeAnswer) -> None:
    gateway = wire(OUT, upstreams={"one": fake_upstream([make_answer(whole("pure violence"))])})
    answer = await ask(gateway.app, body())
    parsed = json.loads(answer.body)
    assert parsed["choices"][0]["message"]["content"] == "Not here."
    assert parsed["usage"]["total_tokens"] == 10
    assert "pure violence" not in answer.body.decode()
    assert answer.headers["x-offramp-decision"] == "block"
    record = gateway.record()
    assert (record.decision, record.rule, record.label, record.saved_reason) == ("block", "out", "violence", None)
    assert record.spent_usd == pytest.approx(7 * 10e-6 + 3 * 40e-6)


async def test_a_blocked_exchange_is_sent_to_no_model(
    wire: Wire, ask: Any, fake_upstream: Any, make_answer: MakeAnswer
) -> None:
    one = fake_upstream([make_answer(whole("fine"))])
    rules = "rules:\n  - {name: safety, classifier: safe, then: {violence: {block: Not here.}}}\n"
    gateway = wire(rules, upstreams={"one": one})
    history = [
        *({"role": "system", "content": "be nice"}, {"role": "user", "content": "violence"}),
        *({"role": "assistant", "content": "Not here."}, {"role": "user", "content": "hello"}),
    ]
    await ask(gateway.app, json.dumps({"model": "dear", "messages": history}).encode())
    assert [reading.texts for reading in gateway.classify.asked] == [("hello",)]
    assert json.loads(one.calls[0].body)["messages"] == [history[0], history[3]]


@pytest.mark.parametrize(
    ("more", "status", "decision"),
    [("", 503, "error"), ("    when_late: block\n", 200, "block"), ("    when_late: forward\n", 200, "forward")],
)
async def test_what_there_is_no_time_for_is_no_refusal(
    wire: Wire, ask: Any, more: str, status: int, decision: str
) -> None:
    rules = "rules:\n  - name: safety\n    classifier: safe\n    then: {violence: {block: Not here.}}\n"
    gateway = wire(rules + more)
    answer = await ask(gateway.app, body("this is read too late"))
    record = gateway.record()
    assert (answer.status, record.decision, record.abstentions) == (status, decision, "safety:late")
    if status == 503:
        assert json.loads(answer.body)["error"]["code"] == "overloaded"
        assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("1", "true")
        assert (record.rule, record.label, record.saved_usd) == ("safety", "late", 0.0)


async def test_clients_that_are_refused_together_come_again_apart(wire: Wire) -> None:
    ask = TimedClassifiers(wire().classify, Metrics(), within_s=1.0, wait_s=lambda: 10.0)
    contexts = [new_context("", "", "") for _ in range(60)]
    for context in contexts:
        await ask.verdicts(context, [Reading(classifier="safe", texts=("too late",))])
    waits = sorted(context.wait_s for context in contexts)
    assert 7 <= waits[0] < 8.5 < 11.5 < waits[-1] <= 13


async def test_an_answer_that_there_is_no_time_to_read_is_an_error(
    wire: Wire, ask: Any, fake_upstream: Any, make_answer: MakeAnswer
) -> None:
    answers = [make_answer(whole("too late")), make_answer(events=stream("too ", "late"))]
    gateway = wire(OUT, upstreams={"one": fake_upstream(answers)})
    assert (await ask(gateway.app, body())).status == 503
    streamed = await ask(gateway.app, body(stream=True))
    assert b"overloaded" in streamed.body
    assert b"[DONE]" not in streamed.body
    assert [record.decision for record in gateway.records()] == ["error", "error"]


@pytest.mark.parametrize("said", [b"not json", b'{"choices":[{"message":{"content":[]}}]}'])
async def test_an_answer_that_cannot_be_read_fails_closed(
    wire: Wire, ask: Any, fake_upstream: Any, make_answer: MakeAnswer, said: bytes
) -> None:
    gateway = wire(OUT, upstreams={"one": fake_upstream([make_answer(said)])})
    assert (await ask(gateway.app, body())).headers["x-offramp-decision"] == "block"
    record = gateway.record()
    assert (record.decision, record.label, record.spent_usd) == ("block", "broken", None)


async def test_a_rule_reads_the_answer_though_the_prompt_it_matches_is_redacted(
    wire: Wire, ask: Any, fake_upstream: Any, make_answer: MakeAnswer
) -> None:
    hides = "  - {name: hides, classifier: data, reads: {roles: [system], turns: all}, then: {contact: redact}}\n"
    rules = OUT.replace("reads:", "when: {system: 'ask joe@*'}\n    reads:") + hides
    upstream = fake_upstream([make_answer(whole("violence"))])
    gateway = wire(rules, upstreams={"one": upstream})
    messages = [{"role": "system", "content": "ask joe@example.com"}, {"role": "user", "content": "hi"}]
    answer = await ask(gateway.app, json.dumps({"model": "dear", "messages": messages}).encode())
    assert b"joe@" not in upstream.calls[0].body
    assert answer.headers["x-offramp-decision"] == "block"


async def test_a_harm_cut_over_two_chunks_is_blocked(
    wire: Wire, ask: Any, fake_upstream: Any, make_answer: MakeAnswer
) -> None:
    gateway = wire(OUT, upstreams={"one": fake_upstream([make_answer(events=stream("vio", "lence"))])})
    answer = await ask(gateway.app, body(stream=True))
    assert b"Not here." in answer.body
    assert b"vio" not in answer.body
    assert answer.body.endswith(sse.DONE)
    record = gateway.record()
    assert (record.decision, record.rule, record.status) == ("block", "out", 200)


async def test_images_are_no_text_that_was_saved_and_teach_nothing(
    wire: Wire, ask: Any, fake_upstream: Any, make_answer: MakeAnswer
) -> None:
    rule = "{name: intents, classifier: bank, when: {any_system: true}, then: {greeting: {answer: Hello.}}}"
    rules = f"\nrules:\n  - {rule}\n"
    said = whole("A bike.").replace(b'"prompt_tokens": 7', b'"prompt_tokens": 9000')
    gateway = wire(rules, upstreams={"one": fake_upstream([make_answer(said)]), "two": fake_upstream([])})
    image = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + "A" * 100_000}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "what is this?"}, image]}]
    await ask(gateway.app, json.dumps({"model": "dear", "messages": messages}).encode())
    await ask(gateway.app, body("greeting"))
    forwarded, answered = gateway.records()
    assert (forwarded.decision, answered.decision) == ("forward", "answer")
    assert answered.saved_input_tokens < 100


async def test_a_saving_goes_by_the_cheaper_tier_that_a_client_asks_for(wire: Wire, ask: Any) -> None:
    rule = "{name: intents, classifier: bank, when: {system: none}, then: {greeting: {answer: Hello.}}}"
    gateway = wire(f"\nrules:\n  - {rule}\n")
    for fields in ({}, {"service_tier": "flex"}, {"service_tier": None}):
        await ask(gateway.app, body("greeting", **fields))
    standard, flex, unset = (record.saved_usd for record in gateway.records())
    assert standard == unset == pytest.approx(2 * flex)


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize(
    ("text", "fields", "decision", "unsupported"),
    [
        ("greeting", {}, "answer", None),
        ("greeting", {"response_format": {"type": "json_object"}}, "forward", "intents:no_place"),
        ("greeting", {"logprobs": True}, "forward", "intents:modality"),
        ("card", {"response_format": {"type": "json_object"}}, "forward", "intents:no_place"),
        ("card", {"tools": TOOLS}, "forward", "intents:free_tools"),
        ("card", {"guided_choice": ["a", "b"]}, "forward", "intents:unknown_field"),
        ("rate", {"response_format": {"type": "json_object"}}, "block", None),
        ("hello", {"response_format": {"type": "json_object"}}, "forward", None),
    ],
)
async def test_a_fixed_text_is_given_in_the_shape_that_is_asked_for_or_not_at_all(
    wire: Wire, ask: Any, text: str, fields: dict[str, Any], decision: str, unsupported: str | None
) -> None:
    then = """{greeting: {answer: Hello.}, card: {answer: '{"desk": "cards"}'}, rate: block}"""
    gateway = wire(f"\nrules:\n  - {{name: intents, classifier: bank, when: {{system: none}}, then: {then}}}\n")
    answer = await ask(gateway.app, body(text, **fields))
    assert answer.headers["x-offramp-decision"] == decision
    assert answer.headers.get("x-offramp-abstained") == unsupported
    gateway.writer.close()
