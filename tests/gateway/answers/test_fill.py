"""Filled objects by tests/tables/answers.yaml, each held against the caller's schema by jsonschema; and the bounds."""

import time
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from classifiers.policy import Slot
from gateway.answers.fill import Filled, fill
from gateway.answers.format import FurtherLabel, Prediction, SlotFilling, Unsupported, UnsupportedReason
from gateway.rules.rule import FURTHER
from gateway.spelling import LabelNames
from tests.gateway.answers.conftest import obj, rows, value_of

KNOWN = LabelNames(("card_lost", "card_stolen", "top_up"), {"top_up": ("add money", "Recharge")})
ENUM = {"type": "string", "enum": ["Card Lost", "Card Stolen", "Top Up"]}
MAYBE_DATE = {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}
PARTS = {
    "ENUM": ENUM,
    "MAYBE_DATE": MAYBE_DATE,
    "INTENT": {"Intent": {**ENUM, "title": "Intent"}},
    "INTEGER": {"type": "integer"},
    "STRING": {"type": "string"},
    "URGENCY": {"type": "string", "enum": ["P1", "Low"]},
}
SLOTS = {
    "people": Slot(means="how many", type="number"),
    "date": Slot(means="the day", type="date"),
    "guest_name": Slot(means="who"),
    "seating": Slot(means="where", type="enum", values={"outside": ("terrace",), "inside": ()}),
}
MOST_S = 3.0
"""Of the processor, on any machine: what is given up takes some hundredths, and took from four to twenty."""


