"""Deciding is pure: examples of the grammar, and what must hold for any rules and verdicts."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.verdict import Abstention, SlotValue, Verdict
from gateway.record import Record
from gateway.redaction.apply import marks_of
from gateway.rules.decide import apply, decide, decisive, note_decision, note_verdict, note_verdicts
from gateway.rules.rule import Act, Action, Rule
from gateway.spelling import LabelNames

MakeRule = Callable[..., Rule]
MakeVerdict = Callable[..., Verdict]


def test_the_severest_action_of_a_rules_labels_wins(make_rule: MakeRule, make_verdict: MakeVerdict) -> None:
    rule = make_rule({"a": Act.FLAG, "b": Act.FORWARD, "c": Act.ANSWER, "d": Act.BLOCK})
    for labels, act in [("a", Act.FLAG), ("ab", Act.FORWARD), ("cab", Act.ANSWER), ("dcba", Act.BLOCK)]:
        step = apply(rule, make_verdict(*labels))
        assert step.action is not None
        assert step.action.act is act
        assert step.ends is (act is not Act.FLAG)


def test_what_is_forwarded_in_the_end_is_redacted(make_rule: MakeRule, make_verdict: MakeVerdict) -> None:
    redacts = make_rule({"a": Act.REDACT, "b": Act.ANSWER}, name="first")
    for act in (Act.FORWARD, Act.FLAG):
        decision = decide([(redacts, make_verdict("a", "b")), (make_rule({"a": act}), make_verdict("a"))])
        assert decision.act is (Act.FORWARD if act is Act.FORWARD else Act.REDACT)
        assert [(step.rule.name, step.label) for step in decision.redactions] == [("first", "a")]
    for act in (Act.BLOCK, Act.ANSWER):
        decision = decide([(redacts, make_verdict("a")), (make_rule({"a": act}), make_verdict("a"))])
        assert (decision.act, decision.redactions) == (act, ())


@pytest.mark.parametrize("labels", [(), ("other",), ("b",)])
def test_what_fills_a_slot_is_redacted_whatever_the_label(
    make_rule: MakeRule, make_verdict: MakeVerdict, labels: tuple[str, ...]
) -> None:
    rule = replace(make_rule({"a": Act.REDACT, "b": Act.FLAG}), redacts=("person",))
    place = SlotValue(slot="person", start=0, end=3, raw="Tom", value="Tom", confidence=0.9)
    unsure = None if labels else Abstention.UNSURE
    found = replace(make_verdict(*labels, abstention=unsure), slots=(place, replace(place, slot="date")))
    decision = decide([(rule, found)])
    assert (decision.act, [step.label for step in decision.redactions]) == (Act.REDACT, ["a"])
    assert decide([(rule, replace(found, slots=()))]).act is Act.FORWARD
    assert [(text, mark.kind, mark.start, mark.end) for text, mark in marks_of(decision.redactions[0])] == [
        (0, "person", 0, 3)
    ]


@pytest.mark.parametrize(
    ("unsure", "unread", "act", "why"),
    [
        (Act.BLOCK, Act.FORWARD, Act.BLOCK, Abstention.UNSURE),
        (Act.ASK, Act.FORWARD, Act.ASK, Abstention.UNSURE),
        (Act.ASK, Act.BLOCK, Act.BLOCK, Abstention.UNREAD),
        (Act.FORWARD, Act.BLOCK, Act.BLOCK, Abstention.UNREAD),
        (Act.FORWARD, Act.FORWARD, Act.FORWARD, Abstention.UNREAD),
    ],
)
def test_what_was_read_is_in_doubt_though_a_part_was_not(
    make_rule: MakeRule, make_verdict: MakeVerdict, unsure: Act, unread: Act, act: Act, why: Abstention
) -> None:
    rule = make_rule({}, unsure=unsure, unread=unread)
    both = replace(make_verdict(abstention=Abstention.UNREAD), doubts=(Abstention.UNSURE,))
    assert decide([(rule, both)]).act is act
    assert decisive(rule, both) is why


@pytest.mark.parametrize(
    ("language", "unsure", "foreign", "doubtful", "both"),
    [
        (Act.FORWARD, Act.BLOCK, Act.FORWARD, Act.BLOCK, Act.BLOCK),
        (Act.FORWARD, Act.ASK, Act.FORWARD, Act.ASK, Act.ASK),
        (Act.BLOCK, Act.FORWARD, Act.BLOCK, Act.FORWARD, Act.BLOCK),
        (Act.BLOCK, Act.ASK, Act.BLOCK, Act.ASK, Act.BLOCK),
        (Act.ASK, Act.FORWARD, Act.ASK, Act.FORWARD, Act.ASK),
        (Act.ASK, Act.BLOCK, Act.ASK, Act.BLOCK, Act.BLOCK),
    ],
)
def test_another_language_and_doubt_are_decided_apart(
    make_rule: MakeRule, make_verdict: MakeVerdict, language: Act, unsure: Act, foreign: Act, doubtful: Act, both: Act
) -> None:
    rule = make_rule({"a": Act.BLOCK}, unsure=unsure, language=language)
    in_language, in_doubt = (make_verdict(abstention=kind) for kind in (Abstention.LANGUAGE, Abstention.UNSURE))
    in_both = replace(in_language, doubts=(Abstention.UNSURE,))
    assert [decide([(rule, verdict)]).act for verdict in (in_language, in_doubt, in_both)] == [foreign, doubtful, both]
    # a label that is found all the same stands
    assert decide([(rule, replace(in_language, labels=("a",)))]).act is Act.BLOCK


@pytest.mark.parametrize("abstention", list(Abstention))
@pytest.mark.parametrize(
    ("then", "does", "flags"),
    [
        (Act.BLOCK, Act.BLOCK, []),
        # nothing milder than a block rests on a part that was read
        (Act.ANSWER, Act.FORWARD, []),
        (Act.FORWARD, Act.FORWARD, []),
        (Act.FLAG, Act.FORWARD, ["a"]),
    ],
)
def test_a_certain_flag_stands_beside_what_is_in_doubt(
    make_rule: MakeRule, make_verdict: MakeVerdict, abstention: Abstention, then: Act, does: Act, flags: list[str]
) -> None:
    """So does a block."""
    rule = make_rule({"a": then}, **{abstention.value: Act.FORWARD})
    decision = decide([(rule, make_verdict("a", abstention=abstention))])
    assert (decision.act, decision.step is None) == (does, does is Act.FORWARD)
    assert [step.label for step in decision.flags] == flags
    rule = make_rule({"a": then}, **{abstention.value: Act.BLOCK})
    assert decide([(rule, make_verdict("a", abstention=abstention))]).act is Act.BLOCK


@pytest.mark.parametrize("abstention", list(Abstention))
def test_a_confidence_is_noted_of_labels_alone(
    make_rule: MakeRule, make_verdict: MakeVerdict, abstention: Abstention
) -> None:
    rule, record = (
        make_rule({"a": Act.BLOCK}, **{abstention.value: Act.BLOCK}),
        Record(request_id="r", at=0, endpoint=""),
    )
    note_decision(record, decide([(rule, make_verdict(abstention=abstention))]), {})
    assert (record.label, record.confidence) == (abstention.value, None)
    note_decision(record, decide([(rule, make_verdict("a"))]), {})
    assert (record.label, record.confidence) == ("a", 0.9)


@pytest.mark.parametrize(("own_label", "confidence"), [(True, 0.6), (False, 0.9)])
def test_an_answer_is_as_certain_as_the_least_certain_label_in_it(
    make_rule: MakeRule, make_verdict: MakeVerdict, own_label: bool, confidence: float
) -> None:
    rule, record = make_rule({}), Record(request_id="r", at=0, endpoint="")
    rule = replace(rule, then=dict.fromkeys("ab", Action(act=Act.ANSWER, own_label=own_label)))
    one, other = make_verdict("a"), replace(make_verdict("b"), scores={"a": 0.1, "b": 0.6})
    for more in ({"scores": {"a": 0.9, "b": 0.6}}, {"parts": (one, other)}):
        note_decision(record, decide([(rule, replace(one, labels=("a", "b"), **more))]), {})
        assert (record.label, record.confidence) == ("a", confidence)


def test_where_no_rule_read_the_request_nothing_is_noted() -> None:
    record = Record(request_id="r", at=0, endpoint="", decision="answer")
    note_decision(record, decide([]), {})
    assert record.decision == "answer"


LABELS = st.sampled_from(["a", "b", "c", "d"])
ACTS = st.sampled_from([act for act in Act if act not in (Act.ASK, Act.ERROR)])
FALLBACKS = st.sampled_from([Act.FORWARD, Act.BLOCK, Act.ERROR, Act.ASK])


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    return Rule(
        name=draw(st.sampled_from(["r1", "r2", "r3"])),
        classifier="safe",
        models=frozenset(),
        system=None,
        roles=frozenset({"user"}),
        last_turn=False,
        output=False,
        then={label: Action(act=act) for label, act in draw(st.dictionaries(LABELS, ACTS)).items()},
        otherwise={kind.value: Action(act=draw(FALLBACKS)) for kind in Abstention},
        names=LabelNames(()),
        template=None,
        taxonomy={},
    )


VERDICTS = st.builds(
    lambda labels, abstention: Verdict(
        classifier="safe", version="1", scores={}, labels=tuple(labels), abstention=abstention
    ),
    st.lists(LABELS, unique=True),
    st.none() | st.sampled_from(list(Abstention)),
)
PAIRS = st.lists(st.tuples(rules(), VERDICTS), max_size=5)


def test_a_record_says_what_each_rule_made_of_the_request_or_why_it_did_not_read_it(
    make_rule: MakeRule, make_verdict: MakeVerdict
) -> None:
    rows = [replace(make_rule({"a": Act.FLAG}), name=name) for name in ("one", "two", "three", "four", "five")]
    sure = make_verdict("a")
    doubtful = replace(sure, labels=(), scores={"a": 0.25, "b": 0.5}, abstention=Abstention.UNSURE)
    pairs = [(rows[0], sure), (rows[2], doubtful), (rows[4], replace(doubtful, abstention=None))]
    record = Record(request_id="r", at=0.0, endpoint="chat")
    note_verdicts(record, [apply(*pair) for pair in pairs], rows, {"two": "system"})
    one = f"one:a:{sure.scores.get('a', sure.confidence):.4f}"
    of_request = f"{one},two:!system,three:b:0.5000:unsure,five:b:0.5000:clean"
    assert record.verdicts == of_request
    note_verdict(record, apply(rows[0], sure))
    assert record.verdicts == f"{of_request},{one}"


@given(PAIRS)
def test_a_decision_is_its_first_ending_step(pairs: list[tuple[Rule, Verdict]]) -> None:
    decision = decide(pairs)
    assert decision == decide(pairs)
    assert all(not step.ends for step in decision.steps[:-1])
    if decision.step is None:
        assert decision.act is Act.FORWARD
        assert len(decision.steps) == len(pairs)
    elif decision.act is Act.REDACT:
        assert decision.step is decision.redactions[0]
        assert len(decision.steps) == len(pairs)
    else:
        assert decision.step is decision.steps[-1]
        assert decision.step.action is not None
        assert decision.act is decision.step.action.act is not Act.FLAG


@given(PAIRS, rules(), VERDICTS)
def test_a_rule_added_below_changes_nothing_that_was_decided_above(
    pairs: list[tuple[Rule, Verdict]], rule: Rule, verdict: Verdict
) -> None:
    before, after = decide(pairs), decide([*pairs, (rule, verdict)])
    if before.step is not None and before.step.ends:
        assert before == after
    # where a judge is asked, all is decided once more with its verdict
    keeps = before.redactions == after.redactions[: len(before.redactions)]
    assert after.act in (Act.ANSWER, Act.ERROR, Act.BLOCK, Act.ASK) or keeps


@given(rules(), VERDICTS)
def test_what_is_certain_or_fails_closed_is_blocked_and_what_is_in_doubt_is_judged(
    rule: Rule, verdict: Verdict
) -> None:
    decision = decide([(rule, verdict)])
    fallback = rule.otherwise[verdict.abstention.value].act if verdict.abstention else None
    certain = any(rule.then[label].act is Act.BLOCK for label in verdict.labels if label in rule.then)
    if certain or fallback is Act.BLOCK:
        assert decision.act is Act.BLOCK
    elif fallback in (Act.ASK, Act.ERROR):
        assert (decision.act, decision.redactions) == (fallback, ())
    if decision.act is Act.ANSWER:
        assert verdict.abstention is None
        assert decision.step is not None
        assert rule.then[decision.step.label or ""].act is Act.ANSWER


@given(rules(), VERDICTS, st.booleans())
def test_what_cannot_be_given_is_never_answered(rule: Rule, verdict: Verdict, own_label: bool) -> None:
    own = {
        label: replace(action, own_label=own_label) if action.act is Act.ANSWER else action
        for label, action in rule.then.items()
    }
    without = {label: action for label, action in rule.then.items() if action.act is not Act.ANSWER}
    decision = decide([(replace(rule, then=own), verdict)], withheld={rule.name})
    assert decision.act == decide([(replace(rule, then=without), verdict)]).act
    assert decision.act is not Act.ANSWER
