"""A training sentence as data."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import msgspec

from classifiers.slots.tags import SlotMark

Origin = Literal["policy", "builtin", "teacher", "file", "data", "picked", "judged"]

REAL: frozenset[Origin] = frozenset({"data"})
"""Origins of text that is a sample of what users write. What a guard picked, since it blocked it or was in doubt, is
harder than their text: it teaches, and nothing is measured on it. All other text was written for training."""
PICKED: frozenset[Origin] = frozenset({"picked", "judged"})
"""Origins of what a guard picked; `judged` where a judge labelled it, not a person."""

NOT_KEPT = "(the text of a call, which is not kept)"

_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A text with the labels that hold for it.

    labels: policy labels; empty for safety text that is harmless; `other` alone for single-label text out of scope.
    against: labels that do not hold, where that is all that is known (a near miss); labels is empty then.
    group: texts made together; a group is never split between fitting and measuring.
    weight: how much the text counts in fitting.
    probe: whether the text is like users' messages, so that it is measured on.
    system: the system prompt of the text; empty where there was none, or it is not known.
    marks: the places of slots, none overlapping; None where they are not known.
    writer: which teacher wrote it, by the name or file that the policy gives; empty for other sources.
    digest: of a call's text, which is neither stored nor shown; calls: for how many calls it stands.
    foreign: the language or script of a text, if the policy does not list it.
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
    calls: float = 1.0
    foreign: str = ""

    @property
    def ordinary_kind(self) -> str:
        """Of the built-in writer's text of ordinary traffic, without harm and not near to it: its kind. Else empty."""
        form, _, kind = self.group.partition(" ")
        if self.source != "builtin" or self.labels or form not in {"everyday", "ordinary"}:
            return ""
        return kind.rpartition("-")[0] or form

    @property
    def shown(self) -> str:
        """The text for people, with its system prompt; calls are not shown."""
        if self.digest:
            return NOT_KEPT
        return f"{self.text} (under: {self.system})" if self.system else self.text

    marks: tuple[SlotMark, ...] | None = None


class LabelledCall(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's call with the label that the model gave. weight: for how many calls it stands; vector: what an
    earlier refit has made of the text, if one has."""

    text: str
    label: str
    weight: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    vector: bytes = b""


def by_themselves(rows: Sequence[Row]) -> list[Row]:
    """Rows for a model that reads no system prompts: rows under one get no weight, since their labels may need it."""
    return [replace(row, weight=0.0, probe=False) if row.system else row for row in rows]


def encodable(text: str) -> str:
    """The text with halves of surrogate pairs replaced, which JSON and file names may contain but UTF-8 cannot."""
    return _HALF.sub("\ufffd", text)
