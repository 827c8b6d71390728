"""A text as words of an encoder's tokens, each with its place in the text as it was given."""

import re
from collections.abc import Callable

import regex

from classifiers.encoder.tokens import Words
from classifiers.text.normalise import normalise
from classifiers.text.windows import pieces

_WORD = re.compile(r"\S+")
_CHARACTER = regex.compile(r"\X")
"""With the marks that stand on it: a letter and its accent become one letter."""


def read(text: str, words: Callable[[str], Words], between: Callable[[], None] = lambda: None) -> Words:
    """words: of an encoder, on normalised text. Places are those of `text`.

    Text is normalised word by word, so that each keeps its place; what hides across words (letters spaced out) is
    not brought out here. between: called now and then; what it raises ends the reading.
    """
    ids: list[int] = []
    firsts: list[int] = []
    places: list[tuple[int, int]] = []
    start = 0
    for stop, piece in pieces(text):
        if piece.isspace():
            start = stop
            continue
        between()
        plain, origin = _plain(piece, start)
        found = words(plain)
        firsts += [first + len(ids) for first in found.firsts]
        places += [(origin[begin][0], origin[end - 1][1]) for begin, end in found.places]
        ids += found.ids
        start = stop
    return Words(ids=tuple(ids), firsts=tuple(firsts), places=tuple(places))


def _plain(text: str, offset: int) -> tuple[str, list[tuple[int, int]]]:
    """The text normalised, and where each of its characters comes from. offset: added to those places."""
    plain: list[str] = []
    origin: list[tuple[int, int]] = []
    same = normalise(text) == " ".join(text.split())
    for match in _WORD.finditer(text):
        part = match[0] if same else normalise(match[0])
        if not part:
            continue
        start = offset + match.start()
        if plain:
            plain.append(" ")
            origin.append((start, start))
        plain.append(part)
        origin += _origin(match[0], part, start)
    return "".join(plain), origin


def _origin(word: str, part: str, start: int) -> list[tuple[int, int]]:
    """Where each character of `part`, which a word became, comes from; the whole word where that can't be told."""
    if len(word) == len(part):
        return [(start + at, start + at + 1) for at in range(len(word))]
    whole = [(match.start(), match.end(), normalise(match[0])) for match in _CHARACTER.finditer(word)]
    if "".join(plain for _, _, plain in whole) == part:
        return [(start + begin, start + end) for begin, end, plain in whole for _ in plain]
    return [(start, start + len(word))] * len(part)
