"""Characters that delete the one before them, as keys do: what they leave, and what was stored. Pure."""

import re
from itertools import pairwise

_KEYS = frozenset("\b\x7f")
_TOKEN = re.compile(r"\S+")
_WORD = re.compile("([A-Za-z]+)(?:'(?:s|t|d|m|ll|re|ve))?(?![A-Za-z])")


def read(text: str) -> str:
    """What is left of the text."""
    return text if _KEYS.isdisjoint(text) else "".join(text[at] for at in _left(text))


def as_stored(text: str) -> str:
    """The text with what was deleted and without the characters that did; in words that are known only without single
    letters which were deleted, these stay deleted: they were strewn in.
    """
    return text if _KEYS.isdisjoint(text) else _TOKEN.sub(_stored, text)


def _left(text: str) -> list[int]:
    """The places of the characters that are not deleted."""
    left: list[int] = []
    for place, char in enumerate(text):
        if char not in _KEYS:
            left.append(place)
        elif left:
            left.pop()
    return left


def _stored(match: re.Match[str]) -> str:
    token = match[0]
    if _KEYS.isdisjoint(token):
        return token
    typed, left = [place for place, char in enumerate(token) if char not in _KEYS], _left(token)
    stored, read = ("".join(token[place] for place in places) for places in (typed, left))
    kept = frozenset(left)
    several = any(kept.isdisjoint(pair) for pair in pairwise(typed))
    return stored if several or _known(stored) or not _known(read) else read


def _known(text: str) -> bool:
    from classifiers.text.lexicon import RANKS

    return all(word.lower() in RANKS for word in _WORD.findall(text))
