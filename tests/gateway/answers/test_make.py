import json
import math
import time
from dataclasses import replace

import pytest

from classifiers.policy import Slot
from classifiers.verdict import SlotValue
from gateway.answers.make import Made, make
from gateway.answers.shape import AnyObject, Call, Document, Wanted, Word
from gateway.answers.told import Found, Told
from gateway.answers.unmet import Reason, Unmet
from gateway.spelling import Names

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["Fees", "Top Up"]}}, "required": ["label"]}
TOLD = Told(labels=("fees",), names=Names(("fees", "top_up")), confidence=0.9, scores={"fees": 0.9, "top_up": 0.1})
PROMPT = ["Be brief.", 'Answer with Fees or Top Up, as {"label": …}. What does a transfer cost?']


def made(wanted: Wanted, told: Told = TOLD) -> Made:
    found = make(wanted, told, PROMPT)
    assert isinstance(found, Made), found
    return found


def test_each_shape() -> None:
    assert made(Wanted(shape=Word())) == Made(content="Fees", label="Fees")
    assert json.loads(made(Wanted(shape=AnyObject())).content) == {"label": "Fees"}
    assert json.loads(made(Wanted(shape=Document(SCHEMA))).content) == {"label": "Fees"}
    call = Call("classify", SCHEMA, legacy=False, named=True)
    assert made(Wanted(shape=call)) == Made(content='{"label":"Fees"}', label="Fees", call=call)


@pytest.mark.parametrize(
    ("wanted", "told", "expected"),
    [
        (Wanted(shape=Word(), stop=("ee",)), TOLD, Reason.STOP),
        (Wanted(shape=Document(SCHEMA), most_tokens=3), TOLD, Reason.LENGTH),
        (Wanted(shape=Word()), Told(labels=(), names=Names(("fees",)), confidence=0.9, scores={}), Reason.NO_PLACE),
        (
            Wanted(shape=Word()),
            Told(labels=("fees", "top_up"), names=Names(("fees", "top_up")), confidence=0.9, scores={}),
            Reason.AMBIGUOUS,
        ),
    ],
)
def test_what_cannot_be_given(wanted: Wanted, told: Told, expected: Reason) -> None:
    found = make(wanted, told, PROMPT)
    assert isinstance(found, Unmet)
    assert found.reason == expected


def test_a_word_is_no_answer_to_a_prompt_that_asks_for_json_in_words() -> None:
    told = ["Reply with ```json {label: Fees or Top Up}```."]
    found = make(Wanted(shape=Word()), TOLD, told)
    assert isinstance(found, Unmet)
    assert found.reason == Reason.AMBIGUOUS
    assert isinstance(make(Wanted(shape=Document(SCHEMA)), TOLD, told), Made)


def test_a_word_fits_one_token() -> None:
    assert made(Wanted(shape=Word(), most_tokens=1)).content == "Fees"


@pytest.mark.parametrize("shape", [Word(), Document(SCHEMA)])
def test_logprobs_are_calibrated_scores(shape: Word | Document) -> None:
    answer = made(Wanted(shape=shape, alternatives=2))
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


THREE = Told(
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
    assert made(Wanted(shape=Document(schema), alternatives=20), told).label == "label 0"
    assert time.process_time() - started < 3


def of(label: object, **more: object) -> Document:
    return Document({"type": "object", "properties": {"label": label}, "required": ["label"], **more})


@pytest.mark.parametrize(
    ("shape", "text", "expected"),
    [
        (of({"enum": WORDS}), "", ["Fees", "Recharge", "CARD-LOST"]),
        (of({"enum": ["Fees", "Card Lost", "card-lost"]}), "", ["Fees"]),
        (of(BOTH, **{"$defs": {"f": {"enum": ["Fees"]}}}), "", ["Fees", "Recharge", "CARD-LOST"]),
        (of({"anyOf": [{"enum": WORDS}, {"$ref": "#/$defs/none"}]}), "", ["Fees", "Recharge", "CARD-LOST"]),
        (of({"enum": ["fees", 'card "lost"']}), "", ["fees", 'card \\"lost\\"']),
        (Word(), "Say Fees, Recharge or CARD-LOST.", ["Fees", "Recharge", "CARD-LOST"]),
        (Word(), "Say Fees, Top Up (recharge), card lost or Card Lost.", ["Fees", "Top Up"]),
        (AnyObject(), 'Say {"label": "Fees"} or "Card lost".', ["Fees", "Card lost"]),
    ],
)
def test_alternatives_are_those_that_the_caller_has_in_its_spelling(
    shape: Word | AnyObject | Document, text: str, expected: list[str]
) -> None:
    found = make(Wanted(shape=shape, alternatives=20), THREE, [text])
    assert isinstance(found, Made), found
    assert found.logprobs is not None
    [label] = [token for token in found.logprobs.content or [] if token.logprob < 0]
    assert [one.token for one in label.top_logprobs] == expected


@pytest.mark.parametrize("alternatives", [0, -1])
def test_no_alternatives_where_none_were_asked_for(alternatives: int) -> None:
    answer = made(Wanted(shape=Word(), alternatives=alternatives))
    assert answer.logprobs is not None
    assert [token.top_logprobs for token in answer.logprobs.content or []] == [[]]
    assert made(Wanted(shape=Word())).logprobs is None


def test_an_object_of_slots_alone_is_one_token() -> None:
    people = SlotValue(slot="people", start=0, end=1, raw="4", value=4, confidence=0.7)
    found = Found(slot=Slot(means="how many", type="number"), values=(people,))
    told = Told(labels=("fees",), names=Names(("fees", "top_up")), confidence=0.9, scores={}, slots={"people": found})
    schema = {"type": "object", "properties": {"people": {"type": "integer"}}, "required": ["people"]}
    answer = made(Wanted(shape=Document(schema), alternatives=2), told)
    assert (answer.content, answer.label, answer.slot_confidence) == ('{"people":4}', None, 0.7)
    assert answer.logprobs is not None
    [token] = answer.logprobs.content or []
    assert (token.token, round(math.exp(token.logprob), 6)) == ('{"people":4}', 0.7)
