"""What is sent to a judge: the policy's words as instructions, the texts as data out of which they cannot break."""

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.answers.parse import Completion
from gateway.context import UpstreamModel
from gateway.judge.protocol import Shown, Unreadable, chat_question, of_chat, of_moderation, refusal_code
from gateway.protocols.chat_answers import CHAT
from gateway.rules.rule import JudgeSpec

LABELS = ("threat", "self_harm", "spam")
CATEGORIES = {"threat": ("violence", "harassment/threatening"), "spam": ("spam",)}
ASKS = JudgeSpec(model="judge", instructions="Judge it.", categories=CATEGORIES)


@pytest.mark.parametrize("reads_system", [False, True])
def test_the_system_prompt_is_shown_where_the_policy_reads_it(*, reads_system: bool) -> None:
    """Of a long one the beginning and the end."""
    shown = Shown.of(("hello",), 'begin "}' + "x" * 1_000_000 + " end")
    question = chat_question(replace(ASKS, reads_system=reads_system), shown)
    body = json.loads(question.body_for(UpstreamModel("gpt-4o-mini"), ask_usage=True))
    material = json.loads(body["messages"][1]["content"])
    assert material == {**({"system": shown.system} if reads_system else {}), "texts": ["hello"]}
    assert len(shown.system) < 9_000
    assert (shown.system[:9], shown.system[-5:]) == ('begin "}x', "x end")


def answer(content: Any, **more: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content, **more}}
    return json.dumps({"choices": [choice]}).encode()


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ('{"labels": []}', ()),
        (' {"labels": ["spam", "Self-Harm", "spam"]}\n', ("self_harm", "spam")),
        ('```json\n{"labels": ["spam"]}\n```', ("spam",)),
    ],
)
def test_a_verdict_names_labels_or_none(content: str, labels: tuple[str, ...]) -> None:
    assert of_chat(Completion(answer(content), CHAT, stream=False), LABELS) == labels


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"choices": []}',
        answer(None),
        answer("none"),
        answer('{"labels": "threat"}'),
        answer('{"labels": ["mother"]}'),
        answer('{"labels": [], "mother": ["threat"]}'),
        answer('{"labels": []} or rather {"labels": ["threat"]}'),
        answer('{"labels": []}', refusal="I cannot read that."),
        answer('{"labels": []}').replace(b'"stop"', b'"length"'),
        # half of a character
        answer('{"labels": ["spam"]} ?').replace(b"?", b"\xe2\x82"),
    ],
)
def test_anything_else_is_none(body: bytes) -> None:
    """What it says may be words of the text, and is not repeated."""
    with pytest.raises(Unreadable) as caught:
        of_chat(Completion(body, CHAT, stream=False), LABELS)
    assert "mother" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "unsupported_value", "message": "cannot read: my mother's secret"}, "unsupported_value"),
        ({"code": 400}, "400"),
        ({"code": "my mother's secret"}, ""),
        ({}, ""),
    ],
)
def test_of_a_refusal_plain_names_are_shown_and_no_words(error: dict[str, Any], code: str) -> None:
    assert refusal_code(json.dumps({"error": error}).encode()) == code
    assert refusal_code(b"no JSON") == ""


def moderated(*results: dict[str, bool | None]) -> bytes:
    whole = [{"flagged": any(one.values()), "categories": one, "category_scores": {}} for one in results]
    return json.dumps({"id": "modr-1", "model": "m", "results": whole}).encode()


def test_a_moderation_flags_labels_by_their_categories() -> None:
    body = moderated({"violence": False, "spam": False}, {"harassment/threatening": True, "spam": False})
    assert of_moderation(body, CATEGORIES, 2) == ("threat",)


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (b"{}", 1),
        (moderated({"violence": False, "spam": False}), 2),
        (moderated({"violence": False}), 1),
        (moderated({"violence": False, "spam": None}), 1),
        (b'{"results": [{"flagged": false}]}', 1),
        (moderated({"violence": False, "spam": False}).replace(b'"spam"', b'"spam\xe2\x82"'), 1),
    ],
)
def test_what_leaves_a_label_or_a_text_out_is_no_verdict(body: bytes, texts: int) -> None:
    with pytest.raises(Unreadable):
        of_moderation(body, CATEGORIES, texts)
