"""Which rows go together through a transformer: rows of like length, so that little is padding. Pure."""

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BUCKET = 16
"""Batches that are sorted by length together; within, order is chance."""


def shuffled(lengths: Sequence[int], size: int, chance: random.Random) -> list[NDArray[np.intp]]:
    """Batches of up to `size` indexes for one epoch, in random order. lengths: tokens of each row."""
    order = list(range(len(lengths)))
    chance.shuffle(order)
    batches: list[NDArray[np.intp]] = []
    for start in range(0, len(order), size * _BUCKET):
        bucket = sorted(order[start : start + size * _BUCKET], key=lengths.__getitem__)
        batches += [np.array(bucket[at : at + size], np.intp) for at in range(0, len(bucket), size)]
    chance.shuffle(batches)
    return batches


def in_order(lengths: Sequence[int], size: int) -> list[NDArray[np.intp]]:
    """Batches for measuring: the shortest rows first."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return [np.array(order[at : at + size], np.intp) for at in range(0, len(order), size)]
