"""What of a policy's slots does not fit together. Pure."""

from collections.abc import Iterator
from difflib import get_close_matches

from classifiers.policy import Label, Policy, Slot
from classifiers.slots.markup import parse
from classifiers.slots.values import enum

Path = tuple[str | int, ...]


def slot_problems(policy: Policy) -> Iterator[tuple[Path, str]]:
    """(where in the policy, what is wrong there)."""
    if policy.kind == "slots" and not policy.slots:
        yield ("slots",), "a policy of kind slots needs slots:"
    if policy.slots and policy.kind not in {"slots", "intent"}:
        yield ("slots",), f"kinds slots and intent have slots, {policy.kind} has none"
    if policy.slots and policy.first_stage is True:
        yield ("first_stage",), "true is not for policies with slots: their encoder finds these in every text"
    for name, slot in policy.slots.items():
        yield from _types(name, slot)
    for label, described in policy.labels.items():
        yield from _label(policy, label, described)
    for index, test in enumerate(policy.tests):
        for name in test.slots:
            if name not in policy.slots:
                yield ("tests", index, "slots", name), _no_slot(policy, name)


def _types(name: str, slot: Slot) -> Iterator[tuple[Path, str]]:
    if slot.type == "enum" and not slot.values:
        yield ("slots", name), "an enum needs values:"
    for word, names in enum.shared(slot.values).items():
        which = " and ".join(names)
        yield ("slots", name, "values", names[-1]), f"{word!r} would be {which}, so it could never be told which"
    for option, kind in (("values", "enum"), ("currency", "money"), ("hours", "time")):
        if getattr(slot, option) and slot.type != kind:
            yield ("slots", name, option), f"is for a slot of type {kind}, not {slot.type}"


def _label(policy: Policy, label: str, described: Label) -> Iterator[tuple[Path, str]]:
    for option in ("slots", "required"):
        for index, name in enumerate(getattr(described, option) or ()):
            if name not in policy.slots:
                yield ("labels", label, option, index), _no_slot(policy, name)
            elif name not in policy.slots_of(label):
                what = f"{name} is none of the label's slots:, so nothing could fill it; add it there"
                yield ("labels", label, option, index), what
    for option, sentences in (("examples", described.examples), ("not", described.not_)) if policy.slots else ():
        for index, sentence in enumerate(sentences):
            try:
                parse(sentence, tuple(policy.slots))
            except ValueError as error:
                yield ("labels", label, option, index), str(error)


def _no_slot(policy: Policy, name: str) -> str:
    near = get_close_matches(name, list(policy.slots), n=1)
    return f"no slot {name}" + (f"; did you mean {near[0]!r}?" if near else "")
