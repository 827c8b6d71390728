"""What is sent to a judge: the policy's words as instructions, the texts as data out of which they cannot break."""

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.answers.parse import Completion
from gateway.context import UpstreamModel
from gateway.judge.protocol import (
    Shown,
    Unreadable,
    chat_question,
    of_chat,
    of_moderation,
    why_refused,
)
from gateway.requests.parse import Request
from gateway.rules.rule import Asks

ASKS = Asks(model="judge", instructions="Judge it.", categories={"threat": ("violence",), "spam": ("spam",)})


def sent(request: Request, model: str = "gpt-4o-mini") -> Any:
    return json.loads(request.body_for(UpstreamModel(model), ask_usage=True))


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


LABELS = ("threat", "self_harm", "spam")
CATEGORIES = {"threat": ("violence", "harassment/threatening"), "spam": ("spam",)}


def answer(content: Any, **more: Any) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content, **more}}
    return json.dumps({"choices": [choice]}).encode()


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ('{"labels": []}', ()),
        ('{"labels": ["threat"]}', ("threat",)),
        (' {"labels": ["spam", "Self-Harm", "spam"]}\n', ("self_harm", "spam")),
        ('```json\n{"labels": ["spam"]}\n```', ("spam",)),
    ],
)
def test_a_verdict_names_labels_or_none(content: str, labels: tuple[str, ...]) -> None:
    assert of_chat(Completion(answer(content), stream=False), LABELS) == labels


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b'{"choices": []}',
        answer(None),
        answer(""),
        answer("none"),
        answer('{"labels": null}'),
        answer('{"labels": "threat"}'),
        answer('{"labels": ["murder"]}'),
        answer('{"labels": [], "sure": false}'),
        answer('{"labels": []} or rather {"labels": ["threat"]}'),
        answer('{"verdict": "safe"}'),
        answer('{"labels": []}', refusal="I cannot read that."),
        answer('{"labels": []}').replace(b'"stop"', b'"length"'),
        answer('{"labels": []}').replace(b'"stop"', b'"content_filter"'),
        # half of a character
        answer('{"labels": ["spam"]} ?').replace(b"?", b"\xe2\x82"),
    ],
)
def test_anything_else_is_none(body: bytes) -> None:
    with pytest.raises(Unreadable):
        of_chat(Completion(body, stream=False), LABELS)


def test_what_a_judge_names_is_not_told() -> None:
    with pytest.raises(Unreadable, match="names 1 of 2 that are no label") as found:
        of_chat(Completion(answer('{"labels": ["threat", "my mother\'s secret"]}'), stream=False), LABELS)
    assert "mother" not in str(found.value)
    with pytest.raises(Unreadable, match=r"that was asked for: Object contains unknown field$"):
        of_chat(Completion(answer('{"labels": [], "my mother\'s secret": ["threat"]}'), stream=False), LABELS)


@pytest.mark.parametrize(
    ("error", "named"),
    [
        ({"code": "unsupported_value", "type": "invalid_request_error", "param": "messages[0].content"},
         "code: unsupported_value, type: invalid_request_error, param: messages[0].content"),
        ({"message": "cannot read: my mother's secret", "code": 400}, "code: 400"),
        ({"code": "my mother's secret", "type": None, "param": {"a": 1}}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_of_a_refusal_plain_names_are_shown_and_no_words(error: dict[str, Any], named: str) -> None:
    assert why_refused(json.dumps({"error": error}).encode()) == named
    assert why_refused(b"no JSON") == ""


def moderated(*results: dict[str, bool | None]) -> bytes:
    whole = [{"flagged": any(one.values()), "categories": one, "category_scores": {}} for one in results]
    return json.dumps({"id": "modr-1", "model": "m", "results": whole}).encode()


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (b"{}", 1),
        (moderated({"violence": False, "spam": False}), 2),
        (moderated({"violence": False}), 1),
        (b'{"results": [{"flagged": false}]}', 1),
        (moderated({"violence": False, "spam": False}).replace(b'"spam"', b'"spam\xe2\x82"'), 1),
    ],
)
def test_what_leaves_a_label_or_a_text_out_is_no_verdict(body: bytes, texts: int) -> None:
    with pytest.raises(Unreadable):
        of_moderation(body, CATEGORIES, texts)
