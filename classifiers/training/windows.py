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

    def highest(self, rows: NDArray[np.intp], weights: Floats, bias: Floats) -> Floats:
        """(rows, classes): of some rows the highest scores that a linear head gives any of their windows."""
        ends = np.append(self.starts[1:], len(self.vectors))
        counts = (ends - self.starts)[rows]
        first = np.cumsum(counts) - counts
        chosen = np.repeat(self.starts[rows] - first, counts) + np.arange(counts.sum())
        found: Floats = np.maximum.reduceat(self.vectors[chosen] @ weights.T + bias, first, axis=0)
        return found


def windows_of(encoder: Encoder, texts: Sequence[str], vectors: Floats, windowing: Windowing) -> Windows:
    """vectors: (texts, dimensions), each text's own by the same encoder, which stands where one window holds it."""
    room = min(windowing.tokens, encoder.max_tokens) - encoder.specials
    overlap = min(windowing.overlap, room - 1)
    counts = np.ones(len(texts), np.intp)
    parts: list[Floats] = []
    for index, text in enumerate(texts):
        cut = read(text, encoder.tokenize, room=room, overlap=overlap, max_windows=_MOST).windows
        counts[index] = max(len(cut), 1)
        parts.append(encoder.encode(cut) if len(cut) > 1 else vectors[index : index + 1])
    return Windows(vectors=np.concatenate(parts), starts=np.cumsum(counts) - counts)
