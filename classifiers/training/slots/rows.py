"""Rows of a policy with slots: marks taken out of what was written, values by themselves, what values are made of.

What a teacher is told of slots, so that it marks them as training reads them. Pure.

Values that people typically say, by type: a tagger should know a weekday that no training sentence happens to hold.

English only. Pure.
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
from classifiers.training.rows import Row

_SHOWN = 4


def slot_lines(policy: Policy, label: str) -> list[str]:
    """For a prompt of one label; none where it has no slots."""
    names = policy.slots_of(label)
    if not names:
        return []
    first = names[0]
    value = next(iter(_values(policy, first)), "\u2026")
    marking = (
        "Mark each value of a slot wherever it stands, in the message itself, as [value](slot), for example "
        f"[{value}]({first}): the value alone, without words like at, for or on. Invent new values all the time."
    )
    return [
        "The messages fill in these slots, each message some of them, as people do:",
        *(f"- {name}: {policy.slots[name].means}{_such_as(policy, name)}" for name in names),
        marking,
    ]


def _such_as(policy: Policy, name: str) -> str:
    shown = _values(policy, name)[:_SHOWN]
    return f", such as {', '.join(shown)}" if shown else ""


def _values(policy: Policy, name: str) -> tuple[str, ...]:
    slot = policy.slots[name]
    return (*slot.examples, *slot.values)


_FRAMES: Mapping[SlotType, tuple[str, ...]] = {
    "text": ("{x}", "{x} please", "the {name} is {x}", "{name}: {x}"),
    "enum": ("{x}", "{x} please", "make it {x}", "the {name} is {x}"),
    "number": ("{x}", "{x} please", "it is {x}", "{name}: {x}"),
    "money": ("{x}", "about {x}", "it costs {x}", "{name} {x}"),
    "date": ("{x}", "{x} please", "on {x}", "is {x} possible"),
    "time": ("{x}", "at {x}", "{x} please", "is {x} possible"),
}
_WEIGHT = 0.5
_TYPICAL_SHARE = 0.25


def placed(policy: Policy, rows: Iterable[Row]) -> list[Row]:
    """Rows as they were written, with the marks of their slots taken out of the text.

    Everyday text fills in nothing; other text without any mark says nothing of slots. A row whose marks were mangled
    in writing is left out. Where the policy has but one label, values by themselves are of it.
    """
    found: list[Row] = []
    for row in rows:
        if row.marks is not None or row.source == "data":
            found.append(row)
        elif row.labels == (OTHER,):
            found.append(replace(row, marks=()))
        else:
            try:
                marked = parse(row.text, tuple(policy.slots))
            except ValueError:
                continue
            found.append(replace(row, text=marked.text, marks=marked.marks or None))
    if len(policy.labels) == 1:
        # a value by itself answers a question, so it is about what the policy is about
        found += [
            Row(
                text=marked.text,
                labels=tuple(policy.labels),
                group=f"slot {marked.marks[0].name}",
                source="builtin",
                weight=_WEIGHT,
                probe=False,
                marks=marked.marks,
            )
            for marked in described(policy)
        ]
    return found


def described(policy: Policy) -> Iterator[Marked]:
    """What a person answers who was asked for one slot or two: examples of values in a few frames."""
    english = _english(policy)
    chance = random.Random(policy.name)  # noqa: S311 - no secret
    told: list[Marked] = []
    for name, slot in policy.slots.items():
        words = name.replace("_", " ").replace("-", " ")
        for value in _examples(policy, name):
            frames = _FRAMES[slot.type] if english else ("{x}",)
            told += [_framed(frame, value, name, words) for frame in frames]
    yield from told
    for one in told:
        other = chance.choice(told)
        if other.marks[0].name != one.marks[0].name:
            yield _joined(one, other, chance.choice((", ", " and ", " ") if english else (", ",)))


def pools(policy: Policy, rows: Iterable[Row]) -> dict[str, list[str]]:
    """For each slot what its values are exchanged for: those that rows mark, the policy's examples, typical ones."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for mark in row.marks or ():
            found[mark.name].append(row.text[mark.start : mark.end])
    for name, slot in policy.slots.items():
        found[name] += _examples(policy, name)
        if _english(policy) and slot.type in data.table("slot_values.json"):
            typical = data.table("slot_values.json")[slot.type]
            # about a quarter of the draws, however many values there are
            found[name] += typical * max(1, round(_TYPICAL_SHARE * len(found[name]) / len(typical)))
    return dict(found)


def example_rows(policy: Policy) -> list[tuple[Marked, float]]:
    """The described sentences that have no label, with their weight, beside that of 1 for a marked sentence."""
    return [] if len(policy.labels) == 1 else [(marked, _WEIGHT) for marked in described(policy)]


def _english(policy: Policy) -> bool:
    return "en" in map(code_of, policy.languages)


def _examples(policy: Policy, name: str) -> list[str]:
    slot = policy.slots[name]
    words = [word for canonical, others in slot.values.items() for word in (canonical.replace("_", " "), *others)]
    return [word for word in dict.fromkeys(word.strip() for word in (*slot.examples, *words)) if word]


def _framed(frame: str, value: str, name: str, words: str) -> Marked:
    """The value in its frame, whatever it holds: brackets are no marks there."""
    before, after = (part.format(name=words) for part in frame.split("{x}"))
    mark = SlotMark(name=name, start=len(before), end=len(before) + len(value))
    return Marked(text=before + value + after, marks=(mark,))


def _joined(one: Marked, other: Marked, between: str) -> Marked:
    shift = len(one.text) + len(between)
    marks = tuple(replace(mark, start=mark.start + shift, end=mark.end + shift) for mark in other.marks)
    return Marked(text=one.text + between + other.text, marks=(*one.marks, *marks))
