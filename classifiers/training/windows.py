"""Training rows as the windows in which they will be read: of several, the worst counts, or their mean where one label
is named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Beside, Encoder
from classifiers.encoder.tokens import LONGEST_CHARS_A_TOKEN
from classifiers.model.model import Floats, Windowing
from classifiers.runtime import cascade
from classifiers.text.spans import read

_MOST = 64
"""Of a row; what lies behind is left out."""
_MOST_OF_A_MEAN = 16
"""The same where one label is named: what lies behind seldom changes what a text is about."""
_TOGETHER = 256
"""Texts whose windows are held at once."""


def tuned_windowing(tokens: int) -> Windowing:
    """How a tuned encoder reads a text. tokens: the longest window that it was tuned on, special ones included."""
    return Windowing(tokens=tokens, overlap=tokens // 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """vectors: (windows, dimensions) of length 1; starts: (rows,) where each row's begin, each having one or more."""

    vectors: Floats
    starts: NDArray[np.intp]

    @property
    def owners(self) -> NDArray[np.intp]:
        """(windows,) the row that each is of."""
        return np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=len(self.vectors)))

    @property
    def among(self) -> NDArray[np.intp]:
        """(windows,) how many the row has that each is of."""
        counts = np.diff(self.starts, append=len(self.vectors))
        return np.repeat(counts, counts)

    def only(self, rows: NDArray[np.intp]) -> "Windows":
        """Those of some rows. rows: ascending."""
        counts = np.bincount(self.owners, minlength=len(self.starts))[rows]
        return Windows(vectors=self.vectors[np.isin(self.owners, rows)], starts=np.cumsum(counts) - counts)


def highest(scores: Floats, starts: NDArray[np.intp]) -> Floats:
    """(windows, …) → (rows, …): of each row the highest that any of its windows has."""
    found: Floats = np.maximum.reduceat(scores, starts, axis=0)
    return found


def loudest(scores: Floats, starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """(windows,) → (rows,): of each row the window that has the highest score, the first of equal ones."""
    ends = np.append(starts[1:], len(scores))
    return np.array([start + scores[start:end].argmax() for start, end in zip(starts, ends, strict=True)], np.intp)


def each_whole(vectors: Floats) -> Windows:
    """Rows of one window each. vectors: (rows, dimensions)."""
    return Windows(vectors=vectors, starts=np.arange(len(vectors)))


def windows_of(
    encoder: Encoder, texts: Sequence[str], vectors: Floats, windowing: Windowing, beside: Beside | None = None
) -> Windows:
    """vectors: (texts, dimensions), each text's own by the same encoder, which stands where one window holds it;
    beside: what each window of a text is read beside."""
    room = encoder.room(windowing.tokens, beside.tokens if beside else 0)
    overlap = min(windowing.overlap, room - 1)
    counts = np.ones(len(texts), np.intp)
    parts: list[Floats] = []
    for index, text in enumerate(texts):
        cut = read(text, encoder.tokenize, room=room, overlap=overlap, max_windows=_MOST).windows
        counts[index] = max(len(cut), 1)
        # of text with hardly any tokens, its own vector tells of the beginning only
        if len(cut) > 1 or len(text) > room * LONGEST_CHARS_A_TOKEN:
            system = encoder.system(beside.systems[index], beside.tokens) if beside else []
            parts.append(encoder.encode([encoder.beside(system, window) for window in cut or [()]]))
        else:
            parts.append(vectors[index : index + 1])
    return Windows(vectors=np.concatenate(parts), starts=np.cumsum(counts) - counts)


def parts(encoder: Encoder, text: str) -> Sequence[Sequence[int]]:
    """The windows of a text as they are read where one label is named; an empty one where it has no tokens."""
    windowing = Windowing()
    room = encoder.room(windowing.tokens)
    overlap = min(windowing.overlap, room - 1)
    return read(text, encoder.tokenize, room=room, overlap=overlap, max_windows=_MOST_OF_A_MEAN).windows or [()]


def wholes(encoder: Encoder, texts: Sequence[str], advance: Callable[[int, int], None] | None = None) -> Floats:
    """(texts, dimensions) of length 1: each text as it is judged where one label is named. advance: called with how
    many texts are read and how many there are."""
    vectors = np.empty((len(texts), encoder.dimensions), np.float32)
    for start in range(0, len(texts), _TOGETHER):
        cut = [parts(encoder, text) for text in texts[start : start + _TOGETHER]]
        read_now = encoder.encode(list(chain.from_iterable(cut)))
        end = 0
        for place, windows in enumerate(cut, start):
            end += len(windows)
            lengths = np.array([len(window) for window in windows], np.float32)
            vectors[place] = cascade.whole(read_now[end - len(windows) : end], lengths)[0]
        if advance is not None:
            advance(start + len(cut), len(texts))
    return vectors
