"""A rule's verdict in the shape that a request asks for: labels, slots and fixed texts."""

import json
from dataclasses import replace
from typing import Any

import pytest

from classifiers.policy import Policy
from classifiers.verdict import SlotValue, Verdict
from gateway.answers.build import LocalAnswers, local_answers
from gateway.config.rules import RuleSettings
from gateway.requests.parse import parse_chat
from gateway.rules.compile import compile_rules
from gateway.rules.rule import Act, Action, Rule

POLICY = Policy.model_validate(
    {
        "version": 1,
        "name": "table",
        "kind": "slots",
        "about": "bookings",
        "labels": {"book": {"means": "books"}, "cancel": {"means": "cancels"}},
        "slots": {"people": {"means": "how many", "type": "number"}, "date": {"means": "the day", "type": "date"}},
    }
)
(RULE,) = compile_rules(
    (RuleSettings.model_validate({"name": "r", "classifier": "table", "then": {"*": {"answer": "label"}}}),),
    {"table": POLICY},
    {},
)
BOOK = {
    "type": "object",
    "properties": {"people": {"type": "integer"}, "date": {"type": ["string", "null"], "format": "date"}},
    "required": ["people", "date"],
}


def verdict(**values: Any) -> Verdict:
    found = tuple(
        SlotValue(slot=name, start=0, end=1, raw=str(value), value=value, confidence=0.7)
        for name, value in values.items()
    )
    return Verdict(
        classifier="table", version="v1", labels=("book",), confidence=0.9, scores={"book": 0.9}, slots=found
    )


def asked(of: Verdict, rule: Rule = RULE, **fields: Any) -> LocalAnswers:
    request = parse_chat(json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}).encode())
    return local_answers(request, [(rule, of)])


def calling(parameters: dict[str, Any]) -> dict[str, Any]:
    function = {"name": "book_table", "parameters": parameters}
    return {"tools": [{"type": "function", "function": function}], "tool_choice": "required"}


def test_a_function_of_slots_alone() -> None:
    made = asked(verdict(people=4), **calling(BOOK)).answers["r"]
    assert made.call is not None
    assert (made.call.name, json.loads(made.content)) == ("book_table", {"people": 4, "date": None})
    assert (made.label, made.slot_confidence) == (None, 0.7)
    assert dict(made.slots) == {("people",): "people", ("date",): "date"}


def test_a_schema_of_a_label_and_slots() -> None:
    schema = {**BOOK, "properties": {**BOOK["properties"], "what": {"enum": ["Book", "Cancel"]}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    made = asked(verdict(people=4, date="2026-11-27"), response_format=form).answers["r"]
    assert json.loads(made.content) == {"what": "Book", "people": 4, "date": "2026-11-27"}


def test_a_required_slot_of_which_nothing_is_said() -> None:
    assert asked(verdict(date="2026-11-27"), **calling(BOOK)).unsupported["r"].reason == "no_value"


def test_a_slot_that_does_not_fit() -> None:
    assert asked(verdict(people=4, date=None), **calling(BOOK)).unsupported["r"].reason == "unfit_value"


SAYS = {"book": Action(act=Act.ANSWER, text="Come at any time.")}
IN_JSON = {"response_format": {"type": "json_object"}}


def test_a_rule_has_an_answer_or_none() -> None:
    both = replace(RULE, then={**RULE.then, **SAYS})
    assert asked(verdict(people=4), both, **calling(BOOK)).unsupported.keys() == {"r"}
    assert asked(verdict(people=4), both, **calling(BOOK)).answers == {}
    assert asked(verdict(people=4), replace(RULE, then=SAYS)) == LocalAnswers()


@pytest.mark.parametrize(("labels", "unmet"), [(("book",), True), (("cancel",), False), ((), False)])
def test_a_text_counts_where_the_verdict_calls_for_it(labels: tuple[str, ...], unmet: bool) -> None:
    told = replace(verdict(), labels=labels)
    assert bool(asked(told, replace(RULE, then=SAYS), **IN_JSON).unsupported) is unmet
