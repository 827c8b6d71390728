"""Which contract a call belongs to."""

import json
from typing import Any

import pytest

from classifiers.policy import Policy
from classifiers.verdict import ABOUT_A_MESSAGE, ANOTHER_MATTER, Abstention, Verdict
from gateway.config.rules import RuleSettings
from gateway.contracts.scope import likeliest, scope
from gateway.protocols.chat_answers import CHAT
from gateway.rules.compile import compile_rules
from gateway.rules.rule import Rule

LABELS = {"a": {"means": "a"}, "b": {"means": "b"}}
POLICY = Policy.model_validate({"version": 1, "name": "shop", "kind": "intent", "about": "messages", "labels": LABELS})
OTHER = POLICY.model_copy(update={"other": "anything else"})
ALL = {"*": {"answer": "label"}}
PROPERTIES = {"why": {"type": "string"}, "label": {"enum": ["a"]}}
JSON = {"type": "json_object"}


def rule(policy: Policy = POLICY, **changed: Any) -> Rule:
    settings = {"name": "r", "classifier": "shop", "contract": True, "when": {"any_system": True}, "then": ALL}
    return compile_rules((RuleSettings.model_validate(settings | changed),), {"shop": policy}, {})[0]


RULE = rule()


def key(*, of: Rule = RULE, indent: int | None = None, system: str = "Name it.", **fields: Any) -> str:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "x"}]
    body = json.dumps({"model": "m", "messages": messages, **fields}, indent=indent)
    return scope(of, CHAT.parse(body.encode()), "one/m").key


def schema(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": {"properties": properties}}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"response_format": schema(PROPERTIES)}, {"response_format": schema(PROPERTIES), "indent": 2}),
        ({}, {"response_format": {"type": "text"}}),
        ({}, {"response_format": None}),
        ({}, {"tools": []}),
        ({}, {"of": rule(then={name: {"answer": "label"} for name in "ab"})}),
        ({}, {"of": rule(reads={"roles": ["user"], "turns": "last"})}),
        # labels are no part, nor is a date in the prompt
        ({}, {"of": rule(OTHER)}),
        ({"system": "Today is 2 May 2026. Name it."}, {"system": "Today is 11 June 2026. Name it."}),
    ],
)
def test_what_says_the_same_makes_no_other_contract(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert key(**one) == key(**other)


def test_another_prompt_shape_or_reach_is_another_contract() -> None:
    keys = [
        key(),
        key(system="Name them."),
        key(response_format=schema(PROPERTIES)),
        key(response_format=schema(dict(reversed(PROPERTIES.items())))),
        key(response_format=JSON),
        key(of=rule(then={"a": {"answer": "label"}})),
        key(of=rule(then={"b": {"answer": "label"}})),
        key(of=rule(reads={"roles": ["user", "assistant"]})),
        key(of=rule(reads={"turns": "all"})),
        key(of=rule(aliases={"a": ["A1"]})),
        key(of=rule(contract={"max_disagreement": "5%"})),
        key(of=rule(OTHER, then={**ALL, "other": {"answer": "label"}})),
    ]
    assert len(set(keys)) == len(keys)


def test_a_prompt_is_shown_by_its_template() -> None:
    body = {"model": "m", "messages": [{"role": "system", "content": "Today is 2 May 2026.\nName it."}]}
    found = scope(RULE, CHAT.parse(json.dumps(body).encode()), "one/m")
    assert (found.shown, found.terms) == ("Today is # Name it.", "0.02 at 0.95")


@pytest.mark.parametrize("odd", ["1e400", "9" * 5000, "[" * 900 + "]" * 900])
def test_a_shape_that_cannot_be_decoded_is_a_shape_all_the_same(odd: str) -> None:
    def of(value: str) -> str:
        asked = f'"response_format":{{"type":"text","x":{value}}},"tools":[]'
        request = CHAT.parse(f'{{"model":"m","messages":[],{asked}}}'.encode())
        return scope(RULE, request, "one/m").key

    assert len({of(odd), of(f"[{odd}]"), key()}) == 3


@pytest.mark.parametrize(("reason", "label"), [("", "a"), (ANOTHER_MATTER, "a"), (ABOUT_A_MESSAGE, None)])
def test_the_likeliest_label_counts_but_for_tasks_about_messages(reason: str, label: str | None) -> None:
    scores = {"a": 0.7, "b": 0.2}
    unsure = Verdict(
        classifier="shop", version="v1", scores=scores, abstention=Abstention.UNSURE, reason=reason, windows_read=1
    )
    taken = likeliest(unsure)
    assert (taken.labels, taken.confidence) == (((label,), 0.7) if label else ((), unsure.confidence))
