"""A judge's answer is a verdict, or it is none."""

import json
from typing import Any

import pytest

from gateway.answers.parse import Completion
from gateway.judge.protocol import Unreadable, is_filtered, of_chat, of_moderation, why_refused

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
    ("error", "told"),
    [
        ({"code": "unsupported_value", "type": "invalid_request_error", "param": "messages[0].content"},
         "code: unsupported_value, type: invalid_request_error, param: messages[0].content"),
        ({"message": "cannot read: my mother's secret", "code": 400}, "code: 400"),
        ({"code": "my mother's secret", "type": None, "param": {"a": 1}}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_of_a_refusal_plain_names_are_told_and_no_words(error: dict[str, Any], told: str) -> None:
    assert why_refused(json.dumps({"error": error}).encode()) == told
    assert why_refused(b"no JSON") == ""


def test_a_refusal_that_is_no_text_names_nothing() -> None:
    broken = b'{"error": {"code": "content_filter\xe2\x82"}}'
    assert (why_refused(broken), is_filtered(broken)) == ("", False)


def test_a_filter_is_known_by_its_code_whatever_stands_beside_it() -> None:
    assert is_filtered(b'{"error": {"code": "content_filter", "type": 7, "param": []}}')


def moderated(*results: dict[str, bool | None]) -> bytes:
    whole = [{"flagged": any(one.values()), "categories": one, "category_scores": {}} for one in results]
    return json.dumps({"id": "modr-1", "model": "m", "results": whole}).encode()


def test_a_category_stands_for_its_label_in_any_text() -> None:
    clean = {"violence": False, "harassment/threatening": False, "spam": False}
    assert of_moderation(moderated(clean, clean), CATEGORIES, 2) == ()
    assert of_moderation(moderated(clean, {**clean, "harassment/threatening": True}), CATEGORIES, 2) == ("threat",)
    assert of_moderation(moderated({**clean, "spam": True}), CATEGORIES, 1) == ("spam",)


def test_what_is_null_was_not_looked_for() -> None:
    found: dict[str, bool | None] = {"violence": True, "harassment/threatening": None, "spam": False, "hate": None}
    assert of_moderation(moderated(found), CATEGORIES, 1) == ("threat",)
    with pytest.raises(Unreadable, match="no category for threat, or not all"):
        of_moderation(moderated({**found, "violence": False}), CATEGORIES, 1)
    with pytest.raises(Unreadable, match="no category for spam"):
        of_moderation(moderated({**found, "spam": None}), CATEGORIES, 1)
    # one of a label's categories is enough to know it by
    assert of_moderation(moderated({"violence": True, "spam": False}), CATEGORIES, 1) == ("threat",)


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
