"""A verdict: what a classifier says of a text, or why it abstains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from classifiers.model.model import Threshold

ABOUT_A_MESSAGE = "a task about a message, not the message itself"
ANOTHER_MATTER = "a part of it is of another matter"


class Abstention(StrEnum):
    """Why a verdict names no label: not certain enough, in a language or script that the policy does not name, beside a
    part that is no text, not in time, or no answer from the classifier on the whole text."""

    UNSURE = "unsure"
    LANGUAGE = "language"
    UNREAD = "unread"
    LATE = "late"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A place in a text that a verdict points at: a card number, a slot's value. label: of the policy, for which it
    stands. kind: what it is (`email`, or a slot's name). text: which of the reading's texts it is in; start, end:
    characters of that text as it was given, end exclusive."""

    label: str
    kind: str
    start: int
    end: int
    text: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotValue:
    """What a text fills a slot with.

    text: which of the reading's texts it is in; start, end: characters of that text as it was given, end exclusive.
    raw: those characters. value: what they say: for number a number, for date, time `2026-11-27`, `19:00`,
    `2026-11-27T19:00` or `start/end`, for money a decimal, for enum the policy's name for it, for text the text itself;
    None where it cannot be told. currency: of money, ISO 4217. confidence: 0..1, of its least certain word.
    """

    slot: str
    start: int
    end: int
    raw: str
    value: str | int | float | None
    currency: str | None = None
    confidence: float
    text: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A classifier's labels with calibrated confidence.

    labels: the labels that hold, most certain first. Single-label kinds name one (`other` for out of scope);
        safety names any number, none meaning clean. Empty when single-label abstains.
    confidence: 0..1, of the first label; for a clean safety verdict, that no label holds.
    scores: calibrated score 0..1 for each of the policy's labels, in the policy's order.
    novelty: 0..1, how unlike the training text the text is.
    abstention: set where the verdict must not be acted on as it stands. A safety verdict may carry labels and
        an abstention together (one label is certain, or a part was not read).
    doubts: the other reasons why it must not be acted on. Of text that was read in part, those of the part that was
        read count for safety only.
    reason: a short phrase for `explain` and logs.
    stage: the name of the model's stage that settled the text, of several the last; empty where none was asked.
    thresholds: those that this stage holds such a text against, by label; empty where none was asked.
    windows_read, windows_unread: how much of the text was looked at.
    spans: the places that it points at, by text and start; those of one label do not overlap.
    slots: what the texts fill in, by text and start; none overlap. missing: required slots that nothing fills; the
        verdict then abstains as unsure, whatever its label.
    further: what other classifiers say of the same texts, by their names, where an answer needs more than this one.
    parts: where another classifier has read what one could not, the verdicts of both, the other's first.
    """

    classifier: str
    version: str
    labels: tuple[str, ...] = ()
    confidence: float = 0.0
    scores: Mapping[str, float]
    novelty: float = 0.0
    abstention: Abstention | None = None
    doubts: tuple[Abstention, ...] = ()
    reason: str = ""
    stage: str = ""
    thresholds: Mapping[str, Threshold] = field(default_factory=dict, compare=False, repr=False)
    windows_read: int = 0
    windows_unread: int = 0
    spans: tuple[Passage, ...] = ()
    slots: tuple[SlotValue, ...] = ()
    missing: tuple[str, ...] = ()
    further: "Mapping[str, Verdict]" = field(default_factory=dict)
    parts: "tuple[Verdict, ...]" = ()

    @property
    def abstentions(self) -> tuple[Abstention, ...]:
        """The abstention and the doubts."""
        return tuple(kind for kind in (self.abstention, *self.doubts) if kind)

    def naming(self, what: str | None) -> "Verdict":
        """The part that names a label or has an abstention; the verdict itself where none does."""
        return next((part for part in self.parts if what in (*part.labels, *part.abstentions)), self)

    def least_confidence(self, labels: Sequence[str]) -> float:
        """0..1, of the least certain of these labels, each by the part that names it; without any, the verdict's."""
        parts = [(label, self.naming(label)) for label in labels]
        return min((part.scores.get(label, part.confidence) for label, part in parts), default=self.confidence)


def joined(own: Verdict, other: Verdict, places: Sequence[int], rest: Sequence[Verdict]) -> Verdict:
    """A classifier's verdict with that of another one on the texts that are in languages which it does not know. Labels
    of either hold. In doubt is what the other doubts, and what the first one doubts of the texts that it can read.
    places: of the other's texts among all. rest: the first one's verdicts on the other texts, each alone."""
    unread = [kind for kind in own.abstentions if kind not in (Abstention.LANGUAGE, Abstention.UNSURE)]
    kinds = dict.fromkeys((*other.abstentions, *(kind for each in rest for kind in each.abstentions), *unread))
    found = {*own.spans, *(replace(passage, text=places[passage.text]) for passage in other.spans)}
    clean, first = min(each.confidence for each in (other, *rest)), next(iter(kinds), None)
    return replace(
        other,
        labels=tuple(dict.fromkeys((*other.labels, *own.labels))),
        confidence=other.confidence if other.labels else own.confidence if own.labels else clean,
        abstention=first,
        doubts=tuple(kinds)[1:],
        reason=next((each.reason for each in (other, *rest, own) if first in each.abstentions), other.reason),
        spans=tuple(sorted(found, key=lambda passage: (passage.text, passage.start))),
        parts=(other, own),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one classifier is to read: whole texts (turns, parts), each windowed on its own.

    system: the system prompt that the texts were written under, where a classifier reads it beside them; alone: those
        of the texts that are read without it, being the prompt itself.
    incomplete: the caller left something out that no classifier can read (an image, say). cut: the caller left out or
    could not find some of the text.
    every_slot: values of all slots are wanted, whatever label the text has.
    last_stage: where one label is named, the last stage is to name it, however certain an earlier one is.
    other_languages: another classifier, which reads what this one abstains on for its language; empty for none.
    now: what `tomorrow` is relative to; by default the time of reading.
    """

    classifier: str
    texts: tuple[str, ...]
    max_windows: int = 512
    system: str = ""
    alone: frozenset[str] = frozenset()
    incomplete: bool = False
    cut: bool = False
    every_slot: bool = False
    last_stage: bool = False
    other_languages: str = ""
    now: datetime | None = None
