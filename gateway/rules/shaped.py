"""What rules would answer in the shape that a request asks for: labels as it spells them, texts as they are. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from classifiers.verdict import Verdict
from gateway.answers.make import Made, make
from gateway.answers.shape import wanted
from gateway.answers.told import Found, Told
from gateway.answers.unmet import Unmet
from gateway.reading.request import Request
from gateway.reading.roles import Turn, system_text
from gateway.rules.fixed import unfit
from gateway.rules.rule import Act, Action, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """By the names of rules: what their label comes to, or why it, or their text, cannot be given. None is in both."""

    made: Mapping[str, Made] = field(default_factory=dict)
    unmet: Mapping[str, Unmet] = field(default_factory=dict)


def shaped(request: Request, turns: Sequence[Turn], pairs: Sequence[tuple[Rule, Verdict]]) -> Shaped:
    """pairs: the rules that the request meets, each with its verdict. Those that answer nothing are left out."""
    given = [(rule, verdict, _given(rule, verdict)) for rule, verdict in pairs]
    texts = ((rule.name, action.text) for rule, _, actions in given for action in actions if not action.own_label)
    unmet = {name: why for name, text in texts if (why := unfit(text, request.fields)) is not None}
    asked = [
        (rule, verdict)
        for rule, verdict, actions in given
        if rule.name not in unmet and any(action.own_label for action in actions)
    ]
    if not asked:
        return Shaped(unmet=unmet)
    shape = wanted(request.fields)
    if isinstance(shape, Unmet):
        return Shaped(unmet={**unmet, **{rule.name: shape for rule, _ in asked}})
    prompts = (system_text(turns), "\n".join(text for turn in turns for text in turn.texts))
    found = {rule.name: make(shape, _told(rule, verdict), prompts) for rule, verdict in asked}
    return Shaped(
        made={name: one for name, one in found.items() if isinstance(one, Made)},
        unmet={**unmet, **{name: one for name, one in found.items() if isinstance(one, Unmet)}},
    )


def _given(rule: Rule, verdict: Verdict) -> list[Action]:
    """The answers that the verdict's labels call for."""
    actions = (rule.then.get(label) for label in verdict.labels)
    return [action for action in actions if action and action.act is Act.ANSWER]


def _told(rule: Rule, verdict: Verdict) -> Told:
    found = {
        name: Found(slot=slot, values=tuple(value for value in verdict.slots if value.slot == name))
        for name, slot in rule.slots.items()
    }
    return Told(
        labels=verdict.labels, names=rule.names, confidence=verdict.confidence, scores=verdict.scores, slots=found
    )
