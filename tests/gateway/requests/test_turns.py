import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.chat_requests import turns_of
from gateway.protocols.wire import Turn, system_text
from gateway.requests.turns import passed_over, select
from tests.given import table


def turns(*messages: Any) -> list[Turn]:
    return turns_of(msgspec.Raw(json.dumps(messages).encode()))


@pytest.mark.parametrize(
    ("message", "turn"),
    [
        ({"role": "user", "content": "hi"}, Turn("user", ("hi",), False)),
        ({"role": "user", "content": None}, Turn("user", (), False)),
        ({"role": "user", "content": "hi", "name": "eve"}, Turn("user", ("hi", "eve"), False)),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}]},
            Turn("user", ("a", "b"), False),
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}]},
            Turn("user", ("a",), True),
        ),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, Turn("assistant", ("no",), False)),
        (
            {"role": "assistant", "refusal": "no", "tool_calls": [{"function": {"name": "f", "arguments": '{"a":1}'}}]},
            Turn("assistant", ("no", '{"a":1}'), False),
        ),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "x"}}, Turn("assistant", ("x",), False)),
        (
            {"role": "assistant", "content": "hi", "reasoning_content": "so", "reasoning": "thus"},
            Turn("assistant", ("hi", "so", "thus"), False),
        ),
        ({"role": "assistant", "content": "hi", "reasoning": {"a": [1]}}, Turn("assistant", ("hi",), False)),
        ({"role": "user", "content": "hi", "reasoning": "so"}, Turn("user", ("hi",), False)),
        ({"role": "function", "name": "f", "content": "r"}, Turn("tool", ("r", "f"), False)),
        ({"role": "User", "content": "hi"}, Turn("user", ("hi",), False)),
        (
            {"role": "assistant", "tool_calls": [{"type": "custom", "custom": {"name": "f", "input": "free text"}}]},
            Turn("assistant", ("free text",), False),
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "text": "hi", "image_url": {"url": "x"}}]},
            Turn("user", ("hi",), True),
        ),
        (
            {"role": "user", "content": [{"type": "refusal", "text": "hi", "refusal": "more"}]},
            Turn("user", ("hi", "more"), False),
        ),
    ],
)
def test_every_part_that_can_carry_text_is_read(message: dict[str, Any], turn: Turn) -> None:
    assert turns(message) == [turn]


