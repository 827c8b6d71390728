"""Slots that verdicts fill in against those that rows mark → measures that `offramp eval` shows. Pure."""

from collections.abc import Sequence
from typing import Any

from classifiers.policy import Policy
from classifiers.slots.tags import Mark
from classifiers.training.confusion import shortened
from classifiers.training.evaluate import known, top
from classifiers.training.rows import Row
from classifiers.training.slots.measure import measures
from classifiers.verdict import Verdict

_WORST, _SHOWN_SLOTS = 40, 20


def evaluate_slots(policy: Policy, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """`measures` over the rows whose marks are known, each of one text, and the texts with most slots wrong.

    What a slot's words say as a value is no part of it, since marks do not tell. with_label: whether the policy has
    several labels, so that only a text whose likeliest label is right is whole. errors: text, truth and said (labels),
    wrong (how many slots are marked or found, but not both), and the first twenty of them on either side, marked and
    found: slot, start, end (characters, exclusive) and raw.
    """
    told = [(row, row.marks, verdict) for row, verdict in zip(rows, verdicts, strict=True) if row.marks is not None]
    guesses = [_marks(verdict) for _, _, verdict in told]
    with_label = len(policy.labels) > 1
    labelled = [not with_label or top(verdict)[0] == known(policy, row.labels) for row, _, verdict in told]
    errors = [
        _error(policy, row, verdict, marked=marks, found=guess)
        for (row, marks, verdict), guess in zip(told, guesses, strict=True)
        if set(marks) != set(guess)
    ]
    errors.sort(key=lambda error: -error["wrong"])
    return {
        **measures([marks for _, marks, _ in told], guesses, slots=tuple(policy.slots), labelled=labelled),
        "with_label": with_label,
        "errors": errors[:_WORST],
    }


def _marks(verdict: Verdict) -> tuple[Mark, ...]:
    return tuple(Mark(name=one.slot, start=one.start, end=one.end) for one in verdict.slots)


def _error(
    policy: Policy, row: Row, verdict: Verdict, *, marked: Sequence[Mark], found: Sequence[Mark]
) -> dict[str, Any]:
    both = set(marked) & set(found)
    missed, extra = ([mark for mark in marks if mark not in both] for marks in (marked, found))
    return {
        "text": shortened(row.shown),
        "truth": known(policy, row.labels),
        "said": top(verdict)[0],
        "wrong": len(missed) + len(extra),
        "marked": [_told(row, mark) for mark in missed[:_SHOWN_SLOTS]],
        "found": [_told(row, mark) for mark in extra[:_SHOWN_SLOTS]],
    }


def _told(row: Row, mark: Mark) -> dict[str, Any]:
    raw = shortened(row.text[mark.start : mark.end])
    return {"slot": mark.name, "start": mark.start, "end": mark.end, "raw": raw}
