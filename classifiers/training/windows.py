"""Training rows as the windows in which they will be read: of several, the worst counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Encoder
from classifiers.model import Floats, Windowing
from classifiers.text.spans import read

_MOST = 64
"""Of a row; what lies behind is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """vectors: (windows, dimensions) of length 1; starts: (rows,) where each row's begin, each having one or more."""

    vectors: Floats
    starts: NDArray[np.intp]

    @property
    def owners(self) -> NDArray[np.intp]:
        """(windows,) the row that each is of."""
        return np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=len(self.vectors)))

    def only(self, rows: NDArray[np.intp]) -> "Windows":
        """Those of some rows. rows: ascending."""
        counts = np.bincount(self.owners, minlength=len(self.starts))[rows]
        return Windows(vectors=self.vectors[np.isin(self.owners, rows)], starts=np.cumsum(counts) - counts)


def highest(scores: Floats, starts: NDArray[np.intp]) -> Floats:
    """(windows, …) → (rows, …): of each row the highest that any of its windows has."""
    found: Floats = np.maximum.reduceat(scores, starts, axis=0)
    return found


def each_whole(vectors: Floats) -> Windows:
    """Rows of one window each. vectors: (rows, dimensions)."""
    return Windows(vectors=vectors, starts=np.arange(len(vectors)))


def windows_of(encoder: Encoder, texts: Sequence[str], vectors: Floats, windowing: Windowing) -> Windows:
    """vectors: (texts, dimensions), each text's own by the same encoder, which stands where one window holds it."""
    room = encoder.room(windowing.tokens)
    overlap = min(windowing.overlap, room - 1)
    counts = np.ones(len(texts), np.intp)
    parts: list[Floats] = []
    for index, text in enumerate(texts):
        cut = read(text, encoder.tokenize, room=room, overlap=overlap, max_windows=_MOST).windows
        counts[index] = max(len(cut), 1)
        parts.append(encoder.encode(cut) if len(cut) > 1 else vectors[index : index + 1])
    return Windows(vectors=np.concatenate(parts), starts=np.cumsum(counts) - counts)
