"""Verdicts → one decision. Pure: rules top to bottom, the first rule that ends the matter wins.

Within a rule the severest action of its labels wins (block > answer > forward > flag). A flag, and an abstention
that is forwarded, do not end the matter; the next rule is asked.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from classifiers.verdict import Abstention, Verdict
from gateway.rules.rule import Act, Action, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one rule made of its verdict; `action` is None where its labels call for nothing."""

    rule: Rule
    verdict: Verdict
    label: str | None
    action: Action | None
    ends: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to the request. `step` is the rule's step that decided; None where no rule did (forward)."""

    act: Act
    step: Step | None
    flags: tuple[Step, ...]
    steps: tuple[Step, ...]


def decide(pairs: Sequence[tuple[Rule, Verdict]], unmet: Collection[str] = ()) -> Decision:
    """The decision for the rules that a request meets, each with its classifier's verdict, in order.

    unmet: names of rules whose label cannot be given in the shape that the caller asks for.
    """
    steps: list[Step] = []
    flags: list[Step] = []
    for rule, verdict in pairs:
        step = apply(rule, verdict, met=rule.name not in unmet)
        steps.append(step)
        if step.action is not None and step.action.act is Act.FLAG:
            flags.append(step)
        if step.ends:
            assert step.action is not None
            return Decision(act=step.action.act, step=step, flags=tuple(flags), steps=tuple(steps))
    return Decision(act=Act.FORWARD, step=None, flags=tuple(flags), steps=tuple(steps))


def apply(rule: Rule, verdict: Verdict, *, met: bool = True) -> Step:
    """One rule on its verdict. Labels that are certain count even where another part is unsure or unread.

    met: whether the label can be given in the caller's shape; otherwise no rule answers with it.
    """
    chosen: tuple[str | None, Action] | None = None
    for label in verdict.labels:
        action = rule.then.get(label)
        if action is not None and action.own_label and not met:
            continue
        if action is not None and (chosen is None or action.act > chosen[1].act):
            chosen = (label, action)
    if verdict.abstention is not None and (chosen is None or chosen[1].act < Act.BLOCK):
        # what was not read or not certain must not be answered or sent elsewhere on the part that was
        fallback = rule.otherwise[verdict.abstention.value]
        ends = fallback.act is Act.BLOCK
        if not ends and chosen is not None and chosen[1].act is Act.FLAG:
            return Step(rule=rule, verdict=verdict, label=chosen[0], action=chosen[1], ends=False)
        return Step(rule=rule, verdict=verdict, label=None, action=fallback if ends else None, ends=ends)
    if chosen is None:
        return Step(rule=rule, verdict=verdict, label=None, action=None, ends=False)
    return Step(rule=rule, verdict=verdict, label=chosen[0], action=chosen[1], ends=chosen[1].act is not Act.FLAG)


def broken(classifier: str, reason: str) -> Verdict:
    """The verdict of a classifier that gave none."""
    return Verdict(classifier=classifier, version="", scores={}, abstention=Abstention.BROKEN, reason=reason)
