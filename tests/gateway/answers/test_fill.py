"""What is filled in is held against the caller's schema by jsonschema."""

from typing import Any

import jsonschema
import pytest

from gateway.answers.fill import Filled, fill
from gateway.answers.unmet import Reason, Unmet

KNOWN = ("card_lost", "card_stolen", "top_up")
ENUM = {"type": "string", "enum": ["Card Lost", "Card Stolen", "Top Up"]}


def obj(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def filled(schema: dict[str, Any], *labels: str) -> Any:
    found = fill(schema, labels or ("card_lost",), known=KNOWN, confidence=0.98765)
    if isinstance(found, Filled):
        jsonschema.validate(found.values, schema)
        return found.values
    return found


def reason(schema: dict[str, Any], *labels: str) -> Reason:
    found = filled(schema, *labels)
    assert isinstance(found, Unmet), found
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
    ],
)
def test_schemas_that_can_be_met(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert filled(schema) == expected


def test_several_labels_fill_an_array() -> None:
    assert filled(obj(labels={"type": "array", "items": ENUM}), "top_up", "card_lost") == {
        "labels": ["Top Up", "Card Lost"]
    }


@pytest.mark.parametrize(
    ("schema", "labels", "expected"),
    [
        (obj(intent={"type": "string"}), ("card_lost",), Reason.OTHER_FIELD),
        (obj(intent=ENUM, why={"type": "string"}), ("card_lost",), Reason.OTHER_FIELD),
        (obj(intent=ENUM, age={"type": "number"}), ("card_lost",), Reason.OTHER_FIELD),
        (obj(intent=ENUM, score={"type": "number", "maximum": 100}), ("card_lost",), Reason.OTHER_FIELD),
        (obj(colour={"enum": ["red", "green"]}), ("card_lost",), Reason.OTHER_FIELD),
        (obj(colour={"enum": ["red"]}), ("card_lost",), Reason.NO_PLACE),
        (obj(intent={"enum": ["Top Up", "Card Stolen"]}), ("card_lost",), Reason.LABEL_NOT_ASKED),
        (obj(intent={"anyOf": [{"enum": ["Top Up"]}, {"type": "null"}]}), ("card_lost",), Reason.LABEL_NOT_ASKED),
        (obj(intent={"enum": ["Card Lost", "card-lost"]}), ("card_lost",), Reason.LABEL_NOT_ASKED),
        (obj(intent=ENUM), ("card_lost", "top_up"), Reason.AMBIGUOUS),
        (obj(labels={"type": "array", "items": ENUM, "maxItems": 1}), ("card_lost", "top_up"), Reason.SCHEMA),
        (obj(labels={"type": "array", "items": {"type": "string"}}), ("card_lost",), Reason.OTHER_FIELD),
        (obj(intent={**ENUM, "pattern": "^Top"}), ("card_lost",), Reason.SCHEMA),
        ({**obj(intent=ENUM), "minProperties": 2}, ("card_lost",), Reason.SCHEMA),
        ({**obj(intent=ENUM), "required": ["intent", "missing"]}, ("card_lost",), Reason.SCHEMA),
        (obj(intent={"$ref": "https://example.com/intent"}), ("card_lost",), Reason.SCHEMA),
        (obj(intent={"$ref": "#/$defs/none"}), ("card_lost",), Reason.SCHEMA),
        (obj(labels={"type": "array", "items": ENUM, "minItems": "two"}), ("card_lost",), Reason.SCHEMA),
        (ENUM, ("card_lost",), Reason.SCHEMA),
        ({}, ("card_lost",), Reason.OTHER_FIELD),
    ],
)
def test_schemas_that_cannot(schema: dict[str, Any], labels: tuple[str, ...], expected: Reason) -> None:
    assert reason(schema, *labels) == expected


def test_a_schema_that_holds_itself_ends() -> None:
    schema = {**obj(next={"$ref": "#/$defs/Node"}), "$defs": {"Node": obj(next={"$ref": "#/$defs/Node"})}}
    assert reason(schema) == Reason.SCHEMA


def test_a_branch_that_fails_leaves_no_label_behind() -> None:
    branch = obj(intent=ENUM, why={"type": "string"})
    assert reason(obj(verdict={"anyOf": [branch, {"type": "null"}]})) == Reason.NO_PLACE
