"""What is sent to a judge: the policy's words as instructions, the texts as data out of which they cannot break."""

import json
from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.context import UpstreamModel
from gateway.judge.protocol import Shown, chat_question, moderation_question
from gateway.requests.parse import Request
from gateway.rules.rule import Asks

ASKS = Asks(
    model="judge", within_s=5.0, instructions="Judge it.", categories={"threat": ("violence",), "spam": ("spam",)}
)


def sent(request: Request, model: str = "gpt-4o-mini") -> Any:
    return json.loads(request.body_for(UpstreamModel(model), ask_usage=True))


def test_a_chat_has_the_instructions_and_asks_for_the_labels() -> None:
    body = sent(chat_question(ASKS, Shown(texts=("hello", "you"), system="be nice")))
    assert body["model"] == "gpt-4o-mini"
    assert body["messages"][0] == {"role": "system", "content": "Judge it."}
    assert json.loads(body["messages"][1]["content"]) == {"texts": ["hello", "you"]}
    assert body["temperature"] == 0
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["labels"]["items"]["enum"] == ["threat", "spam"]


@given(st.lists(st.text(), min_size=1))
def test_no_text_breaks_out(texts: list[str]) -> None:
    try:
        body = sent(chat_question(ASKS, Shown(texts=tuple(texts))))
    except (msgspec.MsgspecError, UnicodeEncodeError):
        assert any("\ud800" <= char <= "\udfff" for text in texts for char in text)
        return
    assert len(body["messages"]) == 2
    assert json.loads(body["messages"][1]["content"]) == {"texts": texts}


def test_the_system_prompt_is_shown_where_the_policy_reads_it() -> None:
    asks = replace(ASKS, reads_system=True)
    body = sent(chat_question(asks, Shown(texts=("hello",), system='be nice"}')))
    assert json.loads(body["messages"][1]["content"]) == {"system": 'be nice"}', "texts": ["hello"]}
    body = sent(chat_question(asks, Shown(texts=("hello",))))
    assert json.loads(body["messages"][1]["content"]) == {"texts": ["hello"]}


def test_of_a_long_prompt_the_beginning_and_the_end_are_shown() -> None:
    shown = Shown.of(("hello",), "begin " + "x" * 1_000_000 + " end")
    assert len(shown.system) < 9_000
    assert shown.system.startswith("begin xxx")
    assert shown.system.endswith("xxx end")
    assert Shown.of(("hello",), "be nice").system == "be nice"


def test_what_a_server_refuses_is_left_out() -> None:
    body = sent(chat_question(ASKS, Shown(texts=("hello",)), without=("temperature", "response_format")))
    assert body.keys() == {"model", "messages"}


def test_a_moderation_endpoint_gets_the_texts() -> None:
    request = moderation_question(ASKS, ["hello", "you"])
    assert request.path == "/moderations"
    assert sent(request, "omni-moderation-latest") == {"model": "omni-moderation-latest", "input": ["hello", "you"]}
