"""A verdict: what a classifier says of a text, or why it abstains."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from classifiers.model.model import Threshold

ABOUT_A_MESSAGE = "a task about a message, not the message itself"
"""The reason of a verdict that is unsure whatever its scores: no label of such a text is likeliest."""


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
    """A place in a text that a verdict points at: a card number, a slot's value.

    label: of the policy, for which it stands. kind: what it is (`email`, or a slot's name).
    text: which of the reading's texts it is in; start, end: characters of that text as it was given, end exclusive.
    """

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one classifier is to read: whole texts (turns, parts), each windowed on its own.

    system: the system prompt that the texts were written under, where a classifier reads it beside them; alone: those
        of the texts that are read without it, being the prompt itself.
    incomplete: the caller left something out that no classifier can read (an image, say). cut: the caller left out or
    could not find some of the text.
    every_slot: values of all slots are wanted, whatever label the text has.
    last_stage: where one label is named, the last stage is to name it, however certain an earlier one is.
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
    now: datetime | None = None
