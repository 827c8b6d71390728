from collections.abc import Callable
from pathlib import Path

import pytest

from classifiers.policy import Policy
from gateway.config.load import Loaded
from gateway.rules.compile import compile_rules
from gateway.rules.rule import Act, Action, Rule
from gateway.serving.snapshot import rule_problems

BASE = """\
version: 1
upstreams:
  one: {kind: echo}
models:
  m: one
  cheap: one
rules:
"""


@pytest.fixture
def compiled(load: Callable[..., Loaded], policies: dict[str, Policy]) -> Callable[[str], Rule]:
    """The one rule of a text."""

    def make(text: str) -> Rule:
        loaded = load(BASE + text)
        (rule,) = compile_rules(loaded.settings.rules, policies, loaded.replies)
        return rule

    return make


def test_what_is_written_is_what_is_done(compiled: Callable[[str], Rule], tmp_path: Path) -> None:
    (tmp_path / "hi.md").write_text("Hi from a file.\n")
    rule = compiled(
        """\
  - name: intents
    classifier: bank
    when: {model: m, system_glob: "a*"}
    reads: {roles: [user, system], turns: all}
    then:
      greeting: {answer_file: hi.md}
      rate: {forward: cheap}
      card: {block: {message: no, shape: error}}
      other: flag
"""
    )
    assert rule.then == {
        "greeting": Action(act=Act.ANSWER, text="Hi from a file."),
        "rate": Action(act=Act.FORWARD, model="cheap"),
        "card": Action(act=Act.BLOCK, text="no", shape="error"),
        "other": Action(act=Act.FLAG),
    }
    assert (rule.models, rule.system_glob, rule.roles) == (frozenset({"m"}), "a*", frozenset({"user", "system"}))
    assert not rule.last_turn


def test_a_safety_rule_left_short_fails_closed(compiled: Callable[[str], Rule]) -> None:
    rule = compiled("  - {name: s, classifier: safe, then: {violence: block}}\n")
    assert rule.roles == {"user", "tool"}
    assert not rule.last_turn
    assert {kind: action.act for kind, action in rule.otherwise.items()} == {
        "unsure": Act.FORWARD,
        "language": Act.FORWARD,
        "unread": Act.BLOCK,
        "broken": Act.BLOCK,
    }


def test_a_star_is_every_label_but_other_and_yields_to_the_label_itself(compiled: Callable[[str], Rule]) -> None:
    rule = compiled('  - {name: s, classifier: bank, then: {card: flag, "*": block}}\n')
    assert {label: action.act for label, action in rule.then.items()} == {
        "greeting": Act.BLOCK,
        "rate": Act.BLOCK,
        "card": Act.FLAG,
    }


def test_a_rule_that_redacts_slots_reads_all_turns_of_all_roles(
    load: Callable[..., Loaded], policies: dict[str, Policy]
) -> None:
    details = Policy.model_validate(
        {
            "version": 1,
            "name": "details",
            "kind": "slots",
            "about": "who somebody is",
            "slots": {"person": {"means": "a name"}, "address": {"means": "where they live"}},
        }
    )
    known = {**policies, "details": details}
    loaded = load(BASE + '  - {name: d, classifier: details, then: {"*": redact}}\n')
    assert rule_problems(loaded, known) == []
    (rule,) = compile_rules(loaded.settings.rules, known, loaded.replies)
    assert rule.redacts == ("person", "address")
    # what it did not read cannot be redacted
    assert (rule.otherwise["unread"].act, rule.otherwise["broken"].act) == (Act.BLOCK, Act.BLOCK)
    assert rule.roles == {"system", "developer", "user", "assistant", "tool"}
    assert not rule.last_turn
    assert rule.reading(("hi",), incomplete=False).every_slot
