"""A label made here against the reference's answer, in each of the shapes."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from classifiers.policy import Slot
from gateway.answers.build import LocalAnswer
from gateway.answers.compare import Result, Values, compare, compare_again
from gateway.answers.parse import Completion
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.wire import FunctionCall
from gateway.spelling import Form, LabelNames
from tests.gateway.answers.conftest import rows

KNOWN = LabelNames(("card_lost", "greeting", "other"), {"card_lost": ("missing card", "lost")})
VALUES = Values(
    slots={
        "people": Slot(means="how many", type="number"),
        "date": Slot(means="the day", type="date"),
        "names": Slot(means="who comes"),
    },
    now=datetime(2026, 11, 25, 12, tzinfo=UTC),
)
WORD = LocalAnswer(content="Card lost", label="Card lost")
CRIED = Form(before="<", after=">", case="upper")
SHOUTED = replace(WORD, content="<CARD LOST>", form=CRIED)
OBJECT = LocalAnswer(
    content='{"intent":"card_lost","confidence":0.9,"note":null,"kind":"intent"}',
    label="card_lost",
    label_at=("intent",),
    uncompared=frozenset({("confidence",), ("why",)}),
)
FENCE = Form(before="```json\n", after="\n```")
FENCED = replace(OBJECT, content=FENCE.around(OBJECT.content), form=FENCE)
LIST = LocalAnswer(content='{"topics":["card_lost","greeting"]}', label="card_lost", label_at=("topics",))
FREE = replace(LIST, unordered=frozenset({("topics",)}))
CALL = LocalAnswer(
    content='{"intent":"card_lost"}',
    label="card_lost",
    call=FunctionCall("route", {}, legacy=False, named=True),
    label_at=("intent",),
)
BOOKING = LocalAnswer(
    content='{"intent":"card_lost","booking":{"people":4,"date":"2026-11-26","names":["Ann","Bo"]}}',
    label="card_lost",
    label_at=("intent",),
    slots={("booking", name): name for name in ("people", "date", "names")},
)
URGENT = LocalAnswer(
    content='{"intent":"card_lost","urgency":"high"}',
    label="card_lost",
    label_at=("intent",),
    further={("urgency",): LabelNames(("high", "low", "other"), {"high": ("P1",)})},
)
NO_DATE = LocalAnswer(content='{"people":4,"date":null}', label=None, slots={("people",): "people", ("date",): "date"})


def whole(answer: bytes) -> Completion:
    return Completion(answer, CHAT, stream=False)


def body(*contents: str | None, finish: str = "stop", **message: Any) -> bytes:
    choices = [{"message": {"content": content, **message}, "finish_reason": finish} for content in contents]
    return json.dumps({"choices": choices}).encode()


def booked(booking: str) -> bytes:
    return body('{"intent": "card_lost", "booking": ' + booking + "}")


def noted(intent: str, note: Any, **more: str) -> bytes:
    return body(json.dumps({"intent": intent, "note": note, **more}))


def calling(name: str, *arguments: str) -> bytes:
    calls = [{"id": "c", "type": "function", "function": {"name": name, "arguments": one}} for one in arguments]
    return body(None, finish="tool_calls", tool_calls=calls)


@pytest.mark.parametrize(
    ("made", "answer", "expected"),
    [
        (WORD, body("Card lost\n"), Result.AGREES),
        # as a client parses it
        (WORD, body("card-lost."), Result.DIFFERS),
        (WORD, body("CARD LOST"), Result.DIFFERS),
        (SHOUTED, body("<CARD LOST>"), Result.AGREES),
        (SHOUTED, body("<MISSING CARD>"), Result.AGREES),
        (SHOUTED, body("<Card lost>"), Result.DIFFERS),
        (SHOUTED, body("Card lost"), Result.MISSING),
        (SHOUTED, body("<GREETING>"), Result.DIFFERS),
        (WORD, body("greeting"), Result.DIFFERS),
        (WORD, body("It is about a card."), Result.MISSING),
        (WORD, body("missing card"), Result.AGREES),
        (WORD, body("Missing card."), Result.DIFFERS),
        (LocalAnswer(content="Lost", label="Lost"), body("card_lost"), Result.AGREES),
        (OBJECT, body('{"intent": "lost", "kind": "intent", "confidence": 0.1, "why": "lost"}'), Result.AGREES),
        # each was certified as agreeing when labels alone were compared
        (OBJECT, body('{"intent": "lost", "kind": "intent", "note": "order 10432"}'), Result.DIFFERS),
        (OBJECT, body('{"intent": "lost", "kind": "intent", "order_number": "10432"}'), Result.DIFFERS),
        (OBJECT, body('{"intent": "lost", "kind": "other"}'), Result.DIFFERS),
        (OBJECT, body('{"intent": "lost"}'), Result.DIFFERS),
        (WORD, body("Card lost", "Card lost"), Result.AGREES),
        (WORD, body("Card lost", "greeting"), Result.DIFFERS),
        (WORD, body("Card", finish="length"), Result.MISSING),
        (WORD, body(None, refusal="I can't"), Result.MISSING),
        (WORD, body(), Result.MISSING),
        (WORD, b'{"error": {"message": "no"}}', Result.MISSING),
        (WORD, b"<html>", Result.MISSING),
        (OBJECT, body('```json\n{"intent": "card_lost", "kind": "intent"}\n```'), Result.MISSING),
        (FENCED, body('```json\n{"intent": "card_lost", "kind": "intent"}\n```\n'), Result.AGREES),
        (FENCED, body('{"intent": "card_lost", "kind": "intent"}'), Result.MISSING),
        (OBJECT, body('{"intent": "Card_Lost", "kind": "intent"}'), Result.DIFFERS),
        (OBJECT, body('{"intent": "greeting"}'), Result.DIFFERS),
        (OBJECT, body('{"intent": "weather"}'), Result.MISSING),
        (OBJECT, body('{"topic": "card_lost"}'), Result.MISSING),
        (OBJECT, body('["card_lost"]'), Result.MISSING),
        (OBJECT, body("card_lost"), Result.MISSING),
        (LIST, body('{"topics": ["card_lost", "greeting"]}'), Result.AGREES),
        (LIST, body('{"topics": ["greeting", "lost"]}'), Result.DIFFERS),
        (LIST, body('{"topics": ["card_lost", "greeting", "greeting"]}'), Result.DIFFERS),
        (FREE, body('{"topics": ["greeting", "lost"]}'), Result.AGREES),
        (FREE, body('{"topics": ["greeting"]}'), Result.DIFFERS),
        (BOOKING, booked('{"people": 4, "date": "2026-11-26", "names": ["bo", "ann"]}'), Result.DIFFERS),
        (BOOKING, booked('{"people": "four", "date": "tomorrow", "names": ["Ann", "Bo"]}'), Result.AGREES),
        (BOOKING, booked('{"people": 5, "date": "2026-11-26", "names": ["Ann", "Bo"]}'), Result.DIFFERS),
        (BOOKING, booked('{"people": 4, "date": "today", "names": ["Ann", "Bo"]}'), Result.DIFFERS),
        (BOOKING, booked('{"people": 4, "date": null, "names": ["Ann", "Bo"]}'), Result.DIFFERS),
        (NO_DATE, body('{"people": 4}'), Result.AGREES),
        (NO_DATE, body('{"people": 4.0, "date": ""}'), Result.AGREES),
        (NO_DATE, body('"4"'), Result.MISSING),
        (URGENT, body('{"intent": "lost", "urgency": "P1"}'), Result.AGREES),
        (URGENT, body('{"intent": "lost", "urgency": "low"}'), Result.DIFFERS),
        (URGENT, body('{"intent": "lost", "urgency": "lost"}'), Result.MISSING),
        (URGENT, body('{"intent": "lost"}'), Result.MISSING),
        (CALL, calling("route", '{"intent": "other"}'), Result.DIFFERS),
        (CALL, calling("reply", '{"intent": "card_lost"}'), Result.DIFFERS),
        (CALL, calling("route", "{"), Result.MISSING),
        (CALL, body("card_lost"), Result.MISSING),
    ],
)
def test_a_whole_answer(made: LocalAnswer, answer: bytes, expected: Result) -> None:
    assert compare(made, KNOWN, Completion(answer, CHAT, stream=False), values=VALUES) is expected


@pytest.mark.parametrize(
    ("made", "first", "second", "expected"),
    [
        (WORD, body("greeting"), body(" greeting\n"), Result.AGREES),
        (WORD, body("greeting"), body("lost"), Result.DIFFERS),
        (WORD, body("greeting"), body("I would say greeting"), Result.MISSING),
        (
            OBJECT,
            body('{"intent": "greeting", "confidence": 0.9}'),
            body('{"intent": "greeting", "confidence": 0.1}'),
            Result.AGREES,
        ),
        (OBJECT, noted("greeting", ["lost"], kind="x"), noted("greeting", ["other"], kind="x"), Result.DIFFERS),
        (OBJECT, noted("greeting", ["lost"]), noted("lost", ["lost"]), Result.DIFFERS),
        (OBJECT, body('["greeting"]'), noted("greeting", None), Result.MISSING),
        (LIST, body('{"topics": ["greeting"]}'), body('{"topics": ["greeting"]}'), Result.AGREES),
        (CALL, calling("route", '{"intent": "greeting"}'), calling("route", '{"intent":"greeting"}'), Result.AGREES),
        (
            NO_DATE,
            body('{"people": 2, "date": "tomorrow"}'),
            body('{"people": "two", "date": "2026-11-26"}'),
            Result.AGREES,
        ),
        (WORD, b"no answer", body("greeting"), Result.MISSING),
        (WORD, b'{"choices": []}', body("greeting"), Result.MISSING),
    ],
)
def test_a_second_answer_is_held_against_the_first(
    made: LocalAnswer, first: bytes, second: bytes, expected: Result
) -> None:
    assert compare_again(made, KNOWN, whole(first), whole(second), values=VALUES) is expected


MEANINGS = Values(
    slots={
        "people": Slot(means="how many", type="number"),
        "date": Slot(means="the day", type="date"),
        "time": Slot(means="the time", type="time", hours="11:00-23:00"),
        "price": Slot(means="how much", type="money"),
        "fare": Slot(means="how much", type="money"),
        "name": Slot(means="who"),
        "seat": Slot(means="where", type="enum", values={"outside": ("terrace",)}),
    },
    now=datetime(2026, 11, 25, 12, tzinfo=UTC),
)


def test_values_that_mean_the_same_or_not() -> None:
    for section, same in (("same_values", True), ("other_values", False)):
        assert not [row for row in rows(section, {}) if MEANINGS.same(*row) is not same]
