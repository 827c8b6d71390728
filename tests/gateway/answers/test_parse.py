"""What is read of an upstream's answer, and the answer with other texts in their places."""

import json
from typing import Any

import pytest

from gateway.answers.parse import Completion, label_in
from gateway.protocols import sse
from gateway.protocols.chat_answers import CHAT
from gateway.spelling import LabelNames

USAGE = sse.event(b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}')


def texts_of(body: bytes, *, stream: bool) -> tuple[tuple[str, ...], bool]:
    completion = Completion(body, CHAT, stream=stream)
    return tuple(map(str, completion.texts)), completion.incomplete


def says(text: str, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": {"content": text}, **more}
    return sse.event(json.dumps({"choices": [choice]}, separators=(",", ":")).encode())


def test_texts_of_a_stream_are_joined_over_its_chunks() -> None:
    body = b"".join([says(""), says("he"), says("xx", 1), says("llo"), b": comment\n\n", USAGE, sse.DONE])
    assert texts_of(body, stream=True) == (("hello", "xx"), False)
    assert texts_of(body.replace(b"\n", b"\r\n"), stream=True) == (("hello", "xx"), False)
    assert texts_of(body + b"data: {broken", stream=True) == (("hello", "xx"), True)


@pytest.mark.parametrize("stream", [False, True])
def test_a_character_cut_in_two_is_read_as_clients_read_it(stream: bool) -> None:
    holder = b"delta" if stream else b"message"
    one = b'{"choices":[{"%b":{"content":"a","reasoning":"caf\xc3","odd":"\xff"}}]}' % holder
    body = sse.event(one) if stream else one
    completion = Completion(body, CHAT, stream=stream)
    assert (tuple(map(str, completion.texts)), completion.incomplete) == (("a", "caf\ufffd"), True)
    assert completion.with_pieces({0: ["b"]}).body == body.replace(b'"content":"a"', b'"content":"b"')


@pytest.mark.parametrize(
    ("message", "texts", "incomplete"),
    [
        (b'{"content":null,"function_call":{"name":"f","arguments":"legacy"}}', ("legacy",), False),
        (b'{"tool_calls":[{"custom":{"name":"f","input":"free"}}]}', ("free",), False),
        (b'{"role":"assistant","content":"a","audio":null,"annotations":[{"x":1}]}', ("a",), False),
        (b'{"content":null,"audio":{"transcript":"evil"}}', (), True),
        (b'{"content":"a","unheard_of":{"citations":null,"blocks":[[],{"n":0,"done":false,"t":""}]}}', ("a",), False),
        (b'{"content":"a","unheard_of":[1,{"blocks":[{"text":"evil"}]}]}', ("a",), True),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_an_answer_holds_is_read_or_known_to_be_unread(
    message: bytes, texts: tuple[str, ...], incomplete: bool, stream: bool
) -> None:
    holder = b'{"choices":[{"index":0,"' + (b"delta" if stream else b"message") + b'":' + message + b"}]}"
    body = b"data: " + holder + b"\n\ndata: [DONE]\n\n" if stream else holder
    assert texts_of(body, stream=stream) == (texts, incomplete)


@pytest.mark.parametrize("stream", [False, True])
def test_annotations_are_read_text_by_text(stream: bool) -> None:
    cited = [
        {"type": "url_citation", "url_citation": {"title": title, "url": "https://x.org", "start_index": 0}}
        for title in ("Joe", "Ann")
    ]
    annotations = [*cited, {"type": "file_citation", "file_citation": {"file_id": "f", "filename": "a.pdf"}}, None, {}]
    holder = "delta" if stream else "message"
    answer = {"choices": [{holder: {"content": "a", "annotations": annotations}}]}
    one = json.dumps(answer, separators=(",", ":")).encode()
    body = sse.event(one) * 2 if stream else one
    completion = Completion(body, CHAT, stream=stream)
    once = ["Joe", "https://x.org", "Ann", "https://x.org", "a.pdf"]
    assert [str(text) for text in completion.texts] == (["aa", *once, *once] if stream else ["a", *once])
    assert not completion.incomplete
    assert completion.with_pieces({3: ["[PERSON_1]"]}).body == body.replace(b"Ann", b"[PERSON_1]", 1)


def test_calls_are_texts_of_their_own() -> None:
    calls = [{"function": {"arguments": '{"a":1}'}}, {"custom": {"input": "x"}}, {"function": {"arguments": "{}"}}]
    completion = Completion(json.dumps({"choices": [{"message": {"tool_calls": calls}}]}).encode(), CHAT, stream=False)
    assert [(str(text), text.arguments) for text in completion.texts] == [('{"a":1}', True), ("x", False), ("{}", True)]
    deltas = [(0, '{"a'), (1, "{"), (0, '":1}'), (1, "}")]
    events = [
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": place, "function": {"arguments": part}}]}}]}
        for place, part in deltas
    ]
    completion = Completion(b"".join(sse.event(json.dumps(event).encode()) for event in events), CHAT, stream=True)
    assert [str(text) for text in completion.texts] == ['{"a":1}', "{}"]


@pytest.mark.parametrize(
    ("choice", "texts"),
    [
        ('"message":{},"delta":{"content":"evil"}', ("evil",)),
        ('"message":{"content":"evil"},"delta":{"content":"evil and more"}', ("evil and more",)),
        ('"message":{"content":"evil"},"delta":{"content":"good"}', ("evil", "good")),
        ('"message":{"reasoning":"evil"},"delta":{"content":"evil"}', ("evil", "evil")),
    ],
)
def test_a_chunk_may_hold_a_message_and_a_delta(choice: str, texts: tuple[str, ...]) -> None:
    read_, incomplete = texts_of(b'data: {"choices":[{' + choice.encode() + b"}]}\n\n", stream=True)
    assert (tuple(sorted(read_)), incomplete) == (texts, False)


@pytest.mark.parametrize(
    ("messages", "texts"),
    [
        (["card 4111", "card 4111", "card 4111"], ["card 4111", "card 4111", "card 4111"]),
        (["4111", " 1111", " 1111"], ["4111 1111 1111"]),
        (["#", "#", " ", "a", " and", " an", "d", "#"], ["## a and and#"]),
        (["joe@", "x.example", "joe@x.example"], ["joe@x.example", "joe@x.example"]),
        (["joe@", "x.example", " ", "joe@x.example"], ["joe@x.example ", "joe@x.example"]),
    ],
)
@pytest.mark.parametrize("deltas", ['"delta":{"content":""},', None])
def test_what_messages_say_once_more_is_a_text_of_its_own(
    messages: list[str], texts: list[str], deltas: str | None
) -> None:
    # None: the first chunk alone has a delta
    held = ['"delta":{"role":"assistant"},', *[""] * len(messages)] if deltas is None else [deltas] * len(messages)
    chunks = [
        f'{{"choices":[{{"index":0,{delta}"message":{{"content":"{message}"}}}}]}}'
        for delta, message in zip(held, messages, strict=False)
    ]
    completion = Completion(b"".join(sse.event(chunk.encode()) for chunk in chunks), CHAT, stream=True)
    assert [str(text) for text in completion.texts] == texts
    assert [piece.part for text in completion.texts for piece in text.pieces] == list(range(len(messages)))


@pytest.mark.parametrize(
    ("deltas", "messages", "texts"),
    [
        (["4111 ", "1111\n"], ["4111 ", "1111"], ["4111 1111\n", "4111 1111"]),
        (["4111 ", "1111"], ["4111 ", "4111 1111 "], ["4111 1111"]),
        (["4111 ", "1111 ok", None], ["4111 ", "1111 ok", "4111 1111 ok"], ["4111 1111 ok"] * 3),
        (["4111 ", "1111 ok"], [None, "1111 ok"], ["4111 1111 ok", "1111 ok"]),
    ],
)
def test_a_message_beside_deltas_is_read_and_goes_where_they_change(
    deltas: list[str | None], messages: list[str | None], texts: list[str]
) -> None:
    held = [
        {name: {"content": part} for name, part in (("delta", delta), ("message", message)) if part is not None}
        for delta, message in zip(deltas, messages, strict=True)
    ]
    completion = Completion(
        b"".join(sse.event(json.dumps({"choices": [one]}).encode()) for one in held), CHAT, stream=True
    )
    assert [str(text) for text in completion.texts] == texts
    new = {index: ["#"] * len(text.pieces) for index, text in enumerate(completion.texts)}
    for changed in (new, {0: new[0]}, {len(new) - 1: new[len(new) - 1]}):
        events = completion.with_pieces(changed).body.removesuffix(sse.DONE).split(b"\n\n")
        choices = [json.loads(event[6:])["choices"][0] for event in events if event]
        assert [one["message"] for one in choices if "message" in one] == [{"content": None}] * (
            len(messages) - messages.count(None)
        )


def test_a_whole_answer_is_changed_only_where_it_is_asked_for() -> None:
    body = (
        b'{ "id" : "x", "choices":[{"message":{"content":"a","x": [ 1 ]},"logprobs":{"content":[1]}},'
        b'{"message":{"content":"b"},"logprobs":{"content":[2]}}],"big": 123456789012345678901234567890 }'
    )
    completion = Completion(body, CHAT, stream=False)
    assert completion.with_pieces({}).body == body
    after = completion.with_pieces({0: ["c"]}).body
    assert b'"big":123456789012345678901234567890' in after
    assert b'"x":[ 1 ]' in after
    assert json.loads(after)["choices"] == [
        {"message": {"content": "c", "x": [1]}, "logprobs": None},
        {"message": {"content": "b"}, "logprobs": {"content": [2]}},
    ]


def test_a_stream_is_changed_in_its_pieces() -> None:
    events = [says("he", logprobs={"content": [7]}), says("xx", 1), b": comment\n\n", says("llo"), USAGE, sse.DONE]
    completion = Completion(b"".join(events), CHAT, stream=True)
    assert completion.with_pieces({}).body == b"".join(events)
    after = completion.with_pieces({0: ["HE", ""]}).body
    assert after == b"".join([says("HE", logprobs=None), *events[1:3], says(""), USAGE, sse.DONE])
    assert texts_of(after, stream=True) == (("HE", "xx"), False)


NAMES = LabelNames(labels=("card_lost", "greeting"), aliases={"greeting": ("hello",)})


def body(*contents: str | None, **message: Any) -> bytes:
    choices = [{"message": {"content": content, **message}, "finish_reason": "stop"} for content in contents]
    return json.dumps({"choices": choices}).encode()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (body("Card lost."), "card_lost"),
        (body('```json\n{"intent": "card-lost", "why": "a card"}\n```'), "card_lost"),
        (body(None, tool_calls=[{"function": {"name": "f", "arguments": '{"of": ["card_lost"]}'}}]), "card_lost"),
        (body('["card_lost", "greeting"]'), None),
        (body("card lost", "greeting"), None),
        (body("It is about a card that was lost."), None),
        (body("card lost@").replace(b"@", b"\xe2\x80"), "card_lost"),
        (b"<html>", None),
        (b'{"error": {"message": "card_lost"}}', None),
    ],
)
def test_the_label_in_a_whole_answer(answer: bytes, expected: str | None) -> None:
    assert label_in(Completion(answer, CHAT, stream=False), NAMES) == expected


def test_the_label_at_its_place() -> None:
    answer = json.dumps({"a": {"intent": "card_lost"}, "team": "greeting"})
    completion = Completion(json.dumps({"choices": [{"message": {"content": answer}}]}).encode(), CHAT, stream=False)
    names = LabelNames(("card_lost", "greeting"))
    places = (None, ("a", "intent"), ("team",), ("team", "b"))
    assert [label_in(completion, names, at) for at in places] == [None, "card_lost", "greeting", None]
