"""Rows of a policy with slots: marks taken out of texts, values by themselves, and what a teacher reads of slots. Pure.

Typical values by type (data/slot_values.json) teach a tagger, for example, a weekday that no sentence holds. English
only.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from classifiers import data
from classifiers.policy import OTHER, Policy, SlotType
from classifiers.slots.fill import Marked, parse
from classifiers.slots.tags import SlotMark
from classifiers.text.language import code_of
from classifiers.training.rows import PICKED, REAL, Row

_SHOWN = 4


def slot_lines(policy: Policy, label: str) -> list[str]:
    """For a prompt of one label; none where it has no slots."""
    names, values = (
        policy.slots_of(label),
        {name: (*slot.examples, *slot.values) for name, slot in policy.slots.items()},
    )
    if not names:
        return []
    value = next(iter(values[names[0]]), "\u2026")
    shown = {name: f", such as {', '.join(values[name][:_SHOWN])}" if values[name] else "" for name in names}
    marking = (
        "Mark each value of a slot wherever it stands, in the message itself, as [value](slot), for example "
        f"[{value}]({names[0]}): the value alone, without words like at, for or on. Invent new values all the time."
    )
    return [
        "The messages fill in these slots, each message some of them, as people do:",
        *(f"- {name}: {policy.slots[name].means}{shown[name]}" for name in names),
        marking,
    ]


_FRAMES: Mapping[SlotType, tuple[str, ...]] = {
    "text": ("{x}", "{x} please", "the {name} is {x}", "{name}: {x}"),
    "enum": ("{x}", "{x} please", "make it {x}", "the {name} is {x}"),
    "number": ("{x}", "{x} please", "it is {x}", "{name}: {x}"),
    "money": ("{x}", "about {x}", "it costs {x}", "{name} {x}"),
    "date": ("{x}", "{x} please", "on {x}", "is {x} possible"),
    "time": ("{x}", "at {x}", "{x} please", "is {x} possible"),
}
WEIGHT = 0.5
_TYPICAL_SHARE = 0.25


def with_marks(policy: Policy, rows: Iterable[Row]) -> list[Row]:
    """Rows with the marks of their slots taken out of the text. Everyday text has no slots; of other text without marks
    none are known. A row with mangled marks is left out. Where the policy has but one label, values by themselves are
    rows of it."""
    marked_rows: list[Row] = []
    for row in rows:
        if row.marks is not None or row.source in REAL | PICKED:
            marked_rows.append(row)
        elif row.labels == (OTHER,):
            marked_rows.append(replace(row, marks=()))
        else:
            try:
                marked = parse(row.text, tuple(policy.slots))
            except ValueError:
                continue
            marked_rows.append(replace(row, text=marked.text, marks=marked.marks or None))
    if len(policy.labels) == 1:
        # a value by itself answers a question, so it is about what the policy is about
        marked_rows += [
            Row(
                text=marked.text,
                labels=tuple(policy.labels),
                group=f"slot {marked.marks[0].name}",
                source="builtin",
                weight=WEIGHT,
                probe=False,
                marks=marked.marks,
            )
            for marked in described(policy)
        ]
    return marked_rows


def described(policy: Policy) -> Iterator[Marked]:
    """What a person answers who was asked for one slot or two: examples of values in a few frames."""
    english = "en" in map(code_of, policy.languages)
    chance = random.Random(policy.name)  # noqa: S311 - no secret
    single: list[Marked] = []
    for name, slot in policy.slots.items():
        words = name.replace("_", " ").replace("-", " ")
        for value in _examples(policy, name):
            frames = _FRAMES[slot.type] if english else ("{x}",)
            single += [_framed(frame, value, name, words) for frame in frames]
    yield from single
    for first in single:
        second = chance.choice(single)
        if second.marks[0].name != first.marks[0].name:
            yield _joined(first, second, chance.choice((", ", " and ", " ") if english else (", ",)))


def pools(policy: Policy, rows: Iterable[Row]) -> dict[str, list[str]]:
    """For each slot what its values are exchanged for: those that rows mark, the policy's examples, typical ones."""
    values: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for mark in row.marks or ():
            values[mark.name].append(row.text[mark.start : mark.end])
    english = "en" in map(code_of, policy.languages)
    for name, slot in policy.slots.items():
        values[name] += _examples(policy, name)
        if typical := data.table("slot_values.json").get(slot.type) if english else None:
            # about a quarter of the draws, however many values there are
            values[name] += typical * max(1, round(_TYPICAL_SHARE * len(values[name]) / len(typical)))
    return dict(values)


def _examples(policy: Policy, name: str) -> list[str]:
    slot = policy.slots[name]
    words = [word for canonical, others in slot.values.items() for word in (canonical.replace("_", " "), *others)]
    return [word for word in dict.fromkeys(word.strip() for word in (*slot.examples, *words)) if word]


def _framed(frame: str, value: str, name: str, words: str) -> Marked:
    """The value in its frame, whatever it holds: brackets are no marks there."""
    before, after = (part.format(name=words) for part in frame.split("{x}"))
    mark = SlotMark(name=name, start=len(before), end=len(before) + len(value))
    return Marked(text=before + value + after, marks=(mark,))


def _joined(first: Marked, second: Marked, between: str) -> Marked:
    shift = len(first.text) + len(between)
    marks = tuple(replace(mark, start=mark.start + shift, end=mark.end + shift) for mark in second.marks)
    return Marked(text=first.text + between + second.text, marks=(*first.marks, *marks))
