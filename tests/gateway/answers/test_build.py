"""Local answers in each format, labels as prompts spell them, fixed texts, and what rules answer."""

import json
import math
from dataclasses import replace

import pytest

from gateway.answers.build import LocalAnswer, build, text_unsupported, word_in_prompt
from gateway.answers.format import Prediction
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.wire import (
    AnyObject,
    PlainWord,
    RequestedFormat,
    SchemaObject,
    Unsupported,
    UnsupportedReason,
)
from gateway.rules.rule import FURTHER
from gateway.spelling import LabelNames
from tests.gateway.answers.conftest import rows

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["Fees", "Top Up"]}}, "required": ["label"]}
FEES = Prediction(
    labels=("fees",), names=LabelNames(("fees", "top_up")), confidence=0.9, scores={"fees": 0.9, "top_up": 0.1}
)
PROMPT = ["Be brief.", 'Answer with Fees or Top Up, as {"label": …}. What does a transfer cost?']


def made(requested: RequestedFormat, prediction: Prediction = FEES) -> LocalAnswer:
    found = build(requested, prediction, PROMPT)
    assert isinstance(found, LocalAnswer), found
    return found


@pytest.mark.parametrize(
    ("requested", "prediction", "expected"),
    [
        (RequestedFormat(shape=PlainWord(), stop=("ee",)), FEES, UnsupportedReason.STOP),
        (RequestedFormat(shape=SchemaObject(SCHEMA), max_tokens=3), FEES, UnsupportedReason.LENGTH),
        (
            RequestedFormat(shape=PlainWord()),
            Prediction(labels=(), names=LabelNames(("fees",)), confidence=0.9, scores={}),
            UnsupportedReason.NO_PLACE,
        ),
        (
            RequestedFormat(shape=PlainWord()),
            Prediction(labels=("fees", "top_up"), names=LabelNames(("fees", "top_up")), confidence=0.9, scores={}),
            UnsupportedReason.AMBIGUOUS,
        ),
        (RequestedFormat(shape=AnyObject()), replace(FEES, fields={"label": FURTHER}), UnsupportedReason.OTHER_FIELD),
    ],
)
def test_what_cannot_be_given(requested: RequestedFormat, prediction: Prediction, expected: UnsupportedReason) -> None:
    found = build(requested, prediction, PROMPT)
    assert isinstance(found, Unsupported)
    assert found.reason == expected


def test_a_word_is_no_answer_to_a_prompt_that_asks_for_json_in_words() -> None:
    prediction = ["Reply with ```json {label: Fees or Top Up}```."]
    found = build(RequestedFormat(shape=PlainWord()), FEES, prediction)
    assert isinstance(found, Unsupported)
    assert found.reason == UnsupportedReason.AMBIGUOUS
    assert isinstance(build(RequestedFormat(shape=SchemaObject(SCHEMA)), FEES, prediction), LocalAnswer)


def test_objects_by_a_prompt() -> None:
    wrong = []
    for labels, prompt, expected in rows("objects", {}):
        names = LabelNames(("delivery", "payment"))
        prediction = Prediction(labels=tuple(labels), names=names, confidence=0.9, scores={}, several=True)
        found = build(RequestedFormat(shape=AnyObject()), prediction, [f"Say delivery or payment. {prompt}"])
        outcome = json.loads(found.content) if isinstance(found, LocalAnswer) else str(found.reason)
        if outcome != expected:
            wrong.append((labels, prompt, found))
    assert not wrong


@pytest.mark.parametrize("free", [True, False])
def test_a_list_by_a_prompt_has_a_place(free: bool) -> None:
    prompt, shape = ['Fees or Top Up: {"is": []}'], RequestedFormat(shape=AnyObject())
    found = build(shape, replace(FEES, free_order=free, several=True), prompt)
    assert isinstance(found, LocalAnswer)
    # where one label is named, it may be the list of all labels to choose from
    assert getattr(build(shape, FEES, prompt), "reason", None) is UnsupportedReason.AMBIGUOUS
    assert (found.label_at, found.unordered) == (("is",), {("is",)} if free else set())


@pytest.mark.parametrize("shape", [PlainWord(), SchemaObject(SCHEMA)])
def test_logprobs_are_calibrated_scores(shape: PlainWord | SchemaObject) -> None:
    answer = made(RequestedFormat(shape=shape, alternatives=2))
    assert answer.logprobs is not None
    tokens = answer.logprobs or []
    assert "".join(token.token for token in tokens) == answer.content
    [label] = [token for token in tokens if token.token == "Fees"]
    assert math.exp(label.logprob) == pytest.approx(0.9)
    assert [(found.token, round(math.exp(found.logprob), 6)) for found in label.top_logprobs] == [
        ("Fees", 0.9),
        ("Top Up", 0.1),
    ]
    assert bytes(label.bytes).decode() == "Fees"
    assert all(token.logprob == 0 for token in tokens if token is not label)


THREE = Prediction(
    labels=("fees",),
    names=LabelNames(("fees", "top_up", "card_lost", "greeting"), {"top_up": ("recharge",)}),
    confidence=0.6,
    scores={"fees": 0.6, "greeting": 0.2, "top_up": 0.15, "card_lost": 0.05},
)
WORDS = ["Fees", "Recharge", "CARD-LOST"]
BOTH = {"anyOf": [{"const": "Recharge"}, {"type": "null"}, {"$ref": "#/$defs/f"}, {"enum": ["CARD-LOST"]}]}


