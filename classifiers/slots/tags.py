"""A text's words, their tags, and the slots that the likeliest tags make. Pure.

Tags are inside-outside-beginning: 0 is outside, slot k begins with 1 + 2k and goes on with 2 + 2k. Of all sequences the
likeliest is chosen in which nothing goes on that has not begun (Viterbi). Words are groups of an encoder's tokens, each
with its place in the text as it was given; a long text is tagged in windows.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from classifiers.encoder.tokens import Words
from classifiers.model.model import Floats
from classifiers.text.normalise import LONGEST_WORD, normalise, undo_upside_down
from classifiers.text.windows import Window, cut, pieces

OUTSIDE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotMark:
    """A slot's place in a text: characters start..end (exclusive)."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRun:
    """Words first..last (inclusive) that make up slot number `slot`. confidence: 0..1, of its least certain word."""

    slot: int
    first: int
    last: int
    confidence: float


def of_places(places: Sequence[tuple[int, int]], marks: Sequence[SlotMark], slots: Sequence[str]) -> list[int]:
    """The tag of each word. places: its characters; a word that a mark covers in part belongs to it."""
    tags = [OUTSIDE] * len(places)
    for mark in marks:
        inside = [index for index, (start, end) in enumerate(places) if start < mark.end and end > mark.start]
        for index in inside:
            tags[index] = 1 + 2 * slots.index(mark.name) + (index > inside[0])
    return tags


def runs(logits: Floats, allowed: NDArray[np.bool_] | None = None) -> list[TagRun]:
    """logits: (words, tags) → the slots of the likeliest sequence, in order. allowed: (slots,) those that count; by
    default all."""
    if not len(logits):
        return []
    logs = logits - logits.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    if allowed is not None:
        logs[:, 1:] = np.where(np.repeat(allowed, 2), logs[:, 1:], -np.inf)
    tags = np.array(_likeliest(logs))
    shares = np.exp(logs[np.arange(len(tags)), tags])
    firsts = np.flatnonzero(tags % 2)
    # a slot ends before the next one begins or before the first word outside
    outside = np.append(np.flatnonzero((tags == OUTSIDE) | (tags % 2 == 1)), len(tags))
    ends = outside[np.searchsorted(outside, firsts, "right")]
    return [
        TagRun(slot=int(tags[first] - 1) // 2, first=first, last=end - 1, confidence=float(shares[first:end].min()))
        for first, end in zip(firsts.tolist(), ends.tolist(), strict=True)
    ]


def _likeliest(logs: Floats) -> list[int]:
    """logs: (words, tags) → the best path's tags. To go on, a slot must have begun or gone on one word before."""
    words, tags = logs.shape
    begins, goes_on = np.arange(1, tags, 2), np.arange(2, tags, 2)
    best = logs[0].astype(np.float64)
    best[goes_on] = -np.inf
    previous = np.zeros((words, tags), np.intp)
    for index in range(1, words):
        top = int(best.argmax())
        previous[index] = top
        step = np.full(tags, best[top])
        before = np.where(best[begins] >= best[goes_on], begins, goes_on)
        step[goes_on], previous[index, goes_on] = best[before], before
        best = step + logs[index]
    path = [int(best.argmax())]
    for index in range(words - 1, 0, -1):
        path.append(int(previous[index, path[-1]]))
    return path[::-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordWindow:
    """A window, the words that are judged by it, and where in it their first tokens stand."""

    window: Window
    words: NDArray[np.intp]
    rows: NDArray[np.intp]


def word_windows(words: Words, *, room: int, overlap: int, most: int | None = None) -> Iterator[WordWindow]:
    """At most `most` windows (default: all); each judges the words nearer to its middle than to its neighbour's."""
    windows = cut(words.ids, room, overlap)
    firsts = np.array(words.firsts, np.intp)
    stride, half = room - overlap, overlap // 2
    for index, window in enumerate(windows[:most]):
        start = index * stride
        begin = start + half if index else 0
        end = start + stride + half if index + 1 < len(windows) else start + len(window)
        chosen = np.flatnonzero((firsts >= begin) & (firsts < end))
        yield WordWindow(window=window, words=chosen, rows=firsts[chosen] - start)


_WORD = re.compile(r"\S+")
_CHARACTER = regex.compile(r"\X")
"""A letter with the marks that it bears."""


def read(text: str, words: Callable[[str], Words], between: Callable[[], None] = lambda: None) -> Words:
    """words: of an encoder, on normalised text. Places are those of `text`. Text is normalised word by word, so that
    each keeps its place; what hides across words (letters spaced out) is not brought out here. between: called now and
    then; what it raises ends the reading."""
    ids: list[int] = []
    firsts: list[int] = []
    places: list[tuple[int, int]] = []
    start = 0
    for stop, piece in pieces(text):
        if not piece.isspace():
            between()
            plain, origin = _plain(piece, start)
            own = words(plain)
            firsts += [first + len(ids) for first in own.firsts]
            places += [(origin[begin][0], origin[end - 1][1]) for begin, end in own.places]
            ids += own.ids
        start = stop
    return Words(ids=tuple(ids), firsts=tuple(firsts), places=tuple(places))


def _plain(text: str, offset: int) -> tuple[str, list[tuple[int, int]]]:
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
    """What a word becomes, and where in it each character of that comes from. Where that is not certain, a long word is
    cut, and each character of a part comes from all of it."""
    plain = normalise(word)
    if plain and (places := _origin(word, plain)):
        yield plain, places
        return
    spans = [match.span() for match in _CHARACTER.finditer(word)]
    for first in range(0, len(spans), LONGEST_WORD):
        begin, end = spans[first][0], spans[first : first + LONGEST_WORD][-1][1]
        if plain := normalise(word[begin:end]):
            places = _origin(word[begin:end], plain) or [(0, end - begin)] * len(plain)
            yield plain, [(begin + start, begin + stop) for start, stop in places]


def _origin(word: str, plain: str) -> list[tuple[int, int]] | None:
    """Where each character of `plain`, which a word becomes, comes from; None where that is not certain."""
    letters = plain.replace(" ", "")
    places = _each(word) if letters == word else _by_character(word)
    # digits and signs become letters one for one; what was upside down is turned round as well
    if len(places) != len(letters) or undo_upside_down(word) != word:
        return None
    origin: list[tuple[int, int]] = []
    index = 0
    for char in plain:
        # a blank, where a long word is cut, comes from nothing
        origin.append((places[index][0], places[index][0]) if char == " " else places[index])
        index += char != " "
    return origin


def _each(word: str) -> list[tuple[int, int]]:
    return [(index, index + 1) for index in range(len(word))]


def _by_character(word: str) -> list[tuple[int, int]]:
    """The places of a word's characters, each as often as it has letters when it is normalised by itself."""
    characters = [(match.span(), match[0]) for match in _CHARACTER.finditer(word)]
    letters = {char: len(normalise(char).replace(" ", "")) for char in {char for _, char in characters}}
    return [span for span, char in characters for _ in range(letters[char])]
