"""The label in each answer of a group, and its place in the answer. Pure."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from classifiers.policy import NONE, OTHER
from gateway.answers.parse import CompletionChoice, unfenced
from gateway.spelling import LabelNames, normalized

_FINISHED: Final = frozenset({"stop", "tool_calls", "function_call", ""})
_AROUND: Final = " \t\r\n\"'`*.“”"
_MOSTLY: Final = 0.9
_DEEPEST: Final = 16

_RESERVED: Final = frozenset({OTHER, NONE, "*"})

LEAST_OF_A_LABEL: Final = 3
"""Distinct inputs that an answer needs to be a label; rarer ones cannot be learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The labels of a group's calls. by_call: the label of each call's answer in its most frequent spelling; None where
    none can be read. field: the label's place in an answer of JSON, empty for a word. names: labels that can be
    learned, the most frequent first. several: answers are lists of labels."""

    by_call: tuple[str | None, ...]
    field: str
    names: tuple[str, ...]
    several: bool = False

    @property
    def distinct(self) -> int:
        return len({label for label in self.by_call if label is not None})


def reserved(name: str) -> bool:
    """Whether an answer is a word of the policy's own, which no label may be called."""
    return normalized(name) in _RESERVED or name in _RESERVED


def names_of(labels: Sequence[str]) -> LabelNames:
    """A rule's names for these answers. Reserved words become `other`, with an alias where there is only one of them;
    of two, nothing says which one the model would have given."""
    own = [name for name in labels if reserved(name)]
    aliases = own if len(own) == 1 and normalized(own[0]) != OTHER else []
    names = (*(name for name in labels if not reserved(name)), *([OTHER] if own else []))
    return LabelNames(names, {OTHER: aliases} if aliases else {})


def labels_of(answers: Sequence[CompletionChoice], inputs: Sequence[str]) -> Labels:
    """The labels in answers to inputs, one of each for every call."""
    values = [_values(answer) for answer in answers]
    field = _field(values)
    raw = [value.get(field) for value in values]
    several = sum(isinstance(word, list) for word in raw) > len(raw) / 2
    words = [word if isinstance(word, str) and word.strip() else None for word in raw]
    spelled = _spellings(words)
    by_call = tuple(spelled[normalized(word) or word] if word is not None else None for word in words)
    texts: dict[str, set[str]] = defaultdict(set)
    for label, text in zip(by_call, inputs, strict=True):
        if label is not None:
            texts[label].add(text)
    counts = Counter(label for label in by_call if label is not None)
    names = tuple(name for name, _ in counts.most_common() if len(texts[name]) >= LEAST_OF_A_LABEL)
    return Labels(by_call=by_call, field=field, names=names, several=several)


def _values(answer: CompletionChoice) -> dict[str, str | list[str]]:
    """The words of an answer by their place. A plain text has one, whose place is empty."""
    if answer.refused or answer.finish not in _FINISHED or len(answer.calls) > 1:
        return {}
    text = next((arguments for _, arguments in answer.calls.values()), answer.content)
    try:
        parsed = json.loads(unfenced(text))
    except (ValueError, RecursionError):
        parsed = None
    if isinstance(parsed, dict):
        return dict(_leaves(parsed, "", 0))
    word = answer.content.strip(_AROUND)
    return {"": word} if word and not answer.calls else {}


def _leaves(value: Mapping[str, Any], path: str, depth: int) -> Iterator[tuple[str, str | list[str]]]:
    for name, part in value.items():
        place = f"{path}.{name}" if path else name
        if isinstance(part, dict) and depth < _DEEPEST:
            yield from _leaves(part, place, depth + 1)
        elif isinstance(part, bool):
            yield place, str(part).lower()
        elif isinstance(part, str) or (isinstance(part, list) and all(isinstance(item, str) for item in part)):
            yield place, part


def _field(values: Sequence[Mapping[str, str | list[str]]]) -> str:
    """The place of the label: of the places that nearly all answers have, the one that varies most among few words."""
    counts = Counter(place for value in values for place in value)
    answered = max(sum(bool(value) for value in values), 1)
    common = [place for place, count in counts.items() if count >= _MOSTLY * answered]
    distinct = {place: len({_key(value[place]) for value in values if place in value}) for place in common}
    few = [place for place in common if distinct[place] <= max(2, counts[place] / 4)]
    return max(few, key=lambda place: distinct[place]) if few else min(common, key=distinct.__getitem__, default="")


def _key(value: str | list[str]) -> str | tuple[str, ...]:
    return normalized(value) if isinstance(value, str) else tuple(value)


def _spellings(words: Sequence[str | None]) -> dict[str, str]:
    """The most frequent spelling of each word; the first of those that are equally frequent."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for word in words:
        if word is not None:
            spellings[normalized(word) or word][word.strip(_AROUND) or word] += 1
    return {key: counts.most_common(1)[0][0] for key, counts in spellings.items()}
