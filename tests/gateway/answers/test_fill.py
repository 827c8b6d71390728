"""What is filled in is held against the caller's schema by jsonschema."""

import time
from typing import Any

import jsonschema
import pytest

from classifiers.policy import Slot
from classifiers.verdict import SlotValue
from gateway.answers.fill import Filled, fill
from gateway.answers.format import Prediction, SlotFilling, Unsupported, UnsupportedReason
from gateway.spelling import Names

KNOWN = Names(("card_lost", "card_stolen", "top_up"), {"top_up": ("add money", "Recharge")})
ENUM = {"type": "string", "enum": ["Card Lost", "Card Stolen", "Top Up"]}
INTENT = {"Intent": {**ENUM, "title": "Intent"}}
MOST_S = 3.0
"""Of the processor, on any machine: what is given up takes some hundredths, and took from four to twenty."""
CONSTANTS = [{"const": "Top Up", "title": "A top-up"}, {"const": "Card Lost"}, {"const": "Card Stolen"}]


def obj(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def filled(schema: dict[str, Any], *labels: str) -> Any:
    told = Prediction(labels=labels or ("card_lost",), names=KNOWN, confidence=0.98765, scores={})
    found = fill(schema, told)
    if isinstance(found, Filled):
        jsonschema.validate(found.values, schema)
        return found.values
    return found


def reason(schema: dict[str, Any], *labels: str) -> UnsupportedReason:
    found = filled(schema, *labels)
    assert isinstance(found, Unsupported), found
    return found.reason


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (obj(intent=ENUM), {"intent": "Card Lost"}),
        (obj(result=obj(intent=ENUM)), {"result": {"intent": "Card Lost"}}),
        (obj(intent=ENUM, confidence={"type": "number"}), {"intent": "Card Lost", "confidence": 0.9877}),
        (
            obj(intent=ENUM, score={"type": "number", "minimum": 0, "maximum": 1}),
            {"intent": "Card Lost", "score": 0.9877},
        ),
        (obj(kind={"const": "verdict"}, intent=ENUM), {"kind": "verdict", "intent": "Card Lost"}),
        (obj(intent=ENUM, note={"type": ["string", "null"]}), {"intent": "Card Lost", "note": None}),
        (
            obj(intent=ENUM, note={"anyOf": [{"type": "string"}, {"type": "null"}]}),
            {"intent": "Card Lost", "note": None},
        ),
        (obj(intent={"anyOf": [ENUM, {"type": "null"}]}), {"intent": "Card Lost"}),
        (obj(labels={"type": "array", "items": ENUM}), {"labels": ["Card Lost"]}),
        (
            {**obj(intent={"$ref": "#/$defs/Intent"}), "$defs": {"Intent": {**ENUM, "title": "Intent"}}},
            {"intent": "Card Lost"},
        ),
        ({"type": "object", "properties": {"intent": ENUM, "why": {"type": "string"}}}, {"intent": "Card Lost"}),
        (
            {**obj(intent={"$ref": "#/$defs/Intent", "description": "Which", "default": "Top Up"}), "$defs": INTENT},
            {"intent": "Card Lost"},
        ),
        (
            {**obj(intent={"$ref": "#/$defs/Intent", "enum": ["Card Lost", "Top Up"]}), "$defs": INTENT},
            {"intent": "Card Lost"},
        ),
        (obj(intent={"oneOf": CONSTANTS}), {"intent": "Card Lost"}),
        (obj(intent={"oneOf": [{"type": "null"}, ENUM]}), {"intent": "Card Lost"}),
        (obj(intent={"oneOf": [{"type": "integer", "multipleOf": 2}, ENUM]}), {"intent": "Card Lost"}),
        (obj(intent={"anyOf": [ENUM, {"type": "string", "pattern": "^Top"}]}), {"intent": "Card Lost"}),
        (obj(of={"oneOf": [obj(intent=ENUM), obj(intent=ENUM, why=ENUM)]}), {"of": {"intent": "Card Lost"}}),
        (
            obj(of={"oneOf": [obj(kind={"const": "a"}, intent=ENUM), obj(kind={"const": "b"}, intent=ENUM)]}),
            {"of": {"kind": "a", "intent": "Card Lost"}},
        ),
    ],
)
def test_schemas_that_can_be_met(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert filled(schema) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["Card Lost", "ADD_MONEY"], "ADD_MONEY"),
        (["recharge", "Top Up"], "Top Up"),
        (["card stolen", "recharge"], "recharge"),
    ],
)
def test_an_alias_is_given_where_the_caller_has_no_name_for_the_label(values: list[str], expected: str) -> None:
    assert filled(obj(intent={"enum": values}), "top_up") == {"intent": expected}


def test_two_aliases_of_one_label_could_both_be_meant() -> None:
    assert reason(obj(intent={"enum": ["recharge", "add money"]}), "top_up") == UnsupportedReason.LABEL_NOT_ASKED


