"""Which contract a call belongs to."""

import json
from dataclasses import replace
from typing import Any

import pytest

from classifiers.policy import Policy
from classifiers.verdict import Verdict
from gateway.config.rules import RuleSettings
from gateway.contracts.audit_scope import scope
from gateway.protocols.chat_answers import CHAT
from gateway.rules.compile import compile_rules
from gateway.rules.rule import Rule

LABELS = {"a": {"means": "a"}, "b": {"means": "b"}}
POLICY = Policy.model_validate({"version": 1, "name": "shop", "kind": "intent", "about": "messages", "labels": LABELS})
OTHER = POLICY.model_copy(update={"other": "anything else"})
ALL = {"*": {"answer": "label"}}
VERDICT = Verdict(classifier="shop", version="v1", labels=("a",), confidence=0.9, scores={"a": 0.9})
PROPERTIES = {"why": {"type": "string"}, "label": {"enum": ["a"]}}
JSON = {"type": "json_object"}


def rule(policy: Policy = POLICY, **changed: Any) -> Rule:
    settings = {"name": "r", "classifier": "shop", "contract": True, "when": {"any_system": True}, "then": ALL}
    return compile_rules((RuleSettings.model_validate(settings | changed),), {"shop": policy}, {})[0]


RULE = rule()


def key(*, of: Rule = RULE, indent: int | None = None, system: str = "Name it.", **fields: Any) -> str:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "x"}]
    body = json.dumps({"model": "m", "messages": messages, **fields}, indent=indent)
    return scope(of, VERDICT, CHAT.parse(body.encode()), "one/m").key


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
        key(of=rule(OTHER)),
        key(of=rule(OTHER, then={**ALL, "other": {"answer": "label"}})),
    ]
    assert len(set(keys)) == len(keys)


def further(version: str = "v1", **urgency: Any) -> str:
    labels = {"high": {"means": "high"}, "low": {"means": "low"}, **urgency.pop("labels", {})}
    other = POLICY.model_copy(update={"name": "urgency", "labels": labels})
    fields = {"urgency": {"classifier": "urgency", **urgency}}
    settings = {"name": "r", "classifier": "shop", "contract": True, "when": {"any_system": True}, "then": ALL}
    made = RuleSettings.model_validate(settings | {"fields": fields})
    (compiled,) = compile_rules((made,), {"shop": POLICY, "urgency": other}, {})
    says = replace(VERDICT, classifier="urgency", version=version)
    request = CHAT.parse(b'{"model":"m","messages":[]}')
    return scope(compiled, replace(VERDICT, further={"urgency": says}), request, "one/m").key


def test_a_contract_belongs_to_the_classifiers_of_fields_too() -> None:
    keys = [further(), further("v2"), further(aliases={"high": ["P1"]}), further(labels={"medium": {"means": "m"}})]
    assert len({*keys, key()}) == 5
    assert further() == further()


@pytest.mark.parametrize("odd", ["1e400", "9" * 5000, "[" * 900 + "]" * 900])
def test_a_shape_that_cannot_be_decoded_is_a_shape_all_the_same(odd: str) -> None:
    def of(value: str) -> str:
        asked = f'"response_format":{{"type":"text","x":{value}}},"tools":[]'
        request = CHAT.parse(f'{{"model":"m","messages":[],{asked}}}'.encode())
        return scope(RULE, VERDICT, request, "one/m").key

    assert len({of(odd), of(f"[{odd}]"), key()}) == 3
