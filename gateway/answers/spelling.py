"""A policy's label as the caller spells it. Pure."""

import re
from collections.abc import Iterable

_APART = re.compile(r"[\W_]+")


def folded(word: str) -> str:
    """What two spellings of one label have in common: `Card Lost`, `card-lost` and `card_lost` are one."""
    return _APART.sub("", word).casefold()


def spelled(label: str, words: Iterable[str]) -> str | None:
    """The one of the caller's words that is the label: as it stands, else the only one that differs in spelling."""
    words = tuple(words)
    if label in words:
        return label
    alike = [word for word in dict.fromkeys(words) if folded(word) == folded(label)]
    return alike[0] if len(alike) == 1 else None
