"""Letters that are shifted (rot13 and the other 24) or written backwards, told by the words that come of it. Pure."""

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import partial

_LOWER, _UPPER = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SHIFTS = [
    str.maketrans(_LOWER + _UPPER, _LOWER[by:] + _LOWER[:by] + _UPPER[by:] + _UPPER[:by])
    for by in (13, *range(1, 13), *range(14, 26))
]
_WORD = re.compile(r"[A-Za-z]{4,}")
_ANY_WORD = re.compile(r"[A-Za-z]{3,}")
_MOST_WORDS = 2000
"""Strange words that are tried under every shift."""

_TOGETHER, _NEAR = 3, 12
"""So many strange words among so many that become known ones show that text is shifted or reversed."""
_LEAST_PLAIN = 3
"""So many words within what is shifted that are none of it are read by themselves, too."""


def restore(text: str) -> tuple[str, ...]:
    """The text under the shift, or backwards, that makes words of its strange ones; mostly the text alone.

    What is turned is a text of its own as well, so that nothing around it waters it down, and so is what stands in it
    but is not explained by turning: nothing is hidden by strewing in words that need it.
    """
    words = list(_WORD.finditer(text))
    if not words:
        return (text,)
    from classifiers.text.lexicon import RANKS, unturned

    strange = [(place, word[0].lower()) for place, word in enumerate(words) if word[0].lower() not in RANKS]
    if len(strange) < 2:
        return (text,)
    few = len(strange) * 2 >= len(words)
    strange = strange[:_MOST_WORDS]
    for read, turn in _readings([word for _, word in strange]):
        places = [place for (place, _), word in zip(strange, read, strict=True) if word in RANKS]
        if _together(places) or (few and len(places) == len(strange)):
            start, end = _stretch(places, {place for place, _ in strange})
            first, last = words[start - 1].end() if start else 0, words[end].start() if end < len(words) else len(text)
            within = text[first:last]
            turned = turn(within)
            plain = unturned(within, turn, _LEAST_PLAIN)
            around = _ANY_WORD.search(text[:first] + text[last:])
            return (
                f"{text[:first]} {turned} {text[last:]}",
                *((turned,) if around else ()),
                *((plain,) if plain else ()),
            )
    return (text,)


def _translated(table: Mapping[int, int], text: str) -> str:
    return text.translate(table)


def _readings(strange: Sequence[str]) -> Iterator[tuple[list[str], Callable[[str], str]]]:
    """The words under each shift and backwards, and what turns a text so."""
    letters = " ".join(strange)
    for table in _SHIFTS:
        yield letters.translate(table).split(), partial(_translated, table)
    yield [word[::-1] for word in strange], lambda part: part[::-1]


def _stretch(places: Sequence[int], strange: Container[int]) -> tuple[int, int]:
    """From the first of some words to behind the last, with the strange ones next to them."""
    start, end = places[0], places[-1] + 1
    while start - 1 in strange:
        start -= 1
    while end in strange:
        end += 1
    return start, end


def _together(places: Sequence[int]) -> bool:
    """Whether several of some words, by their places, are near each other."""
    return any(last - first < _NEAR for first, last in zip(places, places[_TOGETHER - 1 :], strict=False))
