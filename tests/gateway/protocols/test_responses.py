"""The Responses format: what is read of requests and answers, and what is wrong with a body, by its place."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.answers.build import LocalAnswer
from gateway.answers.compare import Result, Values, compare
from gateway.answers.parse import Completion
from gateway.context import UpstreamModel
from gateway.errors import BadRequest, UpstreamFailed
from gateway.protocols import sse
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.responses_answers import RESPONSES
from gateway.protocols.responses_requests import INCLUDES, ITEM_KEYS, PART_KEYS, UNDERSTOOD
from gateway.protocols.wire import FunctionCall, ReplyContent, Request, TokenCounts
from gateway.spelling import LabelNames
from tests.given import table

CALL = FunctionCall("route", {}, legacy=False, named=True)
CASES = table("responses.yaml")


def request(**fields: Any) -> Request:
    return RESPONSES.parse(json.dumps({"model": "gpt-4o", **fields}).encode())


@pytest.mark.parametrize("case", CASES["items"], ids=lambda case: str(case["item"])[:60])
def test_an_item_is_one_turn_with_all_of_its_text(case: dict[str, Any]) -> None:
    [turn] = request(input=[case["item"]]).turns
    assert (turn.role, list(turn.texts)) == (case["role"], case["texts"])
    assert (turn.incomplete, turn.calls) == (case.get("incomplete", False), case.get("calls", False))
    assert list(turn.unknown) == case.get("unknown", [])
    for path, text in zip(turn.paths, turn.texts, strict=True):
        value: Any = {"input": [case["item"]]}
        for key in path:
            value = value[key]
        assert value == text


@pytest.mark.parametrize("case", CASES["wrong"], ids=lambda case: str(case["param"]))
def test_what_is_wrong_is_named_by_its_place(case: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as error:
        assert request(**case["body"]).turns
    assert (error.value.param, case["why"] in error.value.message) == (case["param"], True)


def test_chat_names_the_path_of_a_body_of_this_format() -> None:
    with pytest.raises(BadRequest, match="/v1/responses"):
        CHAT.parse(b'{"model": "m", "input": "hello"}')


def test_instructions_come_first_and_stay() -> None:
    asked = request(instructions="Be kind.", input=[{"role": "user", "content": text} for text in "abc"])
    assert (asked.system_text, [turn.role for turn in asked.turns]) == ("Be kind.", ["system", "user", "user", "user"])
    left = asked.without({1, 3})
    assert ([turn.texts for turn in left.turns], bytes(left.fields["model"])) == ([("Be kind.",), ("b",)], b'"gpt-4o"')
    changed = asked.with_texts({("instructions",): "x", ("input", 2, "content"): "y"})
    assert [turn.texts[0] for turn in changed.turns] == ["x", "a", "b", "y"]
    assert request(input="hi").with_texts({("input",): "ho"}).turns[0].texts == ("ho",)


def test_a_prompt_that_is_not_all_here_has_no_size() -> None:
    assert request(input="hello", instructions="b").prompt_size() == (10, False)
    image = {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64," + "A" * 999}]}
    size, attaches = request(input=[image]).prompt_size()
    assert (size < 200, attaches) == (True, True)
    assert request(input="hello", previous_response_id="resp_1").prompt_size() == (7, True)
    assert request(input=[{"type": "item_reference", "id": "msg_1"}]).prompt_size()[1]


@pytest.mark.parametrize("case", CASES["events"], ids=lambda case: case["event"]["type"])
def test_the_texts_of_an_event(case: dict[str, Any]) -> None:
    found = RESPONSES.answers.texts(json.dumps(case["event"]).encode(), 0)
    assert [[item.holder, list(item.kind), item.text] for item in found.items] == case.get("texts", [])
    assert [list(path) for _, path in found.repeats] == case.get("repeats", [])
    assert found.incomplete == case.get("incomplete", False)


def test_a_stream_cut_at_each_byte_is_the_same_stream() -> None:
    asked = request(input="hi", text={"format": {"type": "text"}})
    body = b"".join(RESPONSES.replies.events(asked, ReplyContent(text="Grüße, Ihr"), "a1", TokenCounts(1, 2)))
    whole = Completion(body, RESPONSES, stream=True)
    assert ([str(text) for text in whole.texts], whole.choices[0].content) == (["Grüße, Ihr"], "Grüße, Ihr")
    assert (whole.choices[0].finish, whole.incomplete) == ("stop", False)
    for place in range(len(body)):
        splitter, reader = sse.Splitter(), RESPONSES.answers.stream()
        events = [event for part in (body[:place], body[place:]) for event in splitter.feed(part)]
        facts = [reader.read(event, awaiting=True) for event in events]
        assert (b"".join(events), reader.ended(), reader.failed(UpstreamFailed("x"))) == (body, True, b"")
        assert [fact.content for fact in facts].index(True) == 4
        assert facts[-1].meta is not None
        assert facts[-1].meta.usage is not None
        assert (facts[-1].meta.usage.given, facts[-1].meta.usage.generated) == (1, 2)


@pytest.mark.parametrize(
    ("status", "details", "finish"),
    [
        ("completed", None, "stop"),
        ("incomplete", {"reason": "max_output_tokens"}, "length"),
        ("incomplete", {"reason": "content_filter"}, "content_filter"),
        ("failed", None, "failed"),
    ],
)
def test_how_a_whole_answer_ends(status: str, details: Any, finish: str) -> None:
    """A contract counts only what is complete; a call has its item's place."""
    call = {"type": "function_call", "name": "route", "arguments": "{}", "call_id": "c"}
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hm."}]}
    body = {"status": status, "incomplete_details": details, "output": [{"type": "reasoning"}, message, call]}
    [choice] = Completion(json.dumps(body).encode(), RESPONSES, stream=False).choices
    assert (choice.content, choice.calls, choice.finish, choice.refused) == ("Hm.", {2: ("route", "{}")}, finish, False)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("content", "result"),
    [
        (ReplyContent(text='{"kind":"payment"}'), Result.AGREES),
        (ReplyContent(text='{"kind":"contact"}'), Result.DIFFERS),
        (ReplyContent(text="No.", refusal=True), Result.MISSING),
        (ReplyContent(text='{"kind":"payment"}', call=CALL), Result.AGREES),
        (ReplyContent(text='{"kind":"payment"}', call=replace(CALL, name="other")), Result.DIFFERS),
    ],
)
def test_a_contract_compares_an_answer(content: ReplyContent, result: Result, *, stream: bool) -> None:
    parts = request(input="hi"), content, "a1", TokenCounts()
    body = b"".join(RESPONSES.replies.events(*parts)) if stream else RESPONSES.replies.whole(*parts)
    local = LocalAnswer(content='{"kind":"payment"}', label="payment", label_at=("kind",), call=content.call and CALL)
    names = LabelNames(("payment", "contact"))
    assert compare(local, names, Completion(body, RESPONSES, stream=stream), values=Values()) is result


