"""Decides a request from its verdicts, and notes the decision in its record. Pure.

Rules are read top to bottom; the first that ends the matter wins. Within a rule the severest action of its labels wins
(block > redact > answer > forward > flag). A flag, a redaction and an abstention that is forwarded do not end the
matter. If the request is forwarded in the end, it is redacted. Where a rule's judge must be asked first, that is the
decision; it is made again with the judge's verdict.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from classifiers.verdict import Abstention, Verdict
from gateway.record import Decided, Record
from gateway.rules.rule import Act, Action, Rule

TOO_LONG: Final = "a text is longer than limits.text"
"""The reason of a verdict that is broken for a text's length."""
_GOES_ON: Final = (Act.FLAG, Act.REDACT)
"""After these the next rule is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one rule does about its verdict. action: None where its labels call for nothing."""

    rule: Rule
    verdict: Verdict
    label: str | None
    action: Action | None
    ends: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to the request. step: the one that decided; None where no rule did (forward). redactions: the steps
    whose passages are replaced in the forwarded request; none where it is not forwarded."""

    act: Act
    step: Step | None
    flags: tuple[Step, ...]
    steps: tuple[Step, ...]
    redactions: tuple[Step, ...] = ()


def decide(pairs: Sequence[tuple[Rule, Verdict]], withheld: Collection[str] = ()) -> Decision:
    """The decision for the rules that a request matches, each with its classifier's verdict, in order. withheld: names
    of rules that must not answer, as where the requested format cannot be given."""
    steps: list[Step] = []
    redactions: list[Step] = []
    act, decisive_step = Act.FORWARD, None
    for rule, verdict in pairs:
        step = apply(rule, verdict, may_answer=rule.name not in withheld)
        steps.append(step)
        redactions += redactions_of(step)
        if step.ends and step.action is not None:
            act, decisive_step = step.action.act, step
            break
    if decisive_step is None and redactions:
        act, decisive_step = Act.REDACT, redactions[0]
    return Decision(
        act=act,
        step=decisive_step,
        flags=tuple(step for step in steps if step.action is not None and step.action.act is Act.FLAG),
        steps=tuple(steps),
        redactions=tuple(redactions) if act in (Act.FORWARD, Act.REDACT) else (),
    )


def redactions_of(step: Step) -> tuple[Step, ...]:
    """The step itself where it redacts; else a step for the passages of its verdict, which are replaced whatever the
    rule does about the text as a whole."""
    if step.action is not None and step.action.act is Act.REDACT:
        return (step,)
    hidden = _redacted(step.rule)
    # slots belong to the first label that the rule redacts
    label = next((name for name in step.verdict.labels if name in hidden), None)
    if label is None and step.verdict.slots and step.rule.redacts:
        label = next(iter(hidden), None)
    return () if label is None else (replace(step, label=label, action=step.rule.then[label], ends=False),)


def apply(rule: Rule, verdict: Verdict, *, may_answer: bool = True) -> Step:
    """One rule on its verdict. Labels that are certain count even where another part is unsure or unread."""
    labels: Collection[str] = verdict.labels
    if verdict.slots and rule.redacts and rule.then.keys().isdisjoint(labels):
        # slot values are redacted whatever label the text as a whole has
        labels = list(_redacted(rule))[:1] or labels
    calls_for = {label: rule.then[label] for label in labels if label in rule.then}
    if not may_answer:
        calls_for = {label: action for label, action in calls_for.items() if action.act is not Act.ANSWER}
    label = max(calls_for, key=lambda name: calls_for[name].act, default=None)
    action = None if label is None else calls_for[label]
    ends = action is not None and action.act not in _GOES_ON
    abstained = decisive(rule, verdict)
    if abstained is not None and (action is None or action.act < Act.BLOCK):
        # what was not read or not certain must not be answered or sent elsewhere on the part that was
        fallback = rule.otherwise[abstained.value]
        stops = fallback.act in (Act.ERROR, Act.BLOCK, Act.ASK)
        if fallback.act is Act.BLOCK and verdict.reason == TOO_LONG:
            fallback = replace(fallback, shape="too_long")
        if stops or ends:
            label, action, ends = None, fallback if stops else None, stops
    return Step(rule=rule, verdict=verdict, label=label, action=action, ends=ends)


def decisive(rule: Rule, verdict: Verdict) -> Abstention | None:
    """The abstention of a verdict for which the rule's action is the severest. A block counts as severer than a
    question to the judge, which would change nothing."""

    def severity(kind: Abstention) -> tuple[bool, Act]:
        act = rule.otherwise[kind.value].act
        return act is Act.BLOCK, act

    return max(verdict.abstentions, key=severity, default=None)


def _redacted(rule: Rule) -> Collection[str]:
    return [label for label, action in rule.then.items() if action.act is Act.REDACT]


_DECIDED: Final[Mapping[Act, Decided]] = {Act.ANSWER: "answer", Act.BLOCK: "block", Act.ERROR: "error"}


def note_verdicts(record: Record, steps: Sequence[Step], rules: Sequence[Rule], failing: Mapping[str, str]) -> None:
    """Notes what each rule made of the request. rules: all, in order; failing: the part of its `when` that does not
    hold, by rule."""
    verdicts = {step.rule.name: step.verdict for step in steps}
    found = []
    for rule in rules:
        name = rule.name
        if name in failing:
            found.append(f"{name}:!{failing[name]}")
        elif name in verdicts:
            found.append(_made(name, verdicts[name]))
    record.verdicts = ",".join(found)


def note_verdict(record: Record, step: Step) -> None:
    """Adds what a rule made of the answer."""
    record.verdicts = ",".join(filter(None, [record.verdicts, _made(step.rule.name, step.verdict)]))


def note_decision(record: Record, decision: Decision, withheld: Mapping[str, str]) -> None:
    """Notes the decision. Where no rule read the request, nothing. withheld: why a rule gave no answer, by rule."""
    if not decision.steps:
        return
    record.decision = "redact" if decision.redactions else _DECIDED.get(decision.act, "forward")
    doubts = [f"{step.rule.name}:{kind.value}" for step in decision.steps for kind in step.verdict.abstentions]
    record.abstentions = ",".join([*doubts, *(f"{rule}:{reason}" for rule, reason in withheld.items())])
    note_flags(record, decision.flags)
    if decision.step is not None:
        note_step(record, decision.step)


def _made(rule: str, verdict: Verdict) -> str:
    scores = verdict.scores
    label = verdict.labels[0] if verdict.labels else max(scores, key=scores.__getitem__, default="")
    doubt = f":{verdict.abstention.value}" if verdict.abstention else "" if verdict.labels else ":clean"
    return f"{rule}:{label}:{scores.get(label, verdict.confidence):.4f}{doubt}"


def note_step(record: Record, step: Step) -> None:
    record.rule = step.rule.name
    record.label = step.label or str(decisive(step.rule, step.verdict) or "")
    verdict = step.verdict.naming(record.label)
    # an answer may name all labels
    all_labels = step.action is not None and step.action.own_label
    labels = step.verdict.labels if all_labels else (step.label,) if step.label else ()
    # an abstention is no label of the classifier's, so nothing is certain of it
    record.confidence = step.verdict.least_confidence(labels) if labels else None
    record.classifier, record.classifier_version = verdict.classifier, verdict.version


def note_flags(record: Record, flags: Sequence[Step]) -> None:
    """Adds steps that flagged."""
    names = [f"{step.rule.name}:{step.label}" for step in flags]
    record.flags = ",".join(filter(None, [record.flags, *names]))


def note_redacted(record: Record, counts: Mapping[tuple[str, str], int]) -> None:
    """Adds how many places of each kind were replaced, those of the request and of the answer together."""
    total = Counter[str]()
    for part in filter(None, record.redacted.split(",")):
        kind, _, number = part.partition(":")
        total[kind] += int(number)
    for (_, kind), count in counts.items():
        total[kind] += count
    record.redacted = ",".join(f"{kind}:{count}" for kind, count in sorted(total.items()))