def test_several_labels_fill_an_array() -> None:
    assert filled(obj(labels={"type": "array", "items": ENUM}), "top_up", "card_lost") == {
        "labels": ["Top Up", "Card Lost"]
    }


@pytest.mark.parametrize(
    ("schema", "labels", "expected"),
    [
        (obj(intent={"type": "string"}), ("card_lost",), UnsupportedReason.OTHER_FIELD),
        (obj(intent=ENUM, why={"type": "string"}), ("card_lost",), UnsupportedReason.OTHER_FIELD),
        (obj(intent=ENUM, age={"type": "number"}), ("card_lost",), UnsupportedReason.OTHER_FIELD),
        (obj(intent=ENUM, score={"type": "number", "maximum": 100}), ("card_lost",), UnsupportedReason.OTHER_FIELD),
        (obj(colour={"enum": ["red", "green"]}), ("card_lost",), UnsupportedReason.OTHER_FIELD),
        (obj(colour={"enum": ["red"]}), ("card_lost",), UnsupportedReason.NO_PLACE),
        (obj(intent={"enum": ["Top Up", "Card Stolen"]}), ("card_lost",), UnsupportedReason.LABEL_NOT_ASKED),
        (
            obj(intent={"anyOf": [{"enum": ["Top Up"]}, {"type": "null"}]}),
            ("card_lost",),
            UnsupportedReason.LABEL_NOT_ASKED,
        ),
        (obj(intent={"enum": ["Card Lost", "card-lost"]}), ("card_lost",), UnsupportedReason.LABEL_NOT_ASKED),
        (obj(intent=ENUM), ("card_lost", "top_up"), UnsupportedReason.AMBIGUOUS),
        (
            obj(labels={"type": "array", "items": ENUM, "maxItems": 1}),
            ("card_lost", "top_up"),
            UnsupportedReason.SCHEMA,
        ),
        (obj(labels={"type": "array", "items": {"type": "string"}}), ("card_lost",), UnsupportedReason.OTHER_FIELD),
        (obj(intent={**ENUM, "pattern": "^Top"}), ("card_lost",), UnsupportedReason.SCHEMA),
        ({**obj(intent=ENUM), "minProperties": 2}, ("card_lost",), UnsupportedReason.SCHEMA),
        ({**obj(intent=ENUM), "required": ["intent", "missing"]}, ("card_lost",), UnsupportedReason.SCHEMA),
        (obj(intent={"$ref": "https://example.com/intent"}), ("card_lost",), UnsupportedReason.SCHEMA),
        (obj(intent={"$ref": "#/$defs/none"}), ("card_lost",), UnsupportedReason.SCHEMA),
        (obj(labels={"type": "array", "items": ENUM, "minItems": "two"}), ("card_lost",), UnsupportedReason.SCHEMA),
        ({**obj(intent={"$ref": "#/$defs/Intent", "enum": ["Top Up"]}), "$defs": INTENT}, (), UnsupportedReason.SCHEMA),
        ({**obj(intent={"$ref": "#/$defs/Intent", "pattern": "^Top"}), "$defs": INTENT}, (), UnsupportedReason.SCHEMA),
        (
            {**obj(labels={"type": "array", "items": {"$ref": "#/$defs/Intent", "maxLength": 3}}), "$defs": INTENT},
            (),
            UnsupportedReason.SCHEMA,
        ),
        (obj(intent={"oneOf": [ENUM, {"type": "string"}]}), (), UnsupportedReason.SCHEMA),
        (obj(intent={"oneOf": [ENUM, {"enum": ["Card Lost", "Top Up", 3]}]}), (), UnsupportedReason.SCHEMA),
        (obj(intent={"oneOf": [ENUM, {"type": "string", "pattern": "^Top"}]}), (), UnsupportedReason.SCHEMA),
        (obj(intent={"oneOf": [ENUM, {"$ref": "#/$defs/none"}]}), (), UnsupportedReason.SCHEMA),
        (obj(intent={"anyOf": [ENUM], "oneOf": [{"const": "Top Up"}]}), (), UnsupportedReason.SCHEMA),
        (obj(intent=ENUM, note={"oneOf": [{"type": "null"}, {"enum": [None, "x"]}]}), (), UnsupportedReason.SCHEMA),
        (
            obj(of={"oneOf": [obj(intent=ENUM), {"type": "object", "patternProperties": {"^i": ENUM}}]}),
            (),
            UnsupportedReason.SCHEMA,
        ),
        (
            obj(of={"oneOf": [obj(intent=ENUM), {"properties": {"intent": {"minLength": 3}}}]}),
            (),
            UnsupportedReason.SCHEMA,
        ),
        (obj(intent={"const": "Card Lost", "enum": ["Top Up"]}), (), UnsupportedReason.SCHEMA),
        (obj(intent={**ENUM, "type": "integer"}), (), UnsupportedReason.SCHEMA),
        (ENUM, ("card_lost",), UnsupportedReason.SCHEMA),
        ({}, ("card_lost",), UnsupportedReason.OTHER_FIELD),
    ],
)
def test_schemas_that_cannot(schema: dict[str, Any], labels: tuple[str, ...], expected: UnsupportedReason) -> None:
    assert reason(schema, *labels) == expected


