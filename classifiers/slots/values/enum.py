"""One of a policy's own values: by its name or another word for it, within a phrase or a slip of the keyboard away."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

_ALIKE = 0.85
_EDGES = re.compile(r"[\W_]+")


def read(text: str, values: Mapping[str, Sequence[str]]) -> str | None:
    """The policy's name for a value, or None. values: each name's other words.

    Of several that a phrase holds, the longest is meant.
    """
    names = {_plain(word): name for name, words in values.items() for word in (*words, name)}
    said = _plain(text)
    if said in names:
        return names[said]
    inside = [word for word in names if word and f" {word} " in f" {said} "]
    if inside:
        return names[max(inside, key=len)]
    near = get_close_matches(said, list(names), n=1, cutoff=_ALIKE)
    return names[near[0]] if near else None


def _plain(text: str) -> str:
    return _EDGES.sub(" ", text.casefold()).strip()
