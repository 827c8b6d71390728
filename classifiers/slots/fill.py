"""What a text fills in: values of slots from its words and their tags' logits, and what a verdict says of them. Pure.

Also sentences whose slots are marked (`a table at [7 pm](time)`), and mistakes in the slots of a policy.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches

import numpy as np

from classifiers.encoder.tokens import Words
from classifiers.model.model import Floats, Model
from classifiers.policy import Label, Policy, Slot
from classifiers.slots import tags
from classifiers.slots.tags import SlotMark, TagRun
from classifiers.slots.values import read
from classifiers.slots.values.read import read_value
from classifiers.verdict import Abstention, SlotValue, Verdict

_MARK = re.compile(r"\[([^\[\]]*)\]\(([^()\s]*)\)")
_WORD = re.compile(rf"(?:{_MARK.pattern}|\S)+")
_SHOWN = 20
"""Characters on either side of a mistake that a message shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A text and the places of its slots, in order, none overlapping."""

    text: str
    marks: tuple[SlotMark, ...] = ()

    def value(self, mark: SlotMark) -> str:
        return self.text[mark.start : mark.end]


def parse(sentence: str, slots: Sequence[str]) -> Marked:
    """`[7 pm](time)` → a mark where `time` is a slot, in whatever case. Raises ValueError naming a mark that has no
    value or no slot, lacks a bracket, or has a blank between its brackets."""
    names, parts = {name.casefold(): name for name in slots}, []
    for match in _MARK.finditer(sentence):
        value, name = match[1].strip(), names.get(match[2].casefold())
        if name is None:
            known = ", ".join(slots) or "none"
            raise ValueError(f"{match[0]!r} names no slot; there are {known}; of a link, give the words alone")
        if not value:
            raise ValueError(f"{match[0]!r} marks nothing")
        parts.append((*match.span(), name, value))
    marked = _marked(sentence, parts)
    slips = rf"\](?:\(|\s+\(\s*(?:{'|'.join(map(re.escape, slots))})\s*\))"
    if slip := re.search(slips, marked.text, re.IGNORECASE):
        shown = marked.text[max(0, slip.start() - _SHOWN) : slip.end() + _SHOWN]
        raise ValueError(f"{shown!r} holds what is no mark; one is [value](slot), without a blank between")
    return marked


def words(sentence: str) -> list[str]:
    """The words of a sentence; a mark is a part of one word."""
    return [match[0] for match in _WORD.finditer(sentence)]


def replaced(marked: Marked, values: Sequence[str]) -> Marked:
    """The same sentence with other values, one for each mark."""
    pairs = zip(marked.marks, values, strict=True)
    return _marked(marked.text, [(mark.start, mark.end, mark.name, value) for mark, value in pairs])


def _marked(text: str, parts: Iterable[tuple[int, int, str, str]]) -> Marked:
    """parts: what is replaced, from start to end, the slot's name and its value."""
    made, marks, done = "", [], 0
    for start, end, name, value in parts:
        made += text[done:start]
        marks.append(SlotMark(name=name, start=len(made), end=len(made) + len(value)))
        made, done = made + value, end
    return Marked(text=made + text[done:], marks=tuple(marks))


Path = tuple[str | int, ...]


def slot_problems(policy: Policy) -> Iterator[tuple[Path, str]]:
    """Mistakes in a policy's slots: the path to each in the policy, and a message."""
    if policy.kind == "slots" and not policy.slots:
        yield ("slots",), "a policy of kind slots needs slots:"
    if policy.slots and policy.kind not in {"slots", "intent"}:
        yield ("slots",), f"kinds slots and intent have slots, {policy.kind} has none"
    for name, slot in policy.slots.items():
        yield from _types(name, slot)
        for label in slot.required if isinstance(slot.required, tuple) else ():
            if label not in policy.labels or name not in policy.slots_of(label):
                yield ("slots", name, "required"), f"{label} is no label with the slot {name}"
    for label, described in policy.labels.items():
        yield from _label(policy, label, described)
    for index, test in enumerate(policy.tests):
        for name in test.slots:
            if name not in policy.slots:
                yield ("tests", index, "slots", name), _no_slot(policy, name)


