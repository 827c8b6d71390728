"""A text's words in the windows that an encoder reads, and their tags' logits put together again. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.tokens import Words
from classifiers.text.windows import Window, cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A window, the words that are judged by it, and where in it their first tokens stand."""

    window: Window
    words: NDArray[np.intp]
    rows: NDArray[np.intp]


def pieces(words: Words, *, room: int, overlap: int, most: int | None = None) -> Iterator[Piece]:
    """At most `most` windows, by default all; each judges the words that lie nearer to its middle than to its
    neighbour's."""
    windows = cut(words.ids, room, overlap)
    firsts = np.array(words.firsts, np.intp)
    stride, half = room - overlap, overlap // 2
    for index, window in enumerate(windows[:most]):
        start = index * stride
        begin = start + half if index else 0
        end = start + stride + half if index + 1 < len(windows) else start + len(window)
        chosen = np.flatnonzero((firsts >= begin) & (firsts < end))
        yield Piece(window=window, words=chosen, rows=firsts[chosen] - start)


def judged(found: Sequence[Piece]) -> int:
    """How many words the pieces judge: all, but for a text that was not read to its end."""
    return sum(len(piece.words) for piece in found)
