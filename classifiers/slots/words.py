"""A text as words of an encoder's tokens, each with its place in the text as it was given."""

import re
from collections.abc import Callable, Iterator

import regex

from classifiers.encoder.tokens import Words
from classifiers.text import turned
from classifiers.text.normalise import LONGEST_WORD, normalise
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
        word, start = match[0], offset + match.start()
        for part, places in [(word, _each(word))] if same else _parts(word):
            if plain:
                plain.append(" ")
                origin.append((start + places[0][0], start + places[0][0]))
            plain.append(part)
            origin += [(start + begin, start + end) for begin, end in places]
    return "".join(plain), origin


def _parts(word: str) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """What a word becomes, and where in it each character of that comes from.

    Where that can't be told, a long word is cut, and each character of a part comes from all of it.
    """
    plain = normalise(word)
    places = _origin(word, plain)
    if plain and places:
        yield plain, places
        return
    spans = [match.span() for match in _CHARACTER.finditer(word)]
    for first in range(0, len(spans), LONGEST_WORD):
        begin, end = spans[first][0], spans[first : first + LONGEST_WORD][-1][1]
        plain = normalise(word[begin:end])
        if plain:
            places = _origin(word[begin:end], plain) or [(0, end - begin)] * len(plain)
            yield plain, [(begin + start, begin + stop) for start, stop in places]


def _origin(word: str, plain: str) -> list[tuple[int, int]] | None:
    """Where each character of `plain`, which a word became, comes from; None where that can't be told."""
    letters = plain.replace(" ", "")
    places = _each(word) if letters == word else _by_character(word)
    # digits and signs become letters one for one; what was upside down is turned round as well
    if len(places) != len(letters) or turned.read(word) != word:
        return None
    found: list[tuple[int, int]] = []
    at = 0
    for char in plain:
        # a blank, where a long word is cut, comes from nothing
        found.append((places[at][0], places[at][0]) if char == " " else places[at])
        at += char != " "
    return found


def _each(word: str) -> list[tuple[int, int]]:
    return [(at, at + 1) for at in range(len(word))]


def _by_character(word: str) -> list[tuple[int, int]]:
    """The places of a word's characters, each as often as it has letters when it is normalised by itself."""
    found = [(match.span(), match[0]) for match in _CHARACTER.finditer(word)]
    letters = {char: len(normalise(char).replace(" ", "")) for char in {char for _, char in found}}
    return [span for span, char in found for _ in range(letters[char])]