def _types(name: str, slot: Slot) -> Iterator[tuple[Path, str]]:
    if slot.type == "enum" and not slot.values:
        yield ("slots", name), "an enum needs values:"
    for word, names in read.shared(slot.values).items():
        which = " and ".join(names)
        yield ("slots", name, "values", names[-1]), f"{word!r} would be {which}, so it could never be told which"
    for option, kind in (("values", "enum"), ("hours", "time")):
        if getattr(slot, option) and slot.type != kind:
            yield ("slots", name, option), f"is for a slot of type {kind}, not {slot.type}"


def _label(policy: Policy, label: str, described: Label) -> Iterator[tuple[Path, str]]:
    for index, name in enumerate(described.slots or ()):
        if name not in policy.slots:
            yield ("labels", label, "slots", index), _no_slot(policy, name)
    for option, sentences in (("examples", described.examples), ("not", described.not_)) if policy.slots else ():
        for index, sentence in enumerate(sentences):
            try:
                parse(sentence, tuple(policy.slots))
            except ValueError as error:
                yield ("labels", label, option, index), str(error)


def _no_slot(policy: Policy, name: str) -> str:
    near = get_close_matches(name, list(policy.slots), n=1)
    return f"no slot {name}" + (f"; did you mean {near[0]!r}?" if near else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """A text's words and, for as many of them as were read, (words, tags) logits."""

    text: str
    words: Words
    logits: Floats


def with_slots(
    verdict: Verdict, model: Model, tagged: Sequence[Tagged], now: datetime, *, every: bool = False
) -> Verdict:
    """The verdict with what the texts fill in. A verdict that names a label has only that label's slots. It becomes
    unsure where required ones lack a value. A text of none of the labels fills nothing in. every: find all slots,
    whatever the label."""
    policy, tagger = model.policy, model.tagger
    names = tuple(policy.slots) if every else _wanted(policy, verdict.labels)
    if tagger is None or not names:
        return verdict
    allowed = np.array([name in names for name in tagger.slots], bool)
    values = tuple(
        _value(policy, tagger.slots[run.slot], run, text, now=now, index=index)
        for index, text in enumerate(tagged)
        for run in tags.runs(np.float32(tagger.scale) * text.logits, allowed)
    )
    filled = {value.slot for value in values if value.value is not None}
    needed = {
        name
        for label in verdict.labels
        if label in policy.labels
        for name in policy.slots_of(label)
        if policy.slots[name].needed_by(label)
    }
    missing = tuple(name for name in policy.slots if name in needed and name not in filled)
    verdict = replace(verdict, slots=values, missing=missing)
    if missing and verdict.abstention is None:
        return replace(verdict, abstention=Abstention.UNSURE, reason=_reason(missing, {value.slot for value in values}))
    return verdict


def _value(policy: Policy, name: str, run: TagRun, tagged: Tagged, *, now: datetime, index: int) -> SlotValue:
    start, end = tagged.words.places[run.first][0], tagged.words.places[run.last][1]
    raw = tagged.text[start:end]
    value = read_value(policy.slots[name], raw, now, languages=policy.languages)
    return SlotValue(
        slot=name,
        start=start,
        end=end,
        raw=raw,
        value=value.value if value else None,
        currency=value.currency if value else None,
        confidence=run.confidence,
        text=index,
    )


def _reason(missing: Sequence[str], mentioned: AbstractSet[str]) -> str:
    absent = [name for name in missing if name not in mentioned]
    unread = [name for name in missing if name in mentioned]
    reasons = (("nothing says", absent), ("no value can be read of", unread))
    return ", and ".join(f"{what} {', '.join(names)}" for what, names in reasons if names)


def _wanted(policy: Policy, labels: Sequence[str]) -> tuple[str, ...]:
    """The slots of a verdict's labels; of all labels where it names none."""
    named = [label for label in labels if label in policy.labels]
    if labels and not named:
        return ()
    slots = {slot for label in named or policy.labels for slot in policy.slots_of(label)}
    return tuple(slot for slot in policy.slots if slot in slots)