def of(label: object, **more: object) -> SchemaObject:
    return SchemaObject({"type": "object", "properties": {"label": label}, "required": ["label"], **more})


@pytest.mark.parametrize(
    ("shape", "text", "expected"),
    [
        (of({"enum": WORDS}), "", ["Fees", "Recharge", "CARD-LOST"]),
        (of(BOTH, **{"$defs": {"f": {"enum": ["Fees"]}}}), "", ["Fees", "Recharge", "CARD-LOST"]),
        (of({"enum": ["fees", 'card "lost"']}), "", ["fees", 'card \\"lost\\"']),
        (PlainWord(), "Say Fees, Recharge or CARD-LOST.", ["Fees", "Recharge", "CARD-LOST"]),
        (PlainWord(), "Say Fees, Top Up (recharge), card lost or Card Lost.", ["Fees", "Top Up"]),
        (AnyObject(), 'Say {"label": "Fees"} or "Card lost".', ["Fees", "Card lost"]),
    ],
)
def test_alternatives_are_those_that_the_caller_has_in_its_spelling(
    shape: PlainWord | AnyObject | SchemaObject, text: str, expected: list[str]
) -> None:
    found = build(RequestedFormat(shape=shape, alternatives=20), THREE, [text])
    assert isinstance(found, LocalAnswer), found
    assert found.logprobs is not None
    [label] = [token for token in found.logprobs if token.logprob < 0]
    assert [one.token for one in label.top_logprobs] == expected


KNOWN = LabelNames(("card_lost", "top_up", "fees"), {"card_lost": ("missing card", "lost")})


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Answer with one of: card_lost, top_up, fees.", "card_lost"),
        ("Categories:\n- CARD-LOST\n- TOP-UP", "CARD-LOST"),
        ("Answer with Missing-Card, Top Up or Fees.", "Missing-Card"),
        ("Missing card or fees? Card lost means missing.", "Card lost"),
    ],
)
def test_a_label_is_given_as_the_prompt_spells_it(prompt: str, expected: str) -> None:
    assert word_in_prompt("card_lost", KNOWN, prompt) == expected


@pytest.mark.parametrize(
    ("labels", "prompt"),
    [
        (("A+", "A", "A-", "B"), "Grade the essay with one of: A+, A, A-, B."),
        (("C#", "C++", "Java"), "Which language: C#, C++ or Java?"),
        (("<18", "18+"), "Say <18 or 18+."),
        (("refunded?", "fees"), "Answer with one of: refunded?, fees."),
    ],
)
def test_labels_that_differ_in_signs_are_told_apart(labels: tuple[str, ...], prompt: str) -> None:
    assert [word_in_prompt(label, LabelNames(labels), prompt) for label in labels] == list(labels)


@pytest.mark.parametrize(
    ("labels", "prompt", "expected"),
    [
        ("refunded? fees", "Answer with: refunded, fees.\nMessage: When is it refunded?", None),
        ("refunded? fees", "Answer with: Refunded or Fees.\nMessage: is it refunded?", None),
        ("refunded? fees", "Answer with: refunded, fees.\nMessage: When is it back?", "refunded"),
        ("refunded? fees", "Is this about fees or refunded?", None),
        ("refunded? fees", "One of:\nfees\nrefunded?\nMessage: hi", None),
        ("refunded? fees", "One of: `refunded?`, `fees`", "refunded?"),
        ("(none) billing", "Choose from (billing, none)", "none"),
        ("(none) billing", "Choose from (none), (billing)", "(none)"),
        ("[other] billing", "[billing, other].", "other"),
        ("<unknown> billing", "<billing|unknown>", "unknown"),
        ("**a** **b**", "**a or b**", "a"),
        ("No. Yes.", "Answer Yes or No.", "No"),
    ],
)
def test_signs_of_a_sentence_are_no_labels_own(labels: str, prompt: str, expected: str | None) -> None:
    names = LabelNames(tuple(labels.split()))
    word = word_in_prompt(names.labels[0], names, prompt)
    assert (word if isinstance(word, str) else None) == expected


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
TITLE = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}


def test_fixed_texts() -> None:
    wrong = []
    for text, fields, expected in rows("texts", {"TOOLS": TOOLS, "TITLE": TITLE}):
        request = CHAT.parse(json.dumps({"model": "m", "messages": [], **fields}).encode())
        found = text_unsupported(text, CHAT.requests.requested(request.fields))
        if (found and found.reason) != expected:
            wrong.append((text, fields, found))
    assert not wrong


@pytest.mark.parametrize("field", ["tool_choice", "function_call"])
def test_a_choice_that_cannot_be_read(field: str) -> None:
    request = CHAT.parse(f'{{"model": "m", "messages": [], "{field}": 1e999}}'.encode())
    found = text_unsupported("Hi!", CHAT.requests.requested(request.fields))
    assert found is not None
    assert found.reason == "malformed"


def test_a_schema_without_a_place() -> None:
    found = build(RequestedFormat(shape=SchemaObject({"type": "object"})), FEES, PROMPT)
    assert isinstance(found, Unsupported)
    assert found.reason == "no_place"
