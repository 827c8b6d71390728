"""The hot path as a whole, on fake classifiers: bad input, clients that go away, and one record behind each request."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.errors import UpstreamFailed, UpstreamTimeout
from gateway.protocols import sse
from gateway.protocols.chat_answers import CHAT
from gateway.upstreams.base import Answer, UpstreamCall
from tests.given import table_text

MakeAnswer = Callable[..., Answer]
Wire = Callable[..., Any]

RULES = table_text("given/gateway-http-chat-rules.yaml")


def body(text: str = "hello", **fields: Any) -> bytes:
    return json.dumps({"model": "dear", "messages": [{"role": "user", "content": text}], **fields}).encode()


def error_of(answer: Any) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(answer.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


async def test_a_call_is_forwarded_and_recorded(wire: Wire, ask: Any) -> None:
    gateway = wire()
    answer = await ask(gateway.app, body())
    assert answer.status == 200
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "echo: hello"
    assert answer.headers["x-offramp-decision"] == "forward"
    assert int(answer.headers["content-length"]) == len(answer.body)
    record = gateway.record()
    assert record.request_id == answer.headers["x-request-id"]
    assert (record.status, record.decision, record.requested_model, record.upstream) == (200, "forward", "dear", "one")
    assert (record.usage_source, record.error, record.endpoint) == ("reported", "", "chat.completions")
    assert record.spent_usd == pytest.approx(record.input_tokens * 10e-6 + record.output_tokens * 40e-6)


LONG = "a" * 200_001


@pytest.mark.parametrize(
    ("broken", "texts", "status", "decision", "read"),
    [
        ("block", [LONG], 413, "block", 0),
        ("block", ["violence", LONG], 413, "block", 0),
        ("forward", [LONG], 200, "forward", 0),
        ("forward", ["hello", LONG], 200, "forward", 1),
        # a short text that is harmful is not hidden by one that is too long
        ("forward", ["violence", LONG], 200, "block", 1),
        ("block", [LONG[1:], LONG[1:]], 200, "forward", 1),
    ],
)
async def test_a_text_over_the_limit_is_decided_at_once(
    wire: Wire, ask: Any, broken: str, texts: list[str], status: int, decision: str, read: int
) -> None:
    rules = RULES.replace("    then: {violence", f"    when_broken: {broken}\n    then: {{violence").partition(
        "  - name: int"
    )
    gateway = wire(rules[0])
    messages = [{"role": "user", "content": text} for text in texts]
    answer = await ask(gateway.app, body(messages=messages))
    assert (answer.status, answer.headers.get("x-offramp-decision", decision)) == (status, decision)
    record = gateway.record()
    assert (record.decision, len(gateway.classify.asked)) == (decision, read)
    if status == 413:
        assert error_of(answer)["code"] == record.error == "text_too_long"
        assert (record.label, answer.headers["x-should-retry"]) == ("broken", "false")


async def test_a_body_that_was_refused_is_not_held(wire: Wire, ask: Any) -> None:
    gateway, sent = wire(RULES), body(n=1000)
    before = sys.getrefcount(sent)
    assert (await ask(gateway.app, sent)).status == 400
    assert sys.getrefcount(sent) == before


async def test_a_large_body_is_read_in_a_thread_of_its_own(wire: Wire, ask: Any, monkeypatch: Any) -> None:
    threads: list[threading.Thread] = []
    parse = CHAT.requests.parse
    monkeypatch.setattr(
        CHAT.requests, "parse", lambda *given: threads.append(threading.current_thread()) or parse(*given)
    )
    for text in ("a" * 90_000, "a" * 110_000):
        assert (await ask(wire(RULES).app, body(text))).status == 200
    assert [thread is threading.main_thread() for thread in threads] == [True, False]


@pytest.mark.parametrize(
    ("sent", "status", "code", "param"),
    [
        (b'{"model":"dear","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, None, None),
        (b'{"model":"dear","messages":["hi"]}', 400, None, "messages"),
        (b'{"model":"dear","messages":[],"n":1000000000}', 400, None, "n"),
        (b'{"model":"dear","messages":[' + b"{}," * 10_000 + b"{}]}", 400, None, "messages"),
        (b'{"model":"dear","messages":[],"stop":[' + b'"",' * 250_000 + b'""]}', 400, None, None),
        (b'{"model":"gpt-9","messages":[]}', 404, "model_not_found", "model"),
        (b'{"model":"' + b"x" * 900_000 + b'","messages":[]}', 400, None, "model"),
        (b"x" * 1_000_001, 413, "request_too_large", None),
    ],
)
async def test_bad_input_gets_a_clear_error_and_a_record(
    wire: Wire, ask: Any, sent: bytes, status: int, code: str | None, param: str | None
) -> None:
    gateway = wire(RULES)
    answer = await ask(gateway.app, sent)
    assert answer.status == status
    error = error_of(answer)
    assert (error["code"], error["type"], error["param"]) == (code, "invalid_request_error", param)
    assert len(answer.body) < 1000
    assert answer.headers["content-type"] == "application/json"
    record = gateway.record()
    assert (record.status, record.decision, record.error) == (status, "error", code or "invalid_request_error")
    assert (record.saved_usd, record.spent_usd, record.upstream) == (0.0, 0.0, "")


async def test_of_the_clients_headers_only_three_travel(
    wire: Wire, ask: Any, fake_upstream: Any, make_answer: MakeAnswer
) -> None:
    upstream = fake_upstream([make_answer()])
    gateway = wire(upstreams={"one": upstream}, access_key="sesame")
    headers = [
        (b"authorization", b"Bearer sesame"),
        (b"api-key", b"sesame"),
        (b"cookie", b"a=b"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"openai-organization", b"theirs"),
        (b"user-agent", b"theirs"),
        (b"openai-beta", b"x"),
        (b"idempotency-key", b"y"),
        (b"x-client-request-id", b"z"),
    ]
    assert (await ask(gateway.app, body(), headers=headers)).status == 200
    assert upstream.calls[0].headers == headers[-3:]
    gateway.writer.close()


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (UpstreamFailed("x could not be reached"), 502, "upstream_failed"),
        (UpstreamTimeout("late"), 504, "upstream_timeout"),
    ],
)
async def test_an_upstream_that_fails(
    wire: Wire, ask: Any, fake_upstream: Any, failure: Exception, status: int, code: str
) -> None:
    gateway = wire(upstreams={"one": fake_upstream([failure])})
    answer = await ask(gateway.app, body())
    assert (answer.status, error_of(answer)["code"]) == (status, code)
    record = gateway.record()
    # what a call that was given up has cost, nobody tells
    spent = None if status == UpstreamTimeout.status else 0.0
    assert (record.status, record.error, record.upstream, record.spent_usd) == (status, code, "one", spent)


async def test_a_fault_of_the_gateways_own_tells_nothing_but_an_id(
    wire: Wire, ask: Any, fake_upstream: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = wire(upstreams={"one": fake_upstream([RuntimeError("sk-secret in a message")])})
    with caplog.at_level(logging.ERROR):
        answer = await ask(gateway.app, body())
    assert answer.status == 500
    error = error_of(answer)
    assert error["code"] == "internal_error"
    assert answer.headers["x-request-id"] in error["message"]
    assert "sk-secret" not in answer.body.decode()
    assert answer.headers["x-request-id"] in caplog.text
    assert gateway.record().error == "internal_error"


async def test_a_fault_while_a_reply_is_sent_is_in_the_log_under_its_id(
    wire: Wire, ask: Any, fake_upstream: Any, make_answer: MakeAnswer, caplog: pytest.LogCaptureFixture
) -> None:
    answer = make_answer(events=STREAM[:2], then=RuntimeError("a fault"))
    gateway = wire(upstreams={"one": fake_upstream([answer])})
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError):
        await ask(gateway.app, body(stream=True))
    record = gateway.record()
    assert (record.error, record.usage_source, record.spent_usd) == ("internal_error", "missing", None)
    [logged] = caplog.records
    assert record.request_id in logged.getMessage()
    assert logged.exc_info is not None


STREAM = [
    sse.event(b'{"choices":[{"delta":{"role":"assistant","content":""}}]}'),
    sse.event(b'{"choices":[{"delta":{"content":"a"}}]}'),
    sse.event(b'{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}'),
    sse.DONE,
]


@pytest.mark.parametrize("asked", [False, True])
async def test_a_stream_passes_and_its_usage_is_the_clients_only_if_asked_for(
    wire: Wire, ask: Any, fake_upstream: Any, make_answer: MakeAnswer, asked: bool
) -> None:
    upstream = fake_upstream([make_answer(events=STREAM, headers=[(b"content-type", b"odd"), (b"openai-x", b"1")])])
    gateway = wire(upstreams={"one": upstream})
    options = {"stream_options": {"include_usage": True}} if asked else {}
    answer = await ask(gateway.app, body(stream=True, **options))
    assert answer.body == b"".join(STREAM if asked else [*STREAM[:2], sse.DONE])
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (answer.headers["cache-control"], answer.headers["openai-x"]) == ("no-cache", "1")
    assert json.loads(upstream.calls[0].body)["stream_options"] == {"include_usage": True}
    record = gateway.record()
    assert (record.stream, record.input_tokens, record.output_tokens) == (True, 7, 3)


class Stuck:
    """An upstream that never answers, or never ends its stream of these events; knows when it was left."""

    name, notional, ask_usage, speaks = "one", False, True, frozenset({"chat.completions"})

    def __init__(self, *events: bytes) -> None:
        self.called, self.left = asyncio.Event(), asyncio.Event()
        self._events = events or STREAM[:1]

    async def send(self, call: UpstreamCall) -> Answer:
        if call.stream:
            return Answer(status=200, headers=[], chunks=self._chunks())
        await self._wait()
        raise AssertionError

    async def close(self) -> None:
        """Nothing to close."""

    async def _chunks(self) -> AsyncIterator[bytes]:
        for event in self._events:
            yield event
        await self._wait()

    async def _wait(self) -> None:
        self.called.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()


OUTPUT_RULE = """
rules:
  - {name: out, classifier: safe, reads: {output: true}, then: {violence: block}}
