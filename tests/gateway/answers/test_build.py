import json
import math
import time
from dataclasses import replace

import pytest

from classifiers.policy import Slot
from classifiers.verdict import SlotValue
from gateway.answers.build import LocalAnswer, build
from gateway.answers.format import (
    AnyObject,
    FunctionCall,
    PlainWord,
    Prediction,
    RequestedFormat,
    SchemaObject,
    SlotFilling,
    Unsupported,
    UnsupportedReason,
)
from gateway.spelling import Names

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["Fees", "Top Up"]}}, "required": ["label"]}
TOLD = Prediction(
    labels=("fees",), names=Names(("fees", "top_up")), confidence=0.9, scores={"fees": 0.9, "top_up": 0.1}
)
PROMPT = ["Be brief.", 'Answer with Fees or Top Up, as {"label": …}. What does a transfer cost?']


def made(wanted: RequestedFormat, told: Prediction = TOLD) -> LocalAnswer:
    found = build(wanted, told, PROMPT)
    assert isinstance(found, LocalAnswer), found
    return found


def test_each_shape() -> None:
    assert made(RequestedFormat(shape=PlainWord())) == LocalAnswer(content="Fees", label="Fees")
    assert json.loads(made(RequestedFormat(shape=AnyObject())).content) == {"label": "Fees"}
    assert json.loads(made(RequestedFormat(shape=SchemaObject(SCHEMA))).content) == {"label": "Fees"}
    call = FunctionCall("classify", SCHEMA, legacy=False, named=True)
    assert made(RequestedFormat(shape=call)) == LocalAnswer(content='{"label":"Fees"}', label="Fees", call=call)


@pytest.mark.parametrize(
    ("wanted", "told", "expected"),
    [
        (RequestedFormat(shape=PlainWord(), stop=("ee",)), TOLD, UnsupportedReason.STOP),
        (RequestedFormat(shape=SchemaObject(SCHEMA), max_tokens=3), TOLD, UnsupportedReason.LENGTH),
        (
            RequestedFormat(shape=PlainWord()),
            Prediction(labels=(), names=Names(("fees",)), confidence=0.9, scores={}),
            UnsupportedReason.NO_PLACE,
        ),
        (
            RequestedFormat(shape=PlainWord()),
            Prediction(labels=("fees", "top_up"), names=Names(("fees", "top_up")), confidence=0.9, scores={}),
            UnsupportedReason.AMBIGUOUS,
        ),
    ],
)
def test_what_cannot_be_given(wanted: RequestedFormat, told: Prediction, expected: UnsupportedReason) -> None:
    found = build(wanted, told, PROMPT)
    assert isinstance(found, Unsupported)
    assert found.reason == expected


def test_a_word_is_no_answer_to_a_prompt_that_asks_for_json_in_words() -> None:
    told = ["Reply with ```json {label: Fees or Top Up}```."]
    found = build(RequestedFormat(shape=PlainWord()), TOLD, told)
    assert isinstance(found, Unsupported)
    assert found.reason == UnsupportedReason.AMBIGUOUS
    assert isinstance(build(RequestedFormat(shape=SchemaObject(SCHEMA)), TOLD, told), LocalAnswer)


def test_a_word_fits_one_token() -> None:
    assert made(RequestedFormat(shape=PlainWord(), max_tokens=1)).content == "Fees"


@pytest.mark.parametrize("shape", [PlainWord(), SchemaObject(SCHEMA)])
def test_logprobs_are_calibrated_scores(shape: PlainWord | SchemaObject) -> None:
    answer = made(RequestedFormat(shape=shape, alternatives=2))
    assert answer.logprobs is not None
    tokens = answer.logprobs.content or []
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
    names=Names(("fees", "top_up", "card_lost", "greeting"), {"top_up": ("recharge",)}),
    confidence=0.6,
    scores={"fees": 0.6, "greeting": 0.2, "top_up": 0.15, "card_lost": 0.05},
)
WORDS = ["Fees", "Recharge", "CARD-LOST", "none of these"]
BOTH = {"anyOf": [{"const": "Recharge"}, {"type": "null"}, {"$ref": "#/$defs/f"}, {"enum": ["CARD-LOST"]}]}


def test_alternatives_among_thousands_of_values_are_found_at_once() -> None:
    labels = tuple(f"label {number}" for number in range(200))
    told = replace(TOLD, labels=labels[:1], names=Names(labels), scores=dict.fromkeys(labels, 0.005))
    schema = {**SCHEMA, "properties": {"label": {"enum": [*labels[:1], *(f"value {one}" for one in range(5000))]}}}
    started = time.process_time()
    assert made(RequestedFormat(shape=SchemaObject(schema), alternatives=20), told).label == "label 0"
    assert time.process_time() - started < 3


def of(label: object, **more: object) -> SchemaObject:
    return SchemaObject({"type": "object", "properties": {"label": label}, "required": ["label"], **more})


@pytest.mark.parametrize(
    ("shape", "text", "expected"),
    [
        (of({"enum": WORDS}), "", ["Fees", "Recharge", "CARD-LOST"]),
        (of({"enum": ["Fees", "Card Lost", "card-lost"]}), "", ["Fees"]),
        (of(BOTH, **{"$defs": {"f": {"enum": ["Fees"]}}}), "", ["Fees", "Recharge", "CARD-LOST"]),
        (of({"anyOf": [{"enum": WORDS}, {"$ref": "#/$defs/none"}]}), "", ["Fees", "Recharge", "CARD-LOST"]),
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
    [label] = [token for token in found.logprobs.content or [] if token.logprob < 0]
    assert [one.token for one in label.top_logprobs] == expected


@pytest.mark.parametrize("alternatives", [0, -1])
def test_no_alternatives_where_none_were_asked_for(alternatives: int) -> None:
    answer = made(RequestedFormat(shape=PlainWord(), alternatives=alternatives))
    assert answer.logprobs is not None
    assert [token.top_logprobs for token in answer.logprobs.content or []] == [[]]
    assert made(RequestedFormat(shape=PlainWord())).logprobs is None


def test_an_object_of_slots_alone_is_one_token() -> None:
    people = SlotValue(slot="people", start=0, end=1, raw="4", value=4, confidence=0.7)
    found = SlotFilling(slot=Slot(means="how many", type="number"), values=(people,))
    told = Prediction(
        labels=("fees",), names=Names(("fees", "top_up")), confidence=0.9, scores={}, slots={"people": found}
    )
    schema = {"type": "object", "properties": {"people": {"type": "integer"}}, "required": ["people"]}
    answer = made(RequestedFormat(shape=SchemaObject(schema), alternatives=2), told)
    assert (answer.content, answer.label, answer.slot_confidence) == ('{"people":4}', None, 0.7)
    assert answer.logprobs is not None
    [token] = answer.logprobs.content or []
    assert (token.token, round(math.exp(token.logprob), 6)) == ('{"people":4}', 0.7)
