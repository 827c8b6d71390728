"""Rows that no system prompt is known of, half of them under a prompt of other rows. Pure.

What is an attack without a prompt is one under any, and everyday text stays harmless; so neither a prompt nor its lack
tells anything by itself.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from classifiers.training.rows import Row

_SHARE = 0.5


def prompted(rows: Sequence[Row], held: NDArray[np.bool_], seed: int) -> list[Row]:
    """The rows in their order. held: (rows,) those that are held out; their prompts stay among them.

    Where no row has a prompt, all stay as they are.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    prompts = {
        side: list(dict.fromkeys(row.system for row, out in zip(rows, held, strict=True) if row.system and out == side))
        for side in (False, True)
    }
    made = []
    for row, out in zip(rows, held.tolist(), strict=True):
        others = prompts[out]
        if others and not row.system and chance.random() < _SHARE:
            made.append(replace(row, system=chance.choice(others)))
        else:
            made.append(row)
    return made
