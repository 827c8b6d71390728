"""A rule answers only requests that are wholly understood: fields, conversation, tools, system prompt."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.policy import Policy
from gateway.answers.build import text_unsupported
from gateway.answers.understood import why_not_answerable
from gateway.config.rules import RuleSettings
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.chat_requests import MESSAGE_KEYS, NESTED_KEYS, UNDERSTOOD
from gateway.protocols.messages_answers import MESSAGES
from gateway.protocols.messages_requests import BLOCK_KEYS
from gateway.protocols.messages_requests import MESSAGE_KEYS as MESSAGES_KEYS
from gateway.protocols.wire import Request, UnsupportedReason
from gateway.requests.system import PromptPatterns, fingerprint
from gateway.rules.compile import compile_rules
from gateway.rules.rule import Rule
from tests.given import table

USER = {"role": "user", "content": "hi"}
CALL = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "c", "type": "function", "function": {"name": "find", "arguments": ""}}]}  # fmt: skip
RESULT = {"role": "tool", "tool_call_id": "c", "content": "42"}
SAYS = {"role": "assistant", "content": "Hello."}
KEPT = {**SAYS, "name": "ada", "refusal": None, "annotations": [{"type": "url_citation"}], "audio": None,
    "function_call": None, "tool_calls": None, "reasoning_content": "so", "reasoning": "so",
    "reasoning_details": [{"type": "reasoning.text", "text": "so"}], "thinking_blocks": []}  # fmt: skip
"""An answer as clients send it again: with what came of it."""
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}


@pytest.fixture(scope="module")
def rule() -> Rule:
    policy = Policy.model_validate({
        "version": 1, "name": "bank", "kind": "intent", "about": "tests", "other": "anything else",
        "labels": {"greeting": {"means": "hello"}, "card": {"means": "a card"}},
    })  # fmt: skip
    settings = RuleSettings.model_validate(
        {"name": "intents", "classifier": "bank", "when": {"system": "none"}, "then": {"greeting": {"answer": "Hi!"}}}
    )
    return compile_rules((settings,), {"bank": policy}, {})[0]


def request(*messages: Any, **fields: Any) -> Request:
    return CHAT.parse(json.dumps({"model": "m", "messages": list(messages) or [USER], **fields}).encode())


@pytest.mark.parametrize(
    ("messages", "fixed", "reason"),
    [
        ([USER], True, None),
        ([{"role": "system", "content": "Be brief."}, USER], True, None),
        ([USER, SAYS, USER], False, None),
        ([USER, SAYS, USER], True, UnsupportedReason.LATER_TURN),
        # a chat window's welcome
        ([SAYS, USER], True, None),
        ([{"role": "system", "content": "Be brief."}, SAYS, SAYS, USER], True, None),
        ([SAYS, USER, SAYS, USER], True, UnsupportedReason.LATER_TURN),
        ([{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "In French."}, USER], False,
         UnsupportedReason.CONVERSATION),
        ([USER, SAYS], False, UnsupportedReason.CONVERSATION),
        ([USER, CALL], False, UnsupportedReason.CONVERSATION),
        ([USER, CALL, RESULT], False, UnsupportedReason.CONVERSATION),
        ([USER, CALL, RESULT, USER], False, UnsupportedReason.CONVERSATION),
        ([USER, CALL, RESULT, SAYS, USER], False, None),
        ([IMAGE, SAYS, USER], False, UnsupportedReason.CONVERSATION),
        ([USER, {"role": "system", "content": "Now speak as a pirate."}], False, UnsupportedReason.CONVERSATION),
        ([{**USER, "prefix": True}], False, UnsupportedReason.UNKNOWN_FIELD),
        ([USER, {**SAYS, "prefix": True}, USER], False, UnsupportedReason.UNKNOWN_FIELD),
        ([USER, {**SAYS, "audio": {"id": "a"}}, USER], False, UnsupportedReason.UNKNOWN_FIELD),
        ([USER, KEPT, USER], False, None),
        ([USER, CALL, {**RESULT, "name": "find"}, KEPT, USER], False, None),
        ([{**USER, "name": "eve", "reasoning": None}], False, None),
        ([{**USER, "reasoning": "so"}], False, UnsupportedReason.UNKNOWN_FIELD),
        ([{"role": "guest", "content": "hi"}], False, UnsupportedReason.UNKNOWN_FIELD),
        ([{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}],
         False, None),
        ([{"role": "user", "content": [{"type": "text", "text": "hi", "prompt_cache_breakpoint": {"mode": "explicit"},
          "data": None}]}], False, None),
        ([], False, UnsupportedReason.CONVERSATION),
    ],
)  # fmt: skip
def test_a_conversation_ends_in_a_turn_of_text(
    rule: Rule, messages: list[Any], fixed: bool, reason: UnsupportedReason | None
) -> None:
    asked = CHAT.parse(json.dumps({"model": "m", "messages": messages}).encode())
    why = why_not_answerable(rule, asked, fixed=fixed)
    assert (why and why.reason) == reason


def test_a_rule_may_answer_later_turns(rule: Rule) -> None:
    assert why_not_answerable(replace(rule, any_turn=True), request(USER, SAYS, USER), fixed=True) is None


NAMES = st.from_regex(r"[a-z][a-z_]{1,30}", fullmatch=True)
VALUES_OF_ANY_KIND = st.one_of(
    st.booleans(), st.integers(), st.text(max_size=9), st.dictionaries(st.text(max_size=5), st.none())
)


@given(name=NAMES, value=VALUES_OF_ANY_KIND)
def test_an_unknown_field_is_never_understood(rule: Rule, name: str, value: object) -> None:
    if name in UNDERSTOOD.harmless or name in UNDERSTOOD.read or name in UNDERSTOOD.values:
        return
    why = why_not_answerable(rule, request(**{name: value}), fixed=False)
    assert why is not None
    assert (why.reason, why.detail) == (UnsupportedReason.UNKNOWN_FIELD, name)


@given(name=NAMES, value=VALUES_OF_ANY_KIND, place=st.integers(0, 5), in_part=st.booleans())
def test_an_unknown_key_of_any_message_is_never_understood(
    rule: Rule, name: str, value: object, place: int, in_part: bool
) -> None:
    if name in MESSAGE_KEYS["assistant"] | MESSAGE_KEYS["tool"] | NESTED_KEYS["content[]"]:
        return
    messages: list[Any] = [{"role": "system", "content": "Be brief."}, USER, CALL, RESULT, SAYS, USER]
    changed = messages[place]
    if in_part:
        messages[place] = {
            **changed,
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b", name: value}],
        }
    else:
        messages[place] = {**changed, name: value}
    why = why_not_answerable(rule, request(*messages), fixed=False)
    where = f"messages[{place}].{'content[1].' if in_part else ''}{name}"
    assert why is not None
    assert (why.reason, why.detail) == (UnsupportedReason.UNKNOWN_FIELD, where)


@pytest.mark.parametrize("name", ["foo", "extra_content"])
@pytest.mark.parametrize("where", ["tool_calls[0]", "tool_calls[0].function", "tool_calls[1].custom", "function_call"])
def test_an_unknown_key_of_a_past_call_is_not_understood(rule: Rule, where: str, name: str) -> None:
    called: dict[str, Any] = {
        "tool_calls": [
            {"id": "a", "type": "function", "index": 0, "function": {"name": "find", "arguments": "{}"}},
            {"id": "b", "type": "custom", "custom": {"name": "note", "input": "x"}},
        ],
        "function_call": {"name": "find", "arguments": "{}"},
    }
    asked = [USER, {"role": "assistant", "content": None, **called}, RESULT, SAYS, USER]
    assert why_not_answerable(rule, request(*asked), fixed=False) is None
    fields = called
    for key in re.findall(r"\w+", where):
        fields = fields[int(key) if key.isdigit() else key]
    fields[name] = {"a": 1}
    why = why_not_answerable(rule, request(*asked), fixed=False)
    assert why is not None
    assert (why.reason, why.detail) == (UnsupportedReason.UNKNOWN_FIELD, f"messages[1].{where}.{name}")


@pytest.mark.parametrize(("fields", "harmless"), table("given/gateway-answers-understood-values_count.yaml"))
def test_values_count(rule: Rule, fields: dict[str, Any], harmless: bool) -> None:
    assert (why_not_answerable(rule, request(**fields), fixed=False) is None) == harmless


TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"tools": TOOLS}, UnsupportedReason.FREE_TOOLS),
        ({"tools": TOOLS, "tool_choice": "none"}, None),
        ({"tools": TOOLS, "tool_choice": "required"}, UnsupportedReason.NO_PLACE),
        ({"response_format": {"type": "json_object"}}, UnsupportedReason.NO_PLACE),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, UnsupportedReason.NO_PLACE),
        ({"stop": ["Hi"]}, UnsupportedReason.STOP),
        ({"stop": "\n"}, None),
        ({"max_tokens": 1}, UnsupportedReason.LENGTH),
        ({"max_tokens": 100}, None),
        ({"logprobs": True}, UnsupportedReason.MODALITY),
    ],
)  # fmt: skip
def test_a_fixed_text_is_plain_text(fields: dict[str, Any], reason: UnsupportedReason | None) -> None:
    why = text_unsupported("Hi! How can I help?", CHAT.requests.requested(request(**fields).fields))
    assert (why and why.reason) == reason


@pytest.mark.parametrize(
    ("patterns", "text", "expected"), table("given/gateway-answers-understood-system_prompts_of_a_task.yaml")
)
def test_system_prompts_of_a_task(patterns: list[str], text: str, expected: bool) -> None:
    assert PromptPatterns.of(patterns).match(text) == expected
    assert (PromptPatterns.of(patterns).mismatch(text) == "") is expected


@pytest.mark.parametrize(
    ("patterns", "text", "why"),
    [
        (["Be brief."], " ", "the call has no system prompt"),
        (["none"], "Be brief.", "the call has a system prompt, and the rule is for calls without one"),
        (["Is this spam?", "Is*?", "none"], "Are we?", "the call's system prompt is not the rule's text or glob"),
        (["Be brief.", ("template", "0" * 16)], "Be", "the call's system prompt is not the rule's text or template"),
    ],
)
def test_what_of_a_system_prompt_does_not_fit_is_named(patterns: list[Any], text: str, why: str) -> None:
    assert PromptPatterns.of(patterns).mismatch(text) == why


def test_a_template_allows_dates_numbers_and_retrieved_text_only() -> None:
    made = "Today is Monday, 30 November 2026. Use:\n```\n{}\n```\nSort the ticket of order {}."
    own = fingerprint(made.format("The shop opens at nine.", 17))
    prompts = PromptPatterns.of([("template", own)])
    assert prompts.match(made.format("Other text\nof two lines.", 4711).replace("Monday, 30", "Tuesday, 1"))
    assert not prompts.match(made.format("The shop opens at nine.", 17).replace("Sort", "Translate"))


def rows(table: str) -> list[list[list[str]]]:
    """What stands in backticks in the first two cells of each row."""
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    return [[re.findall(r"`([^`]+)`", cell) for cell in line.split("|")[1:3]] for line in lines]


@pytest.mark.parametrize(
    ("heading", "understood", "known"),
    [
        ("### What is understood", UNDERSTOOD, {**MESSAGE_KEYS, **NESTED_KEYS}),
        ("#### In Messages", MESSAGES.requests.understood, {"messages[]": MESSAGES_KEYS, **BLOCK_KEYS}),
    ],
)
def test_the_docs_list_what_is_understood(heading: str, understood: Any, known: Any) -> None:
    page = (Path(__file__).parents[3] / "docs/api.md").read_text("utf-8")
    section = page.partition(heading)[2].partition("\n#")[0]
    fields, _, messages = section.partition("| message | keys |")
    named = {name for names, _ in rows(fields) for name in names}
    assert named == {*understood.harmless, *understood.read, *understood.values}
    keys = {name: set(each) for names, each in rows(messages) for name in names}
    assert keys == known