@pytest.mark.parametrize("message", table("given/gateway-requests-messages-what_is_no_message_is_refused.yaml"))
def test_what_is_no_message_is_refused(message: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        turns(message)
    assert caught.value.param == "messages"
    assert caught.value.message.startswith("messages: ")


@pytest.mark.parametrize(
    "messages",
    [
        b'[{"role":"user","content":' + b"[" * 900 + b"]" * 900 + b"}]",
        b'[{"role":"user","odd":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
        b'[{"role":"user","content":"\\ud800"}]',
        b'[{"role":"user","odd":NaN}]',
    ],
)
def test_messages_that_are_too_deep_or_no_json_are_refused(messages: bytes) -> None:
    with pytest.raises(BadRequest):
        _ = CHAT.parse(b'{"model":"m","messages":' + messages + b"}").turns


TALK = [
    Turn("system", ("be nice",), False),
    Turn("user", ("one",), False),
    Turn("assistant", ("two",), False),
    Turn("user", ("three",), True),
    Turn("user", ("four",), False),
    Turn("tool", ("five",), False),
]


@pytest.mark.parametrize(
    ("roles", "last", "texts", "incomplete"),
    [
        ({"user"}, False, ("one", "three", "four"), True),
        ({"system", "assistant"}, False, ("be nice", "two"), False),
        ({"user"}, True, ("three", "four"), True),
        ({"user", "tool"}, True, ("three", "four", "five"), True),
        ({"developer"}, True, (), False),
    ],
)
def test_a_rule_reads_its_roles(roles: set[str], last: bool, texts: tuple[str, ...], incomplete: bool) -> None:
    assert select(TALK, frozenset(roles), last=last) == (texts, incomplete)


@pytest.mark.parametrize("content", ["name", [{"type": "text", "text": "name"}]])
def test_a_system_messages_name_is_none_of_its_words(content: Any) -> None:
    messages = turns({"role": "system", "name": "shop", "content": content}, {"role": "user", "content": "hi"})
    assert system_text(messages) == "name"
    assert select(messages, frozenset({"system"}), last=False) == (("name", "shop"), False)


ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
TURNS = st.lists(
    st.builds(Turn, ROLES, st.lists(st.text(max_size=3), max_size=2).map(tuple), st.booleans()), max_size=8
)


@given(TURNS, st.sets(ROLES))
def test_the_last_turn_is_the_end_of_what_the_roles_said(chat: list[Turn], roles: set[str]) -> None:
    everything, gap = select(chat, frozenset(roles), last=False)
    last, last_gap = select(chat, frozenset(roles), last=True)
    assert everything[len(everything) - len(last) :] == last
    assert gap or not last_gap
    if roles == {"system", "developer", "user", "assistant", "tool"}:
        assert everything == last == tuple(text for turn in chat for text in turn.texts)


@pytest.mark.parametrize(
    "message",
    [
        b'{"role":"user","content":"hi","Content":"evil"}',
        b'{"role":"user","content":[{"type":"text","text":"hi","TEXT":"evil"}]}',
        b'{"role":"assistant","tool_calls":[{"function":{"name":"f","Arguments":"evil"}}]}',
        b'{"role":"assistant","tool_calls":[{"custom":{"name":"f","INPUT":"evil"}}]}',
        b'{"role":"assistant","function_call":{"name":"f","Arguments":"evil"}}',
    ],
)
def test_a_key_that_only_other_servers_would_read_is_refused(message: bytes) -> None:
    with pytest.raises(BadRequest):
        turns_of(msgspec.Raw(b"[" + message + b"]"))


@pytest.mark.parametrize(
    ("message", "key"),
    [
        (b'{"role":"user","content":"card 4111 1111 1111 1111","content":"hi"}', "content"),
        (b'{"role":"user","content":"evil","cont\\u0065nt":"hi"}', "content"),
        (b'{"role":"user","content":[{"type":"text","text":"evil","text":"ok"}]}', "text"),
        (b'{"role":"user","content":[{"type":"image_url","image_url":{"url":"a","url":"b"}}]}', "url"),
        (b'{"role":"assistant","tool_calls":[{"function":{},"function":{"name":"f","arguments":"evil"}}]}', "function"),
        (b'{"role":"assistant","tool_calls":[{"custom":{"input":"evil","input":"ok"}}]}', "input"),
        (b'{"role":"assistant","function_call":{"arguments":"evil","arguments":"ok"}}', "arguments"),
    ],
)
def test_a_key_that_stands_twice_is_refused(message: bytes, key: str) -> None:
    with pytest.raises(BadRequest, match=f"messages: the key '{key}' stands twice") as caught:
        turns_of(msgspec.Raw(b"[" + message + b"]"))
    assert caught.value.param == "messages"


def test_what_is_alike_and_no_key_that_stands_twice_is_read() -> None:
    text = '{"a":1,"a":2}'
    number = b"9" * 5000
    message = b'{"role":"user","content":' + msgspec.json.encode(text) + b',"odd":[{"a":1e999},{"a":' + number + b"}]}"
    assert turns_of(msgspec.Raw(b"[" + message + b", " + message + b"]")) == [Turn("user", (text,), False)] * 2


SENTENCE = "We can't help with that."
PLACE = ("messages", 0, "content")


@pytest.mark.parametrize(
    ("roles", "texts", "places"),
    [
        ("user assistant user", ("harm", SENTENCE, "hi"), {0, 1}),
        ("user assistant user", ("harm", "I can't.", "go on"), set()),
        ("user assistant user", ("harm", f"{SENTENCE} And more.", "go on"), set()),
        # as aider keeps it
        ("user assistant user", ("harm  \n", f"\n{SENTENCE}\n\n", "hi"), {0, 1}),
        ("user user", ("harm", "go on"), set()),
        # the block itself is what is asked to go on
        ("user assistant", ("harm", SENTENCE), set()),
        ("system user assistant developer user", ("be nice", "harm", SENTENCE, "be brief", "hi"), {1, 2}),
        ("user assistant user assistant user", ("one", "two", "harm", SENTENCE, "hi"), {2, 3}),
        ("user assistant user assistant user", ("harm", SENTENCE, "worse", SENTENCE, "hi"), {0, 1, 2, 3}),
        ("user call tool assistant user", ("look", "{}", "harm", SENTENCE, "hi"), {0, 1, 2, 3}),
        # only an assistant's turn is a block's
        ("user user user", ("harm", SENTENCE, "hi"), set()),
    ],
)
def test_an_exchange_is_passed_over_where_it_ended_in_the_sentence_of_a_block(
    roles: str, texts: tuple[str, ...], places: set[int]
) -> None:
    turns = [
        Turn("assistant" if role == "call" else role, (text,), False, paths=(PLACE,), calls=role == "call")
        for role, text in zip(roles.split(), texts, strict=True)
    ]
    assert passed_over(turns, frozenset({SENTENCE, "Another."})) == places


def test_what_a_client_keeps_beside_a_blocks_sentence_is_no_part_of_it() -> None:
    """As Codex does, which sends its own data with each message."""
    kept = Turn("assistant", (SENTENCE, "unknown"), False, paths=(PLACE, ("input", 1, "metadata", "kinds", 0)))
    longer = Turn("assistant", (SENTENCE, "And more."), False, paths=(PLACE, PLACE))
    user = Turn("user", ("harm",), False, paths=(PLACE,))
    assert passed_over([user, kept, user], frozenset({SENTENCE})) == {0, 1}
    assert passed_over([user, longer, user], frozenset({SENTENCE})) == set()
