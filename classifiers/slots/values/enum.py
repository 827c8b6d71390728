"""One of a policy's own values: by its name or another word for it, within a phrase or a slip of the keyboard away."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches

import regex

_ALIKE = 0.85
_BETWEEN = regex.compile(r"[^\p{L}\p{M}\p{N}]+")
_STYLE = re.compile("[\ufe0e\ufe0f]")
"""What says how an emoji is drawn."""
_NUMBERS = re.compile(r"\d+")
_NEGATING = ("un", "in", "im", "il", "ir", "non", "dis")
_NOT = re.compile(r"(?<!\S)no[nt] $")


def read(text: str, values: Mapping[str, Sequence[str]]) -> str | None:
    """The policy's name for a value, or None. values: each name's other words.

    Of several that a phrase holds, the longest is meant. What differs only in signs (`A+`, `A-`) is told apart where
    the text says no more, numbers have no slips (`room 103` is not `room 102`), and what negates is none
    (`unavailable`, `non-refundable`).
    """
    pairs = [(word, name) for name, words in values.items() for word in (*words, name)]
    whole = _of_one((_folded(word), name) for word, name in pairs)
    if _folded(text) in whole:
        return whole[_folded(text)]
    names = _of_one((plain, name) for word, name in pairs if (plain := _plain(word)))
    said = _plain(text)
    if said in names:
        return names[said]
    inside = [word for word in names if f" {word} " in f" {said} "]
    if inside:
        meant = [word for word in inside if _is_meant(word, said)]
        return names[max(meant, key=len)] if meant else None
    alike = [word for word in names if _NUMBERS.findall(word) == _NUMBERS.findall(said) and not _negates(word, said)]
    near = get_close_matches(said, alike, n=1, cutoff=_ALIKE)
    return names[near[0]] if near else None


def _is_meant(word: str, said: str) -> bool:
    """Whether what is said holds the word without `not` or `non` before it."""
    places = re.finditer(rf"(?<!\S){re.escape(word)}(?!\S)", said)
    return any(not _NOT.search(said[: place.start()]) for place in places)


def _negates(one: str, other: str) -> bool:
    """Whether one says the contrary of the other, by a prefix, and is no slip of the keyboard."""
    pairs = zip(one.split(), other.split(), strict=False) if one.count(" ") == other.count(" ") else [(one, other)]
    return any(_is_contrary(*pair) or _is_contrary(*pair[::-1]) for pair in pairs)


def _is_contrary(word: str, of: str) -> bool:
    """Whether the word without a prefix that negates is more like the other than with it."""
    return any(
        word.startswith(prefix) and _likeness(word.removeprefix(prefix), of) > max(_likeness(word, of), _ALIKE)
        for prefix in _NEGATING
    )


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def _of_one(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Words with the name that they stand for, without those that stand for two."""
    found: dict[str, set[str]] = {}
    for word, name in pairs:
        found.setdefault(word, set()).add(name)
    return {word: next(iter(names)) for word, names in found.items() if len(names) == 1}


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", _STYLE.sub("", text)).casefold().strip()


def _plain(text: str) -> str:
    return _BETWEEN.sub(" ", _folded(text)).strip()