"""


@pytest.mark.parametrize("rules", ["", OUTPUT_RULE])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_ends_the_call_and_is_recorded(
    wire: Wire, ask: Any, stream: bool, rules: str
) -> None:
    upstream, gone = Stuck(), asyncio.Event()
    gateway = wire(rules, upstreams={"one": upstream})
    task = asyncio.ensure_future(ask(gateway.app, body(stream=stream), gone=gone))
    await asyncio.wait_for(upstream.called.wait(), 5)
    gone.set()
    await asyncio.wait_for(task, 10)
    assert upstream.left.is_set()
    record = gateway.record()
    assert (record.status, record.decision, record.error, record.upstream) == (499, "error", "client_closed", "one")
    assert (record.usage_source, record.spent_usd) == ("missing", None)
    assert record.provider_s is not None
    assert gateway.metrics.registry.get_sample_value("offramp_in_flight_requests") == 0


async def test_a_request_that_is_cancelled_from_above_is_answered_and_recorded(wire: Wire, ask: Any) -> None:
    upstream = Stuck()
    gateway = wire(upstreams={"one": upstream})
    task = asyncio.ensure_future(ask(gateway.app, body()))
    await asyncio.wait_for(upstream.called.wait(), 5)
    task.cancel()
    answer = await task
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (503, "unavailable")
    record = gateway.record()
    assert (record.status, record.error) == (503, "cancelled")
    assert (record.usage_source, record.spent_usd) == ("missing", None)


@pytest.mark.parametrize("rules", ["", OUTPUT_RULE])
async def test_a_stream_that_is_cut_off_from_above_ends_in_an_error(wire: Wire, ask: Any, rules: str) -> None:
    upstream = Stuck()
    gateway = wire(rules, upstreams={"one": upstream})
    task = asyncio.ensure_future(ask(gateway.app, body(stream=True)))
    await asyncio.wait_for(upstream.called.wait(), 5)
    task.cancel()
    answer = await task
    assert (answer.status, answer.ended, upstream.left.is_set()) == (200, True, True)
    *before, last = [event[6:-2] for event in sse.Splitter().feed(answer.body)]
    assert before == ([] if rules else [STREAM[0][6:-2]])
    error = json.loads(last)["error"]
    assert (set(error), error["code"]) == ({"message", "type", "param", "code"}, "unavailable")
    assert sse.DONE not in answer.body
    record = gateway.record()
    assert (record.status, record.decision, record.error) == (503, "error", "cancelled")
    assert (record.usage_source, record.spent_usd) == ("missing", None)


async def test_labels_beyond_ascii_go_into_headers_escaped(wire: Wire, ask: Any, policies: Any) -> None:
    fields = policies["bank"].model_dump(by_alias=True)
    fields["labels"] = {"grüße": {"means": "greets"}, "x\r\nset-cookie: a=b": {"means": "x"}}
    policies["bank"] = type(policies["bank"]).model_validate(fields)
    gateway = wire('\nrules:\n  - {name: r, classifier: bank, when: {any_system: true}, then: {"*": {answer: hi}}}\n')
    answer = await ask(gateway.app, body("grüße"))
    assert answer.headers["x-offramp-label"] == "gr\\xfc\\xdfe"
    answer = await ask(gateway.app, body("x\r\nset-cookie: a=b"))
    assert answer.headers["x-offramp-label"] == "x\\r\\nset-cookie: a=b"
    assert [record.label for record in gateway.records()] == ["grüße", "x\r\nset-cookie: a=b"]
