"""A sentence whose slots are marked: `a table at [7 pm](time)`. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from classifiers.slots.tags import Mark

_MARK = re.compile(r"\[([^\[\]]*)\]\(([^()\s]*)\)")
_WORD = re.compile(rf"(?:{_MARK.pattern}|\S)+")
_SHOWN = 20
"""Characters on either side of what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A text and the places of its slots, in order, none overlapping."""

    text: str
    marks: tuple[Mark, ...] = ()

    def value(self, mark: Mark) -> str:
        """What stands there."""
        return self.text[mark.start : mark.end]


def parse(sentence: str, slots: Sequence[str]) -> Marked:
    """`[7 pm](time)` → a mark where `time` is a slot, in whatever case.

    Raises ValueError naming a mark without a value or without a slot, or that is none for want of a bracket or for a
    blank between.
    """
    names = {name.casefold(): name for name in slots}
    text, marks, done = "", [], 0
    for match in _MARK.finditer(sentence):
        value, name = match[1].strip(), names.get(match[2].casefold())
        if name is None:
            known = ", ".join(slots) or "none"
            raise ValueError(f"{match[0]!r} names no slot; there are {known}; of a link, give the words alone")
        if not value:
            raise ValueError(f"{match[0]!r} marks nothing")
        text += sentence[done : match.start()]
        marks.append(Mark(name=name, start=len(text), end=len(text) + len(value)))
        text += value
        done = match.end()
    text += sentence[done:]
    mangled = re.search(rf"\](?:\(|\s+\(\s*(?:{'|'.join(map(re.escape, slots))})\s*\))", text, re.IGNORECASE)
    if mangled:
        shown = text[max(0, mangled.start() - _SHOWN) : mangled.end() + _SHOWN]
        raise ValueError(f"{shown!r} holds what is no mark; one is [value](slot), without a blank between")
    return Marked(text=text, marks=tuple(marks))


def words(sentence: str) -> list[str]:
    """Its words; what stands within a mark is not parted."""
    return [match[0] for match in _WORD.finditer(sentence)]


def replaced(marked: Marked, values: Sequence[str]) -> Marked:
    """The same sentence with other values, one for each mark."""
    text, marks, done = "", [], 0
    for mark, value in zip(marked.marks, values, strict=True):
        text += marked.text[done : mark.start]
        marks.append(Mark(name=mark.name, start=len(text), end=len(text) + len(value)))
        text += value
        done = mark.end
    return Marked(text=text + marked.text[done:], marks=tuple(marks))
