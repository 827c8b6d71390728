"""Training rows as the windows in which they are read: multi-label takes the highest window, single-label the mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Encoder, SystemPrompts
from classifiers.encoder.tokens import LONGEST_CHARS_A_TOKEN
from classifiers.model.model import Floats, Windowing
from classifiers.runtime import cascade
from classifiers.text.spans import read

_MOST = 64
"""The most windows of a row; the rest is left out."""
_TOGETHER = 256
"""Texts whose windows are in memory at once."""


def tuned_windowing(tokens: int) -> Windowing:
    """How a tuned encoder reads a text. tokens: the longest window that it was tuned on, special ones included."""
    return Windowing(tokens=tokens, overlap=tokens // 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """vectors: (windows, dimensions) of length 1; starts: (rows,) the first window of each row."""

    vectors: Floats
    starts: NDArray[np.intp]

    @property
    def owners(self) -> NDArray[np.intp]:
        """(windows,) the row of each window."""
        return np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=len(self.vectors)))

    @property
    def among(self) -> NDArray[np.intp]:
        """(windows,) how many windows the row of each has."""
        counts = np.diff(self.starts, append=len(self.vectors))
        return np.repeat(counts, counts)

    def only(self, rows: NDArray[np.intp]) -> "Windows":
        """The windows of some rows. rows: ascending."""
        counts = np.bincount(self.owners, minlength=len(self.starts))[rows]
        return Windows(vectors=self.vectors[np.isin(self.owners, rows)], starts=np.cumsum(counts) - counts)


def highest(scores: Floats, starts: NDArray[np.intp]) -> Floats:
    """(windows, …) → (rows, …): the highest score of each row's windows."""
    return np.maximum.reduceat(scores, starts, axis=0)


def loudest(scores: Floats, starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """(windows,) → (rows,): the window of each row with the highest score, the first of equal ones."""
    ends = np.append(starts[1:], len(scores))
    return np.array([start + scores[start:end].argmax() for start, end in zip(starts, ends, strict=True)], np.intp)


def each_whole(vectors: Floats) -> Windows:
    """Rows of one window each. vectors: (rows, dimensions)."""
    return Windows(vectors=vectors, starts=np.arange(len(vectors)))


def windows_of(
    encoder: Encoder, texts: Sequence[str], vectors: Floats, windowing: Windowing, prompts: SystemPrompts | None = None
) -> Windows:
    """The windows of texts. vectors: (texts, dimensions) by the same encoder, used for texts of one window; prompts:
    the system prompts that windows are read with."""
    room = encoder.room(windowing.tokens, prompts.tokens if prompts else 0)
    overlap = min(windowing.overlap, room - 1)
    counts = np.ones(len(texts), np.intp)
    parts: list[Floats] = []
    starts = (lambda text: encoder.with_starts(text)[1]) if windowing.units else None
    for index, text in enumerate(texts):
        cut = read(text, encoder.tokenize, room=room, overlap=overlap, max_windows=_MOST, starts=starts).windows
        counts[index] = max(len(cut), 1)
        # the vector of a long text with hardly any tokens covers only its beginning
        if len(cut) > 1 or len(text) > room * LONGEST_CHARS_A_TOKEN:
            system = encoder.system(prompts.systems[index], prompts.tokens) if prompts else []
            parts.append(encoder.encode([encoder.after_system(system, window) for window in cut or [()]]))
        else:
            parts.append(vectors[index : index + 1])
    return Windows(vectors=np.concatenate(parts), starts=np.cumsum(counts) - counts)


def wholes(encoder: Encoder, texts: Sequence[str], advance: Callable[[int, int], None] | None = None) -> Floats:
    """(texts, dimensions) of length 1: the mean vector of each text. advance: called with texts read and in all."""
    vectors = np.empty((len(texts), encoder.dimensions), np.float32)
    for start in range(0, len(texts), _TOGETHER):
        cut = [encoder.cut(text) for text in texts[start : start + _TOGETHER]]
        read_now = encoder.encode(list(chain.from_iterable(cut)))
        end = 0
        for place, windows in enumerate(cut, start):
            end += len(windows)
            lengths = np.array([len(window) for window in windows], np.float32)
            vectors[place] = cascade.whole(read_now[end - len(windows) : end], lengths)[0]
        if advance is not None:
            advance(start + len(cut), len(texts))
    return vectors
