"""Embeddings and legacy completions: read and redacted in place, blocked as an error, else forwarded byte for byte."""

import base64
import json
import struct
from collections.abc import Callable
from typing import Any, get_args

import pytest

from gateway.config.rules import Endpoint
from gateway.errors import BadRequest
from gateway.protocols import sse
from gateway.protocols.embeddings import COMPLETIONS, EMBEDDINGS
from gateway.protocols.served import WIRES, wire_of
from gateway.protocols.wire import Wire
from gateway.upstreams.base import Answer

FIELDS = {EMBEDDINGS.endpoint: "input", COMPLETIONS.endpoint: "prompt"}
BOTH = pytest.mark.parametrize("wire_format", [EMBEDDINGS, COMPLETIONS], ids=lambda each: each.endpoint)
VECTORS = b'{"object":"list","data":[{"embedding":"AAAA violence","index":0}],"usage":{"prompt_tokens":4}}'
SAFE = "rules: [{name: safe, classifier: safe, %s then: {violence: block}}]"
REDACTS = "rules: [{name: data, classifier: data, %s then: {contact: {redact: restore}, payment: block}}]"


def body(wire_format: Wire, value: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "dear", FIELDS[wire_format.endpoint]: value, **fields}).encode()


def text_event(text: str, **choice: Any) -> bytes:
    return sse.event(json.dumps({"choices": [{"index": 0, "text": text, **choice}]}).encode())


@pytest.fixture
def gateway(wire: Callable[..., Any], fake_upstream: Any, make_answer: Callable[..., Answer]) -> Callable[..., Any]:
    """gateway(wire_format, rules, answer or events=…): with one upstream that answers so."""

    def make(served: Wire, text: str = "", answer: bytes = VECTORS, *, events: list[bytes] | None = None) -> Any:
        upstream = fake_upstream([make_answer(answer, events=events)])
        return wire(text, upstreams={"one": upstream, "two": upstream}, served=served)

    return make


def sent(wired: Any, wire_format: Wire) -> Any:
    (call,) = wired.upstreams["one"].calls
    assert call.path == wire_format.path
    return json.loads(call.body)[FIELDS[wire_format.endpoint]]


def texts(wire_format: Wire, value: Any, **fields: Any) -> tuple[tuple[str, ...], bool]:
    (turn,) = wire_format.parse(body(wire_format, value, **fields)).turns
    return turn.texts, turn.incomplete


@BOTH
def test_texts_are_read_and_what_is_none_counts_as_unread(wire_format: Wire) -> None:
    assert texts(wire_format, "one") == (("one",), False)
    assert texts(wire_format, ["one", "two"]) == (("one", "two"), False)
    assert texts(wire_format, [1, 2, 3]) == ((), True)
    assert texts(wire_format, [[1, 2], [3]]) == ((), True)
    assert texts(wire_format, ["one", [1, 2]]) == (("one",), True)
    assert texts(wire_format, [{"text": "one", "image": {"url": "two"}}]) == (("one", "two"), True)
    assert texts(wire_format, []) == ((), False)


def test_what_a_completion_is_to_end_before_is_read_too() -> None:
    assert texts(COMPLETIONS, "one", suffix="two") == (("one", "two"), False)
    assert texts(COMPLETIONS, "one", suffix=None) == (("one",), False)


@BOTH
@pytest.mark.parametrize(
    ("value", "where"), [(7, ""), (True, ""), (None, ""), ([None], "[0]"), (["a", 1.5], "[1]"), (["a", [["b"]]], "[1]")]
)
def test_what_is_neither_text_nor_tokens_is_refused_by_its_place(wire_format: Wire, value: Any, where: str) -> None:
    with pytest.raises(BadRequest) as refused:
        texts(wire_format, value)
    assert refused.value.param == FIELDS[wire_format.endpoint] + where


