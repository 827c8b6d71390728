"""POST /v1/responses through a real gateway process, before a model server on a port that answers as it is asked to."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from openai import NotFoundError, OpenAI
from pydantic import BaseModel

from tests.given import table, table_text

from .conftest import ModelServer, Running, guarding, until

GATEWAY = table_text("given/e2e-responses-gateway.yaml")
CASES = table("responses.yaml")
MAIL, IBAN = "joe@example.com", "DE89 3704 0044 0532 0130 00"
USAGE = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 10},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 35,
}
FUNCTION, FORMAT = CASES["function"], CASES["format"]


class Model(ModelServer):
    """Says `metadata.say`. Breaks off after `metadata.breaks` events."""

    def do_POST(self) -> None:
        asked = json.loads(self.body())
        self.server.calls.append((self.path, asked))
        events = list(answered(asked))
        answer = json.dumps(events[-1]["response"])
        if asked.get("stream"):
            events = events[: int(asked["metadata"].get("breaks", len(events)))]
            answer = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)
        self.reply(answer.encode())

    def do_GET(self) -> None:
        self.server.calls.append((self.path, self.command))
        self.reply(b'{"object": "response"}')

    do_DELETE = do_GET


def answered(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of OpenAI's stream, in pieces of four characters."""
    text = asked["metadata"]["say"]
    response = {"id": "resp_model", "object": "response", "created_at": 1, "model": asked["model"], "output": []}
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": [{"token": text, "logprob": 0}]}
    item = {"id": "msg_model", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    at = {"item_id": item["id"], "output_index": 1, "content_index": 0}
    thought = {"id": "rs_model", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    whole = {**response, "status": "completed", "output": [thought, item], "usage": USAGE}
    named = [
        ("response.created", {"response": {**response, "status": "in_progress"}}),
        ("response.output_item.added", {"output_index": 0, "item": {**thought, "summary": []}}),
        ("response.output_item.done", {"output_index": 0, "item": thought}),
        ("response.output_item.added", {"output_index": 1, "item": {**item, "content": []}}),
        ("response.content_part.added", {**at, "part": {**part, "text": "", "logprobs": []}}),
        *(("response.output_text.delta", {**at, "delta": text[i : i + 4]}) for i in range(0, len(text), 4)),
        ("response.output_text.done", {**at, "text": text, "logprobs": part["logprobs"]}),
        ("response.content_part.done", {**at, "part": part}),
        ("response.output_item.done", {"output_index": 1, "item": item}),
        ("response.completed", {"response": whole}),
    ]
    for number, (kind, fields) in enumerate(named):
        yield {"type": kind, "sequence_number": number, **fields}


class Served:
    """The gateway, what its model was sent, and what it answers."""

    def __init__(self, running: Running, calls: list[tuple[str, Any]]) -> None:
        self.running, self.calls = running, calls

    def ask(self, model: str, text: str, /, **fields: Any) -> tuple[int, dict[str, str], bytes]:
        body = {"model": model, "input": [{"role": "user", "content": text}], "store": False, **fields}
        body["metadata"] = {"say": f"You said {text}.", **fields.get("metadata", {})}
        return self.running.post("/v1/responses", json.dumps(body).encode())

    def events(self, model: str, text: str, /, **fields: Any) -> list[dict[str, Any]]:
        """A stream's events, each named by its type, numbered without a gap from 0 where it was made here."""
        status, headers, body = self.ask(model, text, stream=True, **fields)
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        blocks = [block.split("\ndata: ") for block in body.decode().split("\n\n") if block]
        found = [json.loads(data) for _, data in blocks]
        assert [name for name, _ in blocks] == [f"event: {one['type']}" for one in found]
        assert [one["sequence_number"] for one in found] == list(range(len(found)))
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with guarding(tmp_path_factory.mktemp("responses"), Model, GATEWAY) as (running, server):
        yield Served(running, server.calls)


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{served.running.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def words(answer: dict[str, Any]) -> str:
    """All text of a response's messages and calls."""
    items = [item for item in answer["output"] if item["type"] != "reasoning"]
    parts = [part for item in items for part in item.get("content") or ()]
    return "".join(
        [part.get("text", part.get("refusal", "")) for part in parts] + [i.get("arguments", "") for i in items]
    )


def spoken(events: list[dict[str, Any]]) -> set[str]:
    """The text as each of a stream's repeats says it: deltas joined, `.done`, the part, the item, the response."""
    joined = "".join(one["delta"] for one in events if one["type"].endswith(".delta"))
    whole = [one for one in events if one["type"].endswith(".done") and one.get("output_index", 1) == 1]
    named = [one.get("text", one.get("arguments", one.get("refusal"))) for one in whole if "item" not in one]
    items = [words({"output": [one["item"]]}) for one in events if one["type"] == "response.output_item.done"]
    parts = [words({"output": [{"type": "message", "content": [one["part"]]}]}) for one in whole if "part" in one]
    return {joined, *filter(None, named), *filter(None, items), *parts, words(events[-1]["response"])}


ASKED = "Which is it, payment or contact?"


@pytest.mark.parametrize(("fields", "got"), CASES["shapes"])
def test_an_answer_has_the_shape_that_is_asked_for_or_is_forwarded(served: Served, fields: Any, got: str) -> None:
    _, headers, body = served.ask("answers", f"pay {IBAN}", **fields)
    if headers["x-offramp-decision"] == "answer":
        assert words(json.loads(body)) == got
        assert spoken(served.events("answers", f"pay {IBAN}", **fields)) == {got}
    else:
        assert headers["x-offramp-abstained"] == f"answers:{got}"
        assert words(json.loads(body)) == f"You said pay {IBAN}."


@pytest.mark.parametrize("model", ["plain", "outhides"], ids=["passed-on", "held"])
def test_a_stream_that_breaks_off_ends_with_a_failed_response(served: Served, model: str) -> None:
    """OpenAI's client raises its message; Codex shows it."""
    events = served.events(model, "hello", metadata={"breaks": "7"})
    last = events[-1]
    assert [one["type"] for one in events[-2:]] == ["response.output_text.delta", "response.failed"]
    assert (last["response"]["id"], last["response"]["status"]) == ("resp_model", "failed")
    assert last["response"]["error"] == {
        "code": "server_error",
        "message": "the upstream's stream ended before its answer did",
    }


def test_a_stream_that_ends_by_itself_stays_as_it_came(served: Served) -> None:
    body = served.ask("plain", "hello", stream=True)[2]
    one = {"model": "plain", "metadata": {"say": "You said hello."}}
    assert body.decode() == "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in answered(one))
    sample = 'offramp_requests_total{decision="forward",endpoint="responses",model="plain",rule="",status="200"}'
    until(lambda: served.running.metric(sample) > 0)


def test_a_block_of_a_schema_is_a_refusal_and_of_a_program_an_error(served: Served, client: OpenAI) -> None:
    parsed = client.responses.parse(model="blocks", input=f"pay {IBAN}", text_format=Route)
    assert (parsed.output_parsed, parsed.status) == (None, "completed")
    assert parsed.output[0].content[0].to_dict() == {"type": "refusal", "refusal": "Not here."}
    kinds = [one["type"] for one in served.events("blocks", f"pay {IBAN}", text=FORMAT)]
    assert kinds[4:6] == ["response.refusal.delta", "response.refusal.done"]
    for model in ("refuses", "outerrors"):
        status, _, body = served.ask(model, f"pay {IBAN}")
        assert (status, json.loads(body)["error"]["code"]) == (400, "content_filter")
    [failed] = served.events("outerrors", f"pay {IBAN}")
    assert failed["response"]["error"] == {"code": "invalid_prompt", "message": "Not here."}


class Route(BaseModel):
    """What the answering rule fills."""

    kind: Literal["payment", "contact"]


@pytest.mark.parametrize("model", ["answers", "plain"])
def test_openais_own_helpers_take_the_answers(served: Served, client: OpenAI, model: str) -> None:
    del served.calls[:]
    say = {"say": '{"kind":"payment"}'}
    parsed = client.responses.parse(model=model, input=f"pay {IBAN}", text_format=Route, metadata=say)
    assert parsed.output_parsed == Route(kind="payment")
    asked = {"model": model, "input": f"pay {IBAN}", "text_format": Route, "metadata": say}
    with client.responses.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_parsed == Route(kind="payment")
    assert (kinds[-1], len(served.calls)) == ("response.completed", 2 if model == "plain" else 0)
    if model == "answers":
        tools = [{**FUNCTION, "name": "send"}]
        raw = client.responses.with_raw_response.create(
            model=model, input=f"pay {IBAN}", tools=tools, tool_choice="required"
        )
        [call] = raw.parse().output
        assert (call.type, call.name, call.arguments) == ("function_call", "send", '{"kind":"payment"}')
        include = ["message.output_text.logprobs"]
        answer = client.responses.create(**asked_plain(model), instructions=ASKED, include=include, top_logprobs=2)
        [token] = answer.output[0].content[0].logprobs
        assert (token.token, [one.token for one in token.top_logprobs]) == ("payment", ["payment", "contact"])
        assert (answer.usage.input_tokens_details.cached_tokens, answer.store, answer.instructions) == (0, True, ASKED)


def asked_plain(model: str) -> dict[str, Any]:
    return {"model": model, "input": f"pay {IBAN}"}


def test_all_text_of_items_is_redacted_in_place(served: Served) -> None:
    items = [
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": MAIL}]},
        {"type": "function_call", "call_id": "c", "name": "send", "arguments": json.dumps({"to": MAIL})},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": f"sent to {MAIL}"}]},
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [{"type": "summary_text", "text": MAIL}],
            "encrypted_content": "x",
        },
        {"type": "mcp_call", "id": "mcp", "name": "find", "arguments": "{}", "output": MAIL, "server_label": "a"},
        {"type": "of_tomorrow", "inside": [{"deep": MAIL, "status": MAIL}]},
        {"role": "user", "content": f"mail {MAIL}"},
    ]
    del served.calls[:]
    status, headers, _ = served.ask("hides", "", instructions=f"Write to {MAIL}.", input=items)
    [(_, body)] = served.calls
    assert (status, headers["x-offramp-redacted"]) == (200, "email:9")
    hidden = json.loads(json.dumps({"instructions": f"Write to {MAIL}.", "input": items}).replace(MAIL, "[EMAIL_1]"))
    assert {name: body[name] for name in hidden} == hidden


def test_a_blocked_exchange_is_left_out_of_what_follows(served: Served, client: OpenAI) -> None:
    blocked = client.responses.create(**asked_plain("blocks"))
    history = [{"role": "user", "content": f"pay {IBAN}"}, *[item.to_dict() for item in blocked.output]]
    del served.calls[:]
    status, headers, _ = served.ask(
        "blocks", "", instructions="Be kind.", input=[*history, {"role": "user", "content": "hello"}]
    )
    assert (status, headers["x-offramp-decision"]) == (200, "forward")
    [(_, body)] = served.calls
    assert (body["instructions"], body["input"]) == ("Be kind.", [{"role": "user", "content": "hello"}])


def test_explain_takes_a_request_of_this_format(served: Served, run_offramp: Any) -> None:
    body = json.dumps({**asked_plain("blocks"), "instructions": "Be kind."})
    shown = json.loads(
        run_offramp("explain", body, "--gateway", "gateway.yaml", "--json", cwd=served.running.folder).stdout
    )
    assert (shown["decision"], shown["by_rule"], shown["rules"][0]["reads"]) == ("block", "blocks", [f"pay {IBAN}"])


FIRST = {"role": "user", "content": f"pay {IBAN}"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_goes_on_after_an_answer_that_the_upstream_does_not_have(
    served: Served, client: OpenAI, stream: bool
) -> None:
    first = client.responses.create(**asked_plain("fixed"), stream=stream)
    first = [*first][-1].response if stream else first
    item = first.output[0].to_dict()
    del served.calls[:]
    say: Any = {"model": "plain", "metadata": {"say": "Yes."}}
    second = client.responses.create(input="hello", previous_response_id=first.id, **say)
    reference: Any = {"type": "item_reference", "id": first.output[0].id}
    client.responses.create(input=[FIRST, reference, {"role": "user", "content": "hello"}], **say)
    for _, body in served.calls:
        assert body["input"] == [FIRST, item, {"role": "user", "content": "hello"}]
        assert body.get("previous_response_id") is None
    # what the upstream made lies there
    client.responses.create(input="and?", previous_response_id=second.id, **say)
    assert (served.calls[-1][1]["input"], served.calls[-1][1]["previous_response_id"]) == ("and?", second.id)
    # of what is made here in between it gets nothing that was blocked
    third = client.responses.create(**asked_plain("blocks"), previous_response_id=second.id)
    client.responses.create(model="blocks", input="and?", previous_response_id=third.id, metadata={"say": "Yes."})
    last = served.calls[-1][1]
    assert (last["input"], last["previous_response_id"]) == ([{"role": "user", "content": "and?"}], second.id)


def test_a_blocked_exchange_is_no_part_of_what_is_named(served: Served, client: OpenAI) -> None:
    blocked = client.responses.create(**asked_plain("blocks"))
    del served.calls[:]
    client.responses.create(model="blocks", input="hello", previous_response_id=blocked.id, metadata={"say": "Yes."})
    assert served.calls[0][1]["input"] == [{"role": "user", "content": "hello"}]


def test_a_response_is_its_owners(served: Served, client: OpenAI) -> None:
    made = client.responses.create(**asked_plain("fixed"))
    assert client.responses.retrieve(made.id).output_text == "Ask the bank."
    listed = client.responses.input_items.list(made.id)
    assert [one.content for one in listed.data] == [f"pay {IBAN}"]
    theirs = client.responses.create(model="plain", input="hello", metadata={"say": "Yes."})
    other = client.with_options(api_key="another")
    for response in (made, theirs):
        for call in (other.responses.retrieve, other.responses.delete):
            with pytest.raises(NotFoundError):
                call(response.id)
        with pytest.raises(NotFoundError):
            other.responses.create(model="plain", input="hello", previous_response_id=response.id)
    del served.calls[:]
    client.responses.retrieve(theirs.id)
    client.responses.delete(theirs.id)
    assert served.calls == [(f"/v1/responses/{theirs.id}", "GET"), (f"/v1/responses/{theirs.id}", "DELETE")]
    client.responses.delete(made.id)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(made.id)
    hidden = client.responses.create(model="outhides", input="hello", metadata={"say": "Yes."})
    with pytest.raises(NotFoundError, match="read by rules"):
        client.responses.retrieve(hidden.id)


def test_an_answer_that_is_not_to_be_stored_is_not_remembered(served: Served, client: OpenAI) -> None:
    made = client.responses.create(**asked_plain("fixed"), store=False)
    del served.calls[:]
    client.responses.create(model="plain", input="hello", previous_response_id=made.id, metadata={"say": "Yes."})
    assert served.calls[0][1]["previous_response_id"] == made.id
    with pytest.raises(NotFoundError):
        client.responses.retrieve(made.id)


def test_placeholders_never_repeat_within_a_conversation(served: Served, client: OpenAI) -> None:
    del served.calls[:]
    asked: dict[str, Any] = {"model": "restores", "metadata": {"say": "Yes."}}
    first = client.responses.create(input="mail ann@example.com", **asked)
    one = served.calls[0][1]["input"].removeprefix("mail ")
    second = client.responses.create(
        model="restores", input=f"or {MAIL}", previous_response_id=first.id, metadata={"say": f"{one} or whom?"}
    )
    two = served.calls[1][1]["input"].removeprefix("or ")
    assert one != two
    assert second.output_text == "ann@example.com or whom?"