def test_a_schema_that_holds_itself_ends() -> None:
    schema = {**obj(next={"$ref": "#/$defs/Node"}), "$defs": {"Node": obj(next={"$ref": "#/$defs/Node"})}}
    assert reason(schema) == UnsupportedReason.SCHEMA


def test_a_branch_that_fails_leaves_no_label_behind() -> None:
    branch = obj(intent=ENUM, why={"type": "string"})
    assert reason(obj(verdict={"anyOf": [branch, {"type": "null"}]})) == UnsupportedReason.NO_PLACE


SLOTS = {
    "people": Slot(means="how many", type="number"),
    "date": Slot(means="the day", type="date"),
    "guest_name": Slot(means="who"),
    "seating": Slot(means="where", type="enum", values={"outside": ("terrace",), "inside": ()}),
}
MAYBE_DATE = {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}


def said(schema: dict[str, Any], *labels: str, **values: Any) -> Filled | Unsupported:
    """What is filled in where the text fills slots in with these values, or lists of them."""
    slots = {
        name: SlotFilling(
            slot=slot,
            values=tuple(
                SlotValue(slot=name, start=0, end=1, raw=str(one), value=one, confidence=0.8)
                for one in (values.get(name) if isinstance(values.get(name), list) else [values.get(name, ...)])
                if one is not ...
            ),
        )
        for name, slot in SLOTS.items()
    }
    told = Prediction(labels=labels or ("card_lost",), names=KNOWN, confidence=0.9, scores={}, slots=slots)
    found = fill(schema, told)
    if isinstance(found, Filled):
        jsonschema.validate(found.values, schema)
    return found


@pytest.mark.parametrize(
    ("schema", "values", "expected"),
    [
        (obj(people={"type": "integer"}), {"people": 4}, {"people": 4}),
        (obj(intent=ENUM, GuestName={"type": "string"}), {"guest_name": "Ann"},
         {"intent": "Card Lost", "GuestName": "Ann"}),
        (obj(booking=obj(date=MAYBE_DATE, people={"type": "integer"})), {"people": 4},
         {"booking": {"date": None, "people": 4}}),
        (obj(date=MAYBE_DATE), {"date": "2026-11-27"}, {"date": "2026-11-27"}),
        (obj(seating={"type": "string", "enum": ["INSIDE", "OUTSIDE"]}), {"seating": "outside"},
         {"seating": "OUTSIDE"}),
        (obj(intent=ENUM, seating={"type": ["string", "null"], "enum": ["inside", None]}), {},
         {"intent": "Card Lost", "seating": None}),
        (obj(people={"type": "array", "items": {"type": "integer"}}), {"people": [2, 4, 2]}, {"people": [2, 4, 2]}),
        (obj(people={"type": "array", "items": {"type": "integer"}, "uniqueItems": True}), {"people": [2, 4, 2]},
         {"people": [2, 4]}),
        (obj(intent=ENUM, people={"type": "array", "items": {"type": "integer"}}), {},
         {"intent": "Card Lost", "people": []}),
        (obj(people={"type": "integer"}), {"people": [4, 4]}, {"people": 4}),
        ({"type": "object", "properties": {"intent": ENUM, "people": {"type": "integer"}}}, {},
         {"intent": "Card Lost"}),
        (obj(people={"$ref": "#/$defs/N"}) | {"$defs": {"N": {"type": "integer", "minimum": 1}}}, {"people": 4},
         {"people": 4}),
    ],
)  # fmt: skip
def test_slots_that_can_be_given(schema: dict[str, Any], values: dict[str, Any], expected: dict[str, Any]) -> None:
    found = said(schema, **values)
    assert isinstance(found, Filled), found
    assert found.values == expected


