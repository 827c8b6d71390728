"""What a group's answers say: the label of each, where it stands in them, and what else they hold. Pure."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from classifiers.policy import NONE, OTHER
from gateway.answers.parse import CompletionChoice, unfenced
from gateway.spelling import Names, folded

_FINISHED: Final = frozenset({"stop", "tool_calls", "function_call", ""})
_AROUND: Final = " \t\r\n\"'`*.“”"
_MOSTLY: Final = 0.9
_DEEPEST: Final = 16

_RESERVED: Final = frozenset({OTHER, NONE, "*"})

LEAST_OF_A_LABEL: Final = 3
"""Distinct inputs, from which an answer is a label; rarer ones cannot be learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """of: by call, its answer's label, spelled as it mostly is; None where there is none that can be read. field: where
    in the answer's JSON it stands, empty for a word. names: those that can be learned, the most frequent first.
    several: answers are lists of labels; other_fields: what else the JSON holds that varies."""

    of: tuple[str | None, ...]
    field: str
    names: tuple[str, ...]
    several: bool = False
    other_fields: tuple[str, ...] = ()

    @property
    def distinct(self) -> int:
        """How many different answers there are."""
        return len({label for label in self.of if label is not None})


def reserved(name: str) -> bool:
    """Whether an answer is a word of a policy's own, which no label may be called."""
    return folded(name) in _RESERVED or name in _RESERVED


def names_of(labels: Sequence[str]) -> Names:
    """Those that a rule has for these answers: words of a policy's own are its `other`, by an alias where the model has
    one word for it; of two, nothing says which one it would have given."""
    own = [name for name in labels if reserved(name)]
    called = own if len(own) == 1 and folded(own[0]) != OTHER else []
    names = (*(name for name in labels if not reserved(name)), *([OTHER] if own else []))
    return Names(names, {OTHER: called} if called else {})


def labels_of(answers: Sequence[CompletionChoice], inputs: Sequence[str]) -> Labels:
    """answers, inputs: by call."""
    values = [_values(said) for said in answers]
    field, others = _field(values)
    raw = [one.get(field) for one in values]
    several = sum(isinstance(one, list) for one in raw) > len(raw) / 2
    words = [one if isinstance(one, str) and one.strip() else None for one in raw]
    spelled = _spellings(words)
    of = tuple(spelled[folded(word) or word] if word is not None else None for word in words)
    held: dict[str, set[str]] = {}
    for label, text in zip(of, inputs, strict=True):
        if label is not None:
            held.setdefault(label, set()).add(text)
    counts = Counter(label for label in of if label is not None)
    names = tuple(name for name, _ in counts.most_common() if len(held[name]) >= LEAST_OF_A_LABEL)
    return Labels(of=of, field=field, names=names, several=several, other_fields=others)


def _values(said: CompletionChoice) -> dict[str, str | list[str]]:
    """The words of an answer by their place; a plain text has one, whose place is empty."""
    if said.refused or said.finish not in _FINISHED:
        return {}
    if len(said.calls) > 1:
        return {}
    text = next((arguments for _, arguments in said.calls.values()), said.content)
    try:
        found = json.loads(unfenced(text))
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return dict(_leaves(found, "", 0))
    word = said.content.strip(_AROUND)
    return {"": word} if word and not said.calls else {}


def _leaves(value: Mapping[str, Any], path: str, depth: int) -> Iterator[tuple[str, str | list[str]]]:
    for name, part in value.items():
        place = f"{path}.{name}" if path else name
        if isinstance(part, dict) and depth < _DEEPEST:
            yield from _leaves(part, place, depth + 1)
        elif isinstance(part, str):
            yield place, part
        elif isinstance(part, bool):
            yield place, str(part).lower()
        elif isinstance(part, list) and all(isinstance(one, str) for one in part):
            yield place, part


def _field(values: Sequence[Mapping[str, str | list[str]]]) -> tuple[str, tuple[str, ...]]:
    """The place of the label: of those that nearly all answers have, the one that varies most among few words; and
    the other places that vary."""
    counts = Counter(place for one in values for place in one)
    answered = max(sum(bool(one) for one in values), 1)
    common = [place for place, count in counts.items() if count >= _MOSTLY * answered]
    if not common:
        return "", ()
    distinct = {place: len({_key(one[place]) for one in values if place in one}) for place in common}
    few = [place for place in common if distinct[place] <= max(2, counts[place] / 4)]
    found = max(few, key=lambda place: distinct[place]) if few else min(common, key=lambda place: distinct[place])
    return found, tuple(place for place in common if place != found and distinct[place] > 1)


def _key(value: str | list[str]) -> str | tuple[str, ...]:
    return folded(value) if isinstance(value, str) else tuple(value)


def _spellings(words: Sequence[str | None]) -> dict[str, str]:
    """The most frequent spelling of each word; the first of those that are equally frequent."""
    seen: dict[str, Counter[str]] = {}
    for word in words:
        if word is not None:
            seen.setdefault(folded(word) or word, Counter())[word.strip(_AROUND) or word] += 1
    return {key: counts.most_common(1)[0][0] for key, counts in seen.items()}
