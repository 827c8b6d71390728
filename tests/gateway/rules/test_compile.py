"""What rules' settings mean, and which requests rules meet."""

from collections.abc import Callable
from pathlib import Path

import pytest

from classifiers.policy import Policy
from gateway.config.load import Loaded
from gateway.protocols.chat_answers import CHAT
from gateway.requests.system import PromptPatterns
from gateway.rules.compile import compile_rules
from gateway.rules.rule import FURTHER, Act, Action, FurtherClassifier, Rule, failing_part
from gateway.serving.snapshot import rule_problems
from gateway.spelling import LabelNames
from tests.given import table_text

BASE = table_text("given/gateway-rules-compile-base.yaml")
REQUEST = CHAT.parse(
    b'{"model":"m","messages":[{"role":"system","content":"Classify the support ticket.\\nBe brief."},'
    b'{"role":"user","content":"hi"}]}'
)


@pytest.fixture
def compiled(load: Callable[..., Loaded], policies: dict[str, Policy]) -> Callable[[str], Rule]:
    """The one rule of a text."""

    def make(text: str) -> Rule:
        loaded = load(BASE + text)
        assert rule_problems(loaded, policies) == []
        (rule,) = compile_rules(loaded.settings.rules, policies, loaded.replies)
        return rule

    return make


def test_what_is_written_is_what_is_done(compiled: Callable[[str], Rule], tmp_path: Path) -> None:
    (tmp_path / "hi.md").write_text("Hi from a file.\n")
    rule = compiled(
        """\
  - name: intents
    classifier: bank
    when: {model: m, system: "a*", any_end: true}
    reads: {roles: [user, system], turns: all}
    then:
      "*": flag
      greeting: {answer_file: hi.md}
      rate: {forward: cheap}
      other: {block: {message: no, shape: error}}
"""
    )
    # a star is every label but `other`, and yields to the label itself
    assert rule.then == {
        "greeting": Action(act=Act.ANSWER, text="Hi from a file."),
        "rate": Action(act=Act.FORWARD, model="cheap"),
        "card": Action(act=Act.FLAG),
        "other": Action(act=Act.BLOCK, text="no", shape="error"),
    }
    assert (rule.models, rule.roles) == (frozenset({"m"}), frozenset({"user", "system"}))
    assert rule.system == PromptPatterns(texts=("a*",))
    assert not rule.last_turn


def test_a_safety_rule_left_short_fails_closed_but_for_what_is_no_text(compiled: Callable[[str], Rule]) -> None:
    rule = compiled("  - {name: s, classifier: safe, then: {violence: block}}\n")
    assert (rule.roles, rule.last_turn) == ({"user", "tool"}, False)
    assert {kind: action.act for kind, action in rule.otherwise.items()} == {
        "unsure": Act.FORWARD,
        "language": Act.FORWARD,
        "unread": Act.FORWARD,
        "late": Act.ERROR,
        "broken": Act.BLOCK,
    }


@pytest.mark.parametrize(
    ("more", "kind", "act"),
    [
        ("when_unread: block", "unread", Act.BLOCK),
        ("when_late: block", "late", Act.BLOCK),
        ("when_late: forward", "late", Act.FORWARD),
        # who lets pass what no verdict is on does not want an error either
        ("when_broken: forward", "late", Act.FORWARD),
    ],
)
def test_what_happens_where_a_classifier_abstains_is_written(
    compiled: Callable[[str], Rule], more: str, kind: str, act: Act
) -> None:
    rule = compiled(f"  - {{name: s, classifier: safe, then: {{violence: block}}, {more}}}\n")
    assert rule.otherwise[kind].act is act


@pytest.mark.parametrize(
    ("settings", "language", "unsure"),
    [
        ("when_unsure: block", Act.BLOCK, Act.BLOCK),
        ("when_unsure: {ask: cheap}", Act.ASK, Act.ASK),
        ("when_language: block", Act.BLOCK, Act.FORWARD),
        ("when_language: {ask: cheap}", Act.ASK, Act.FORWARD),
        ("when_language: forward, when_unsure: {ask: cheap}", Act.FORWARD, Act.ASK),
    ],
)
def test_another_language_goes_the_way_of_doubt_unless_written(
    compiled: Callable[[str], Rule], settings: str, language: Act, unsure: Act
) -> None:
    rule = compiled(f"  - {{name: s, classifier: safe, then: {{violence: block}}, {settings}}}\n")
    assert (rule.otherwise["language"].act, rule.otherwise["unsure"].act) == (language, unsure)
    assert (rule.asks is not None) is ("ask" in settings)


def test_a_rule_that_redacts_slots_reads_all_turns_of_all_roles(
    compiled: Callable[[str], Rule], policies: dict[str, Policy]
) -> None:
    slots = {"person": {"means": "a name"}, "address": {"means": "where they live"}}
    policies["details"] = Policy.model_validate(
        {"version": 1, "name": "details", "kind": "slots", "about": "who somebody is", "slots": slots}
    )
    rule = compiled('  - {name: d, classifier: details, then: {"*": redact}}\n')
    assert rule.redacts == ("person", "address")
    # what it did not read cannot be redacted
    assert (rule.otherwise["unread"].act, rule.otherwise["broken"].act) == (Act.BLOCK, Act.BLOCK)
    assert rule.roles == {"system", "developer", "user", "assistant", "tool"}
    assert not rule.last_turn
    assert rule.reading(("hi",), incomplete=False).every_slot


def test_a_field_of_another_classifier_has_its_names(
    compiled: Callable[[str], Rule], policies: dict[str, Policy]
) -> None:
    labels = {"high": {"means": "now"}, "low": {"means": "later"}}
    policies["urgency"] = policies["bank"].model_copy(update={"name": "urgency", "labels": labels})
    filled = "{urgency: {classifier: urgency, aliases: {high: [P1]}}, score: confidence}"
    rule = compiled(f"  - {{name: r, classifier: bank, then: {{card: flag}}, fields: {filled}}}\n")
    assert rule.fields == {"urgency": FURTHER, "score": "confidence"}
    names = LabelNames(("high", "low", "other"), {"high": ("P1",)})
    assert rule.further == {"urgency": FurtherClassifier(classifier="urgency", names=names)}


@pytest.mark.parametrize(
    ("settings", "met"),
    [
        ({}, True),
        ({"models": ("m", "n")}, True),
        ({"models": ("M",)}, False),
        ({"system": "Classify the support ticket*"}, True),
        ({"system": "classify*"}, False),
        ({"system": "Classify"}, False),
        ({"system": "*brief."}, True),
        ({"models": ("m",), "system": "*hi*"}, False),
        ({"models": ("n",), "system": "*"}, False),
    ],
)
def test_all_that_is_given_must_hold(make_rule: Callable[..., Rule], settings: dict[str, object], met: bool) -> None:
    rule = make_rule(**settings)
    assert (failing_part(rule, REQUEST) == "") is met