@pytest.mark.parametrize(
    ("wire_format", "field", "path"),
    [
        (EMBEDDINGS, "messages", "/v1/chat/completions"),
        (EMBEDDINGS, "prompt", "/v1/completions"),
        (COMPLETIONS, "messages", "/v1/chat/completions"),
        (COMPLETIONS, "input", "/v1/embeddings"),
    ],
)
def test_a_body_of_another_path_is_refused_with_that_path(wire_format: Wire, field: str, path: str) -> None:
    for more in ({}, {FIELDS[wire_format.endpoint]: "x"}):
        with pytest.raises(BadRequest, match=path) as refused:
            wire_format.parse(json.dumps({"model": "dear", field: "x", **more}).encode())
        assert refused.value.param == field


@BOTH
@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b'{"model":"dear"}', None),
        (b'{"model":"","input":"x","prompt":"x"}', "model"),
        (b'{"model":"dear","Input":"x"}', "Input"),
        (b'{"model":"dear","Prompt":"x"}', "Prompt"),
        (b'{"input":"x"}', "model"),
    ],
)
def test_a_wrong_body_is_refused(wire_format: Wire, raw: bytes, param: str | None) -> None:
    with pytest.raises(BadRequest) as refused:
        wire_format.parse(raw)
    assert refused.value.param == (param or FIELDS[wire_format.endpoint])


def test_a_body_is_told_by_its_fields() -> None:
    assert wire_of(body(COMPLETIONS, "one")) is COMPLETIONS
    assert wire_of(b'{"model":"dear","prompt":{"id":"p"},"input":"x"}').endpoint == "responses"
    assert wire_of(b'{"model":"dear"}').endpoint == "chat.completions"


def test_each_prompt_has_its_choices() -> None:
    assert COMPLETIONS.parse(body(COMPLETIONS, ["a", "b"], n=3)).choices == 6
    assert COMPLETIONS.parse(body(COMPLETIONS, [1, 2], n=3)).choices == 3


@BOTH
async def test_without_rules_all_bytes_go_on_and_come_back(wire_format: Wire, gateway: Any, ask: Any) -> None:
    wired = gateway(wire_format)
    raw = b'{"model":"dear","%s":["a\\u0020b",  "c"],"dimensions":3.0}' % FIELDS[wire_format.endpoint].encode()
    answer = await ask(wired.app, raw)
    assert (answer.status, answer.body) == (200, VECTORS)
    (call,) = wired.upstreams["one"].calls
    assert call.body == raw
    record = wired.record()
    assert (record.endpoint, record.decision, record.upstream) == (wire_format.endpoint, "forward", "one")
    assert record.input_tokens == (4 if wire_format is EMBEDDINGS else 0)


@BOTH
async def test_texts_are_redacted_in_place(wire_format: Wire, gateway: Any, ask: Any) -> None:
    wired = gateway(wire_format, REDACTS % "")
    await ask(wired.app, body(wire_format, ["of joe@example.com", "fine", "joe@example.com and ann@example.com"]))
    assert sent(wired, wire_format) == ["of [EMAIL_1]", "fine", "[EMAIL_1] and [EMAIL_2]"]
    assert wired.record().redacted == "email:3"


@BOTH
async def test_tokens_are_blocked_where_a_rule_does_not_let_the_unread_pass(
    wire_format: Wire, gateway: Any, ask: Any
) -> None:
    wired = gateway(wire_format, REDACTS % "")
    assert (await ask(wired.app, body(wire_format, [1, 2, 3]))).status == 400
    wired = gateway(wire_format, REDACTS % "when_unread: forward,")
    assert (await ask(wired.app, body(wire_format, [1, 2, 3]))).status == 200
    assert sent(wired, wire_format) == [1, 2, 3]


async def test_other_rules_read_embeddings_only_where_they_name_them(gateway: Any, ask: Any) -> None:
    for when, status in (("", 200), ("when: {endpoint: embeddings},", 400), ("when: {endpoint: completions},", 200)):
        wired = gateway(EMBEDDINGS, SAFE % when)
        assert (await ask(wired.app, body(EMBEDDINGS, ["fine", "violence"]))).status == status
        assert len(wired.classify.asked) == (status == 400)


def test_rules_can_name_each_wire_format() -> None:
    assert {wire.endpoint for wire in WIRES} <= set(get_args(Endpoint))


