"""One of a policy's own values: by its name or another word for it, within a phrase or a slip of the keyboard away."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

_ALIKE = 0.85
_EDGES = re.compile(r"[\W_]+")
_NUMBERS = re.compile(r"\d+")


def read(text: str, values: Mapping[str, Sequence[str]]) -> str | None:
    """The policy's name for a value, or None. values: each name's other words.

    Of several that a phrase holds, the longest is meant. What differs only in signs (`A+`, `A-`) is told apart where
    the text says no more, and numbers have no slips: `room 103` is not `room 102`.
    """
    pairs = [(word, name) for name, words in values.items() for word in (*words, name)]
    whole = _of_one((word.casefold().strip(), name) for word, name in pairs)
    if text.casefold().strip() in whole:
        return whole[text.casefold().strip()]
    names = _of_one((_plain(word), name) for word, name in pairs)
    said = _plain(text)
    if said in names:
        return names[said]
    inside = [word for word in names if word and f" {word} " in f" {said} "]
    if inside:
        return names[max(inside, key=len)]
    alike = [word for word in names if _NUMBERS.findall(word) == _NUMBERS.findall(said)]
    near = get_close_matches(said, alike, n=1, cutoff=_ALIKE)
    return names[near[0]] if near else None


def _of_one(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Words with the name that they stand for, without those that stand for two."""
    found: dict[str, set[str]] = {}
    for word, name in pairs:
        found.setdefault(word, set()).add(name)
    return {word: next(iter(names)) for word, names in found.items() if len(names) == 1}


def _plain(text: str) -> str:
    return _EDGES.sub(" ", text.casefold()).strip()
