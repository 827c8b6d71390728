"""What decisions leave in a request's record."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.ledger.record import Decided, Record
from gateway.rules.decide import Decision, Step, decisive
from gateway.rules.rule import Act

_DECIDED: Final[Mapping[Act, Decided]] = {Act.ANSWER: "answer", Act.BLOCK: "block"}


def note_decision(record: Record, decision: Decision, unmet: Mapping[str, str]) -> None:
    """What was decided of the request. Where no rule met it, nothing.

    unmet: why a label could not be given in the caller's shape, by rule.
    """
    if not decision.steps:
        return
    record.decision = "redact" if decision.redactions else _DECIDED.get(decision.act, "forward")
    doubts = [
        f"{step.rule.name}:{kind.value}"
        for step in decision.steps
        for kind in (step.verdict.abstention, step.verdict.doubt)
        if kind
    ]
    record.abstentions = ",".join([*doubts, *(f"{rule}:{reason}" for rule, reason in unmet.items())])
    note_flags(record, decision.flags)
    if decision.step is not None:
        note_step(record, decision.step)


def note_step(record: Record, step: Step) -> None:
    """The step that decided."""
    record.rule = step.rule.name
    record.label = step.label or str(decisive(step.rule, step.verdict) or "")
    record.confidence = step.verdict.scores.get(step.label or "", step.verdict.confidence)
    record.classifier = step.verdict.classifier
    record.classifier_version = step.verdict.version


def note_flags(record: Record, flags: Sequence[Step]) -> None:
    """Steps that flagged, after those that are there."""
    names = [f"{step.rule.name}:{step.label}" for step in flags]
    record.flags = ",".join(filter(None, [record.flags, *names]))


def note_redacted(record: Record, counts: Mapping[tuple[str, str], int]) -> None:
    """How many places of each kind were replaced, those of the request and of the answer together."""
    total = Counter[str]()
    for one in filter(None, record.redacted.split(",")):
        kind, _, told = one.partition(":")
        total[kind] += int(told)
    for (_, kind), count in counts.items():
        total[kind] += count
    record.redacted = ",".join(f"{kind}:{count}" for kind, count in sorted(total.items()))
