"""Words and their tags' logits → what a text fills in, as values; and what a verdict says of it. Pure."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from classifiers.encoder.tokens import Words
from classifiers.model import Floats, Model
from classifiers.policy import Policy
from classifiers.slots import tags
from classifiers.slots.tags import Run
from classifiers.slots.values.read import read
from classifiers.verdict import Abstention, SlotValue, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """A text's words and, for as many of them as were read, (words, tags) logits."""

    text: str
    words: Words
    logits: Floats


def with_slots(
    verdict: Verdict, model: Model, tagged: Sequence[Tagged], now: datetime, *, every: bool = False
) -> Verdict:
    """The verdict with what the texts fill in.

    Where it names a label, only that label's slots are looked for, and required ones among them that nothing fills, or
    only words that have no value, make it unsure. A text that is none of the labels fills nothing in. every: all slots
    are looked for all the same.
    """
    policy, tagger = model.policy, model.tagger
    names = tuple(policy.slots) if every else _sought(policy, verdict.labels)
    if tagger is None or not names:
        return verdict
    allowed = np.array([name in names for name in tagger.slots], bool)
    found = tuple(
        _value(policy, tagger.slots[run.slot], run, one, now=now, index=index)
        for index, one in enumerate(tagged)
        for run in tags.runs(np.float32(tagger.scale) * one.logits, allowed)
    )
    filled = {value.slot for value in found if value.value is not None}
    needed = {slot for label in verdict.labels if label in policy.labels for slot in _required(policy, label)}
    missing = tuple(name for name in policy.slots if name in needed and name not in filled)
    verdict = replace(verdict, slots=found, missing=missing)
    if missing and verdict.abstention is None:
        return replace(verdict, abstention=Abstention.UNSURE, reason=_reason(missing, {value.slot for value in found}))
    return verdict


def _value(policy: Policy, name: str, run: Run, tagged: Tagged, *, now: datetime, index: int) -> SlotValue:
    start, end = tagged.words.places[run.first][0], tagged.words.places[run.last][1]
    raw = tagged.text[start:end]
    value = read(policy.slots[name], raw, now, languages=policy.languages)
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


def _reason(missing: Sequence[str], found: AbstractSet[str]) -> str:
    unsaid = [name for name in missing if name not in found]
    unread = [name for name in missing if name in found]
    told = (("nothing says", unsaid), ("no value can be read of", unread))
    return ", and ".join(f"{what} {', '.join(names)}" for what, names in told if names)


def _required(policy: Policy, label: str) -> Sequence[str]:
    described = policy.labels[label]
    if described.required is not None:
        return described.required
    return [name for name in policy.slots_of(label) if policy.slots[name].required]


def _sought(policy: Policy, labels: Sequence[str]) -> tuple[str, ...]:
    """The slots of the labels that hold; of all labels where none does."""
    named = [label for label in labels if label in policy.labels]
    if labels and not named:
        return ()
    wanted = {slot for label in named or policy.labels for slot in policy.slots_of(label)}
    return tuple(slot for slot in policy.slots if slot in wanted)