@pytest.mark.parametrize(
    ("given", "due"),
    [
        ([{"type": "function", "name": "a"}], [{"parameters": None, "strict": None, "type": "function", "name": "a"}]),
        (
            [{"type": "function", "strict": True, "parameters": {}}],
            [{"type": "function", "strict": True, "parameters": {}}],
        ),
        ([{"type": "web_search"}], [{"type": "web_search"}]),
        ([3], [3]),
    ],
)
def test_an_answer_gives_a_function_the_keys_that_it_has_in_each_answer(given: Any, due: Any) -> None:
    body = RESPONSES.replies.whole(request(input="hi", tools=given), ReplyContent(text="a"), "a1", TokenCounts())
    assert json.loads(body)["tools"] == due


def test_the_docs_list_what_is_understood_of_this_format() -> None:
    page = (Path(__file__).parents[3] / "docs/api.md").read_text("utf-8")
    section = page.partition("### What is understood of responses")[2].partition("\n#")[0]
    fields, _, items = section.partition("| item | keys |")
    cells = [[re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:3]] for line in fields.splitlines()]
    named = {name for first, *_ in filter(None, cells) for name in first}
    assert named == {*UNDERSTOOD.harmless, *UNDERSTOOD.read, *UNDERSTOOD.values}
    rows = [line.split("|")[1:3] for line in items.splitlines() if line.startswith("| `")]
    keys = {
        name: set(re.findall(r"`([^`]+)`", known)) for names, known in rows for name in re.findall(r"`([^`]+)`", names)
    }
    assert keys == {**ITEM_KEYS, **PART_KEYS}
    assert all(f"`{name}`" in section for name in INCLUDES)


def test_a_stored_prompt_may_have_model_and_input() -> None:
    request = RESPONSES.parse(b'{"prompt":{"id":"pmpt_1"}}')
    assert (request.model, request.turns) == ("", [])
    assert request.body_for(UpstreamModel(""), ask_usage=True) == b'{"prompt":{"id":"pmpt_1"}}'