def filled_with(schema: dict[str, Any], *labels: str, **values: Any) -> Filled | Unsupported:
    """values: of slots, or lists of them."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
    slots = {
        name: SlotFilling(slot=slot, values=tuple(value_of(name, value) for value in lists.get(name, ())))
        for name, slot in SLOTS.items()
    }
    own, several = labels or ("card_lost",), len(labels) > 1
    given = slots if values else {}
    prediction = Prediction(labels=own, names=KNOWN, confidence=0.98765, scores={}, slots=given, several=several)
    found = fill(schema, prediction)
    if isinstance(found, Filled):
        jsonschema.validate(found.values, schema)
    return found


def filled(schema: dict[str, Any], *labels: str) -> Any:
    found = filled_with(schema, *labels)
    return found.values if isinstance(found, Filled) else found


def outcome(found: Filled | Unsupported) -> Any:
    return found.values if isinstance(found, Filled) else str(found.reason)


def test_schemas() -> None:
    cases = [(row, outcome(filled_with(row[0], *row[1]))) for row in rows("schemas", PARTS)]
    assert not [(row, found) for row, found in cases if found != row[2]]


def test_slots() -> None:
    # no guest: slots are known also where the text has no value for any
    cases = [(row, outcome(filled_with(row[0], **{"guest_name": [], **row[1]}))) for row in rows("slots", PARTS)]
    assert not [(row, found) for row, found in cases if found != row[2]]


def test_a_schema_that_holds_itself_ends() -> None:
    schema = {**obj(next={"$ref": "#/$defs/Node"}), "$defs": {"Node": obj(next={"$ref": "#/$defs/Node"})}}
    assert outcome(filled_with(schema)) == "schema"


@pytest.mark.parametrize("other", [{}, obj(intent=ENUM)])
@pytest.mark.parametrize("either", ["anyOf", "oneOf"])
def test_a_schema_that_doubles_at_each_level_is_given_up(either: str, other: dict[str, Any]) -> None:
    both = {either: [*([other] if other else []), {"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}
    found = filled_with({"$ref": "#/$defs/a", "$defs": {"a": both}})
    assert outcome(found) == ({"intent": "Card Lost"} if other and either == "anyOf" else "schema")


MANY = [f"intent number {number}" for number in range(5000)]


@pytest.mark.parametrize(
    "part",
    [
        {"enum": [*MANY, "Card Lost"]},
        {"type": ["string", "null"], "enum": [*MANY, "Card Lost", None]},
        {"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]},
    ],
)
def test_a_value_that_no_classifier_knows_is_a_reason(part: dict[str, Any]) -> None:
    defs = {"$defs": {"b": {"enum": [*MANY, "card_lost"]}}}
    assert outcome(filled_with(obj(intent=part) | defs)) == "unknown_value"


def bound(schema: dict[str, Any], **rule: Any) -> Any:
    prediction = Prediction(labels=("card_lost",), names=KNOWN, confidence=0.98765, scores={}, **rule)
    return outcome(fill(schema, prediction))


def test_a_rule_says_what_fills_a_field() -> None:
    two = obj(intent=ENUM, previous_intent=ENUM)
    assert bound(two, fields={"intent": "label"}) == "other_field"
    assert bound(two, fields={"intent": "label"}, ignores={"previous_intent": "Top Up"}) == {
        "intent": "Card Lost",
        "previous_intent": "Top Up",
    }
    sure = obj(intent=ENUM, score={"type": "number"})
    assert bound(sure) == "other_field"
    assert bound(sure, fields={"score": "confidence"}) == {"intent": "Card Lost", "score": 0.9877}
    assert bound(obj(intent=ENUM, size={"type": "number"}), ignores={"size": "0"}) == {"intent": "Card Lost", "size": 0}
    assert bound(obj(intents={"type": "array", "items": ENUM}), with_lists=True) == {"intents": ["Card Lost"]}
    optional = {"type": "object", "properties": {"intent": ENUM, "why": {"type": "string"}}}
    assert bound(optional, ignores={"why": ""}) == {"intent": "Card Lost"}


URGENCY = FurtherLabel(
    classifier="urgency",
    labels=(),
    names=LabelNames(("high", "low"), {"high": ("P1",)}),
    confidence=0.7,
    why="unsure (so)",
)


def with_urgency(schema: dict[str, Any], labels: list[str]) -> Filled | Unsupported:
    further = replace(URGENCY, labels=tuple(labels))
    fields, names = {"urgency": FURTHER}, KNOWN
    return fill(
        schema,
        Prediction(
            labels=("card_lost",), names=names, confidence=0.9, scores={}, fields=fields, further={"urgency": further}
        ),
    )


def test_another_classifier_fills_a_field() -> None:
    cases = [(row, outcome(with_urgency(row[0], row[1]))) for row in rows("further", PARTS)]
    assert not [(row, found) for row, found in cases if found != row[2]]


def test_a_field_of_another_classifier_says_whose_it_is() -> None:
    two = obj(intent=ENUM, urgency=PARTS["URGENCY"])
    found = with_urgency(two, ["high"])
    assert isinstance(found, Filled)
    assert (found.label_at, found.further, found.confidence) == (("intent",), {("urgency",): URGENCY.names}, 0.7)
    assert with_urgency(two, []) == Unsupported(
        UnsupportedReason.FIELD_ABSTAINED, "urgency: urgency abstains: unsure (so)"
    )
    three = obj(intent=ENUM, urgency={"enum": ["high", "medium", "low"]})
    assert with_urgency(three, ["high"]) == Unsupported(
        UnsupportedReason.UNKNOWN_VALUE, "urgency: urgency does not know medium"
    )


@pytest.mark.parametrize(
    "part",
    [
        {"enum": [*MANY, "card_lost"]},
        {"enum": MANY},
        {"enum": [*range(5000), "card_lost"]},
        {"enum": ["card" + "_" * length + "lost" for length in range(500)]},
        {"enum": ["ü" * 100_000, "nothing"]},
        {"const": [*range(5000)]},
        {f"keyword{number}": True for number in range(5000)},
        {"type": ["string"] * 5000},
        obj(a={"type": "string"}) | {"required": ["a"] * 5000},
        {"$ref": "#/" + "a/" * 100_000},
        {"type": "string"},
    ],
)
@pytest.mark.parametrize("either", ["anyOf", "oneOf"])
@pytest.mark.parametrize("name", ["intent", "ü" * 100_000])
def test_little_that_is_much_work_is_given_up(part: dict[str, Any], either: str, name: str) -> None:
    schema = obj(**{name: {either: [{"$ref": "#/$defs/b"}] * 3000}}) | {"$defs": {"b": part}}
    prediction = Prediction(labels=("card_lost",), names=KNOWN, confidence=0.9, scores={})
    started = time.process_time()
    found = fill(schema, prediction)
    assert isinstance(found, Unsupported)
    assert found.reason in (UnsupportedReason.SCHEMA, UnsupportedReason.OTHER_FIELD)
    assert time.process_time() - started < MOST_S


@pytest.mark.parametrize("slot", ["people", "seating", "guest_name"])
@pytest.mark.parametrize(
    "part",
    [
        {"enum": [*MANY, "nowhere"]},
        {"enum": ["x" * 500_000, "nowhere"]},
        {"type": "array", "items": {"type": "number", "maximum": 1}},
        {"type": "number", "minimum": 10**4000},
    ],
)
def test_little_that_is_much_work_for_a_slot_is_given_up(slot: str, part: dict[str, Any]) -> None:
    schema = obj(**{slot: {"anyOf": [{"$ref": "#/$defs/b"}] * 3000}}) | {"$defs": {"b": part}}
    started = time.process_time()
    found = filled_with(schema, **{slot: [1] * 2000 + [4] if slot == "people" else "outside"})
    assert isinstance(found, Unsupported)
    assert found.reason is UnsupportedReason.SCHEMA
    assert time.process_time() - started < MOST_S
