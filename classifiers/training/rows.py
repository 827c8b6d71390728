"""A training sentence as data."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from classifiers.slots.tags import SlotMark

Origin = Literal["policy", "builtin", "teacher", "file", "data"]

REAL: frozenset[Origin] = frozenset({"data"})
"""Origins of text that users wrote; what is measured on any other is measured on written text."""

NOT_KEPT = "(the text of a call, which is not kept)"

_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A text with the labels that hold for it.

    labels: policy labels; empty for safety text that is harmless; `other` alone for single-label text out of scope.
    against: labels that do not hold, where that is all that is known (a near miss); labels is empty then.
    group: texts that came about together; a group is never split between fitting and measuring.
    weight: how much the text counts in fitting.
    probe: whether the text is like what users write, so that measuring on it makes sense.
    system: the system prompt that the text was written under; empty where there was none, or it is not known.
    marks: the places of slots, none overlapping; None where they are not known.
    writer: which teacher wrote it, by the name or file that the policy gives; empty for other sources.
    digest: of a call's text, which no report shows and which is not kept; by it the text is known again.
    foreign: the language, or the script, of a text that the policy's languages do not hold; empty for all others.
    """

    text: str
    labels: tuple[str, ...]
    group: str
    source: Origin
    against: tuple[str, ...] = ()
    weight: float = 1.0
    probe: bool = True
    writer: str = ""
    system: str = ""
    digest: str = ""
    foreign: str = ""

    @property
    def shown(self) -> str:
        """The text as people are shown it, if they are: with the system prompt that tells what it is."""
        if self.digest:
            return NOT_KEPT
        return f"{self.text} (under: {self.system})" if self.system else self.text

    marks: tuple[SlotMark, ...] | None = None


def by_themselves(rows: Sequence[Row]) -> list[Row]:
    """The rows for a judge that reads no system prompts: what holds under one would teach it wrongly, and counts
    nothing."""
    return [replace(row, weight=0.0, probe=False) if row.system else row for row in rows]


def encodable(text: str) -> str:
    """The text as it can be written to a file: JSON can hold half of a surrogate pair, and a file's name bytes that are
    no text, which UTF-8 cannot."""
    return _HALF.sub("\ufffd", text)