async def test_all_rules_read_completions_but_those_of_other_endpoints(gateway: Any, ask: Any) -> None:
    for when, status in (("", 400), ("when: {endpoint: [completions, messages]},", 400)):
        wired = gateway(COMPLETIONS, SAFE % when)
        assert (await ask(wired.app, body(COMPLETIONS, "violence"))).status == status
    wired = gateway(COMPLETIONS, SAFE % "when: {endpoint: chat.completions},")
    assert (await ask(wired.app, body(COMPLETIONS, "violence"))).status == 200


@BOTH
@pytest.mark.parametrize("contract", ["", "contract: true,"])
async def test_nothing_is_answered_here(wire_format: Wire, contract: str, gateway: Any, ask: Any) -> None:
    when = "{any_system: true, endpoint: [embeddings, completions]}"
    rule = f"rules: [{{name: bank, classifier: bank, when: {when}, {contract} then: {{greeting: {{answer: label}}}}}}]"
    wired = gateway(wire_format, rule)
    answer = await ask(wired.app, body(wire_format, "greeting or rate?"))
    assert (answer.status, answer.body) == (200, VECTORS)
    assert not any(kept.contract.known for kept in wired.contracts._kept.values())
    assert "bank:modality" in wired.record().abstentions


async def test_what_cannot_be_read_of_a_completion_is_blocked(gateway: Any, ask: Any) -> None:
    wired = gateway(
        COMPLETIONS, REDACTS % "reads: {output: true},", b'{"choices":[{"text":"x","audio":"what nobody reads"}]}'
    )
    assert (await ask(wired.app, body(COMPLETIONS, "hello"))).status == 400


async def test_a_streamed_completion_is_priced_and_its_breaking_off_is_an_error(gateway: Any, ask: Any) -> None:
    usage = sse.event(b'{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}')
    wired = gateway(COMPLETIONS, events=[text_event("one"), text_event("", finish_reason="stop"), usage, sse.DONE])
    answer = await ask(wired.app, body(COMPLETIONS, "x", stream=True))
    assert usage not in answer.body
    assert json.loads(wired.upstreams["one"].calls[0].body)["stream_options"] == {"include_usage": True}
    record = wired.record()
    assert (record.input_tokens, record.output_tokens) == (7, 3)
    assert record.first_token_s is not None
    wired = gateway(COMPLETIONS, events=[text_event("one")])
    answer = await ask(wired.app, body(COMPLETIONS, "x", stream=True))
    assert json.loads(sse.data_of(answer.parts[-2]) or b"")["error"]["code"] == "upstream_failed"


async def test_the_echo_has_vectors_and_texts(wire: Any, ask: Any) -> None:
    wired = wire(served=EMBEDDINGS)
    as_floats = json.loads((await ask(wired.app, body(EMBEDDINGS, ["a", "b", "a"]))).body)
    first, second, third = (each["embedding"] for each in as_floats["data"])
    assert first == third != second
    as_text = json.loads((await ask(wired.app, body(EMBEDDINGS, "a", encoding_format="base64"))).body)
    unpacked = struct.unpack(f"<{len(first)}f", base64.b64decode(as_text["data"][0]["embedding"]))
    assert list(unpacked) == first
    wired = wire(served=COMPLETIONS)
    whole = json.loads((await ask(wired.app, body(COMPLETIONS, "hello there", n=2))).body)
    assert [(choice["index"], choice["text"]) for choice in whole["choices"]] == [
        (0, "echo: hello there"),
        (1, "echo: hello there"),
    ]
    streamed = await ask(
        wired.app, body(COMPLETIONS, "hello there", stream=True, stream_options={"include_usage": True})
    )
    events = [sse.data_of(event) for event in sse.Splitter().feed(streamed.body)]
    assert events.pop() == b"[DONE]"
    parts = [json.loads(event or b"") for event in events]
    assert "".join(choice["text"] for part in parts for choice in part["choices"]) == "echo: hello there"
    assert parts[-1]["usage"]["prompt_tokens"] == 2