@pytest.mark.parametrize(
    ("schema", "values", "expected"),
    [
        (obj(intent=ENUM, people={"type": "integer"}), {}, UnsupportedReason.NO_VALUE),
        (obj(people={"type": "array", "items": {"type": "integer"}, "minItems": 1}), {}, UnsupportedReason.NO_VALUE),
        (obj(intent=ENUM, people={"type": "integer"}), {"people": 2.5}, UnsupportedReason.UNFIT_VALUE),
        (obj(intent=ENUM, date=MAYBE_DATE), {"date": None}, UnsupportedReason.UNFIT_VALUE),
        (obj(intent=ENUM, date=MAYBE_DATE), {"date": "2026-11-27/2026-11-28"}, UnsupportedReason.UNFIT_VALUE),
        ({"type": "object", "properties": {"intent": ENUM, "people": {"type": "string"}}}, {"people": None},
         UnsupportedReason.UNFIT_VALUE),
        (obj(intent=ENUM, people={"type": "integer"}), {"people": [2, 4]}, UnsupportedReason.AMBIGUOUS),
        (obj(intent=ENUM, people={"type": "integer", "multipleOf": 2}), {"people": 4}, UnsupportedReason.SCHEMA),
        (obj(intent=ENUM, people={"type": "integer", "minimum": "one"}), {"people": 4}, UnsupportedReason.SCHEMA),
        (obj(intent=ENUM, seating={"type": "string", "enum": ["inside", None]}), {}, UnsupportedReason.SCHEMA),
        ({**obj(people={"$ref": "#/$defs/N", "maximum": 3}), "$defs": {"N": {"type": "integer"}}}, {"people": 4},
         UnsupportedReason.SCHEMA),
        (obj(date=MAYBE_DATE), {}, UnsupportedReason.NO_PLACE),
        (obj(people={"type": "integer"}, why={"type": "string"}), {"people": 4}, UnsupportedReason.OTHER_FIELD),
    ],
)  # fmt: skip
def test_slots_that_cannot(schema: dict[str, Any], values: dict[str, Any], expected: UnsupportedReason) -> None:
    found = said(schema, **values)
    assert isinstance(found, Unsupported), found
    assert found.reason == expected


def test_where_slots_stand_and_where_they_say_nothing() -> None:
    schema = obj(
        intent=ENUM, booking={"type": "object", "properties": {"people": {"type": "integer"}, "date": MAYBE_DATE}}
    )
    found = said(schema, date="2026-11-27")
    assert isinstance(found, Filled)
    assert found.state.slots == {("booking", "people"): "people", ("booking", "date"): "date"}
    assert (found.state.label, found.state.confidence) == ("Card Lost", 0.8)


def test_a_slot_named_as_a_field_of_labels_is_none() -> None:
    found = said(obj(seating=ENUM), seating="outside")
    assert isinstance(found, Filled)
    assert (found.values, dict(found.state.slots)) == ({"seating": "Card Lost"}, {})


@pytest.mark.parametrize("beside", [{}, obj(intent=ENUM)])
@pytest.mark.parametrize("either", ["anyOf", "oneOf"])
def test_a_schema_that_doubles_at_each_level_is_given_up(either: str, beside: dict[str, Any]) -> None:
    both = {either: [*([beside] if beside else []), {"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}
    found = filled({"$ref": "#/$defs/a", "$defs": {"a": both}})
    assert (
        found == {"intent": "Card Lost"} if beside and either == "anyOf" else found.reason is UnsupportedReason.SCHEMA
    )


MANY = [f"intent number {number}" for number in range(5000)]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"enum": [*MANY, "Card Lost"]}, "Card Lost"),
        ({"type": ["string", "null"], "enum": [*MANY, "Card Lost", None]}, "Card Lost"),
        ({"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]}, "card_lost"),
        ({"oneOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]}, "card_lost"),
    ],
)
def test_of_thousands_of_values_one_is_given(part: dict[str, Any], expected: str) -> None:
    defs = {"$defs": {"b": {"enum": [*MANY, "card_lost"]}}}
    assert filled(obj(intent=part, **({} if "enum" in part else {"again": part})) | defs)["intent"] == expected


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
    told = Prediction(labels=("card_lost",), names=KNOWN, confidence=0.9, scores={})
    started = time.process_time()
    found = fill(schema, told)
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
    found = said(schema, **{slot: [1] * 2000 + [4] if slot == "people" else "outside"})
    assert isinstance(found, Unsupported)
    assert found.reason is UnsupportedReason.SCHEMA
    assert time.process_time() - started < MOST_S


def test_a_constant_that_is_nested_too_deep_is_given_up() -> None:
    deep: Any = 1
    for _ in range(700):
        deep = [deep]
    assert reason(obj(intent=ENUM, deep={"const": deep})) is UnsupportedReason.SCHEMA


def test_other_beside_words_that_are_no_labels_says_nothing_of_it() -> None:
    told = Prediction(labels=("other",), names=Names(("refund", "other")), confidence=0.9, scores={})
    intent, language = {"enum": ["refund", "other"]}, {"enum": ["en", "de", "other"]}
    found = fill(obj(intent=intent, language=language), told)
    assert isinstance(found, Unsupported)
    assert (found.reason, found.detail) == (UnsupportedReason.OTHER_FIELD, "language")
    found = fill(obj(intent=intent), told)
    assert isinstance(found, Filled)
    assert found.values == {"intent": "other"}
