"""Which contract a call belongs to."""

import json
from typing import Any

import pytest

from classifiers.policy import Policy
from classifiers.verdict import Verdict
from gateway.config.rules import Rule as RuleSettings
from gateway.reading.request import parse_chat
from gateway.reading.roles import turns_of
from gateway.rules.compile import compile_rules
from gateway.rules.contracted import scope
from gateway.rules.rule import Rule

POLICY = Policy.model_validate(
    {
        "version": 1,
        "name": "shop",
        "kind": "intent",
        "about": "messages",
        "labels": {"a": {"means": "a"}, "b": {"means": "b"}},
    }
)
ALL = {"*": {"answer": "label"}}


def rule(policy: Policy = POLICY, **changed: Any) -> Rule:
    settings = {"name": "r", "classifier": "shop", "contract": True, "then": ALL, **changed}
    return compile_rules((RuleSettings.model_validate(settings),), {"shop": policy}, {})[0]


RULE = rule()
SAID = Verdict(classifier="shop", version="v1", labels=("a",), confidence=0.9, scores={"a": 0.9})
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"why": {"type": "string"}, "label": {"enum": ["a"]}}}


def key(*, of: Rule = RULE, spaced: bool = False, system: str = "Name it.", **fields: Any) -> str:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "x"}]
    body = json.dumps({"model": "m", "messages": messages, **fields}, indent=2 if spaced else None)
    request = parse_chat(body.encode())
    return scope(of, SAID, request, turns_of(request.messages)).key


def schema(**more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA | more}}


def test_how_a_client_spaces_its_json_makes_no_other_contract() -> None:
    assert key(response_format=schema()) == key(response_format=schema(), spaced=True)


@pytest.mark.parametrize("fields", [{"response_format": {"type": "text"}}, {"response_format": None}, {"tools": []}])
def test_what_says_as_much_as_nothing_makes_no_other_contract(fields: dict[str, Any]) -> None:
    assert key(**fields) == key()


def test_another_prompt_or_shape_is_another_contract() -> None:
    turned = schema(properties=dict(reversed(SCHEMA["properties"].items())))
    keys = [
        key(),
        key(system="Name them."),
        key(response_format=schema()),
        key(response_format=turned),
        key(response_format={"type": "json_object"}),
    ]
    assert len(set(keys)) == len(keys)


def test_a_rule_that_answers_or_reads_more_is_another_contract() -> None:
    keys = [
        key(),
        key(of=rule(then={"a": {"answer": "label"}})),
        key(of=rule(then={"b": {"answer": "label"}})),
        key(of=rule(reads={"roles": ["user", "assistant"]})),
        key(of=rule(reads={"turns": "all"})),
        key(of=rule(reads={"max_windows": 1})),
    ]
    assert len(set(keys)) == len(keys)


def test_contracts_of_earlier_versions_keep_their_keys() -> None:
    """As of before rules were told apart by what they answer and read."""
    said = rule(then={name: {"answer": "label"} for name in "ab"}, reads={"roles": ["user"], "turns": "last"})
    assert key() == key(of=said) == "8b787d5a0a0e5c49"
    other = POLICY.model_copy(update={"other": "anything else"})
    assert key(of=rule(other)) == "2eab87d29efaff39"
    assert key(of=rule(other, then={**ALL, "other": {"answer": "label"}})) != "2eab87d29efaff39"
