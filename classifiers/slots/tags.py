"""Tags of words, inside-outside-beginning: 0 is outside, slot k begins with 1 + 2k and goes on with 2 + 2k. Pure.

Of all sequences of tags the likeliest is chosen in which nothing goes on that has not begun (Viterbi).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats

OUTSIDE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A slot's place in a text: characters start..end (exclusive)."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Words first..last (inclusive) that make up slot number `slot`. confidence: 0..1, of its least certain word."""

    slot: int
    first: int
    last: int
    confidence: float


def count(slots: int) -> int:
    """How many tags so many slots have."""
    return 1 + 2 * slots


def of_places(places: Sequence[tuple[int, int]], marks: Sequence[Mark], slots: Sequence[str]) -> list[int]:
    """The tag of each word. places: its characters; a word that a mark covers in part belongs to it."""
    tags = [OUTSIDE] * len(places)
    for mark in marks:
        inside = [index for index, (start, end) in enumerate(places) if start < mark.end and end > mark.start]
        for index in inside:
            tags[index] = 1 + 2 * slots.index(mark.name) + (index > inside[0])
    return tags


def runs(logits: Floats, allowed: NDArray[np.bool_] | None = None) -> list[Run]:
    """logits: (words, tags) → the slots of the likeliest sequence, in order.

    allowed: (slots,) which slots may be found at all.
    """
    if not len(logits):
        return []
    logs = logits - logits.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    if allowed is not None:
        logs[:, 1:] = np.where(np.repeat(allowed, 2), logs[:, 1:], -np.inf)
    tags = _likeliest(logs)
    shares = np.exp(logs[np.arange(len(tags)), tags])
    found: list[Run] = []
    for index, tag in enumerate(tags):
        share = float(shares[index])
        if tag == OUTSIDE:
            continue
        if tag % 2:
            found.append(Run(slot=(tag - 1) // 2, first=index, last=index, confidence=share))
        else:
            begun = found.pop()
            found.append(Run(slot=begun.slot, first=begun.first, last=index, confidence=min(begun.confidence, share)))
    return found


def _likeliest(logs: Floats) -> list[int]:
    """logs: (words, tags) → the best path's tags. To go on, a slot must have begun or gone on one word before."""
    words, tags = logs.shape
    begins, goes_on = np.arange(1, tags, 2), np.arange(2, tags, 2)
    best = logs[0].astype(np.float64)
    best[goes_on] = -np.inf
    came = np.zeros((words, tags), np.intp)
    for index in range(1, words):
        top = int(best.argmax())
        came[index] = top
        step = np.full(tags, best[top])
        before = np.where(best[begins] >= best[goes_on], begins, goes_on)
        step[goes_on], came[index, goes_on] = best[before], before
        best = step + logs[index]
    tag = int(best.argmax())
    path = [tag]
    for index in range(words - 1, 0, -1):
        tag = int(came[index, tag])
        path.append(tag)
    return path[::-1]
