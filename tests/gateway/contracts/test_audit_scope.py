"""Which contract a call belongs to."""

import json
from typing import Any

import pytest

from classifiers.policy import Policy
from classifiers.verdict import Verdict
from gateway.config.rules import RuleSettings
from gateway.contracts.audit_scope import scope
from gateway.requests.parse import parse_chat
from gateway.rules.compile import compile_rules
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


def key(
    *, of: Rule = RULE, spaced: bool = False, system: str = "Name it.", sent_to: str = "one/m", **fields: Any
) -> str:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "x"}]
    body = json.dumps({"model": "m", "messages": messages, **fields}, indent=2 if spaced else None)
    request = parse_chat(body.encode())
    return scope(of, SAID, request, sent_to).key


def schema(**more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA | more}}


def test_how_a_client_spaces_its_json_makes_no_other_contract() -> None:
    assert key(response_format=schema()) == key(response_format=schema(), spaced=True)


@pytest.mark.parametrize("fields", [{"response_format": {"type": "text"}}, {"response_format": None}, {"tools": []}])
def test_what_says_as_much_as_nothing_makes_no_other_contract(fields: dict[str, Any]) -> None:
    assert key(**fields) == key()


@pytest.mark.parametrize("odd", ["1e400", "9" * 5000, "[" * 900 + "]" * 900])
def test_a_shape_that_cannot_be_decoded_is_a_shape_all_the_same(odd: str) -> None:
    def of(value: str) -> str:
        asked = f'"response_format":{{"type":"text","x":{value}}},"tools":[]'
        request = parse_chat(f'{{"model":"m","messages":[],{asked}}}'.encode())
        return scope(RULE, SAID, request, "one/m").key

    assert len({of(odd), of(f"[{odd}]"), key()}) == 3


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


def test_what_says_no_more_than_the_usual_makes_no_other_contract() -> None:
    said = rule(then={name: {"answer": "label"} for name in "ab"}, reads={"roles": ["user"], "turns": "last"})
    assert key() == key(of=said)
    other = rule(POLICY.model_copy(update={"other": "anything else"}))
    answered = rule(POLICY.model_copy(update={"other": "anything else"}), then={**ALL, "other": {"answer": "label"}})
    assert len({key(), key(of=other), key(of=answered)}) == 3


def test_what_an_earlier_version_stored_keeps_its_key() -> None:
    """To which no call belongs: it does not say where the model was sent."""
    assert key(sent_to="") == "8b787d5a0a0e5c49"
