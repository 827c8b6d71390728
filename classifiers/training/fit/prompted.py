"""Rows that no system prompt is known of, half of them under a prompt of other rows too. Pure.

What is an attack without a prompt is one under any, and everyday text stays harmless; so neither a prompt nor its lack
tells anything by itself.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from classifiers.policy import PolicyTest
from classifiers.training.clean import key
from classifiers.training.rows import Row

_SHARE = 0.5


def told_under_prompts(rows: Iterable[Row], tests: Iterable[PolicyTest]) -> set[str]:
    """The keys of texts of which some row, or a test, says what they are under a prompt."""
    return {key(row.text) for row in rows if row.system} | {key(test.text) for test in tests if test.system}


def prompted(rows: Sequence[Row], held: NDArray[np.bool_], seed: int, tests: Iterable[PolicyTest] = ()) -> list[Row]:
    """The rows in their order, then copies of some under a prompt. held: (rows,) those that are held out; each is
    measured once, half of them under a prompt of another of them, and there are no copies of these.

    Where no row has a prompt, all stay as they are; so do texts of which some row, or a test, says what they are under
    one.
    """
    told = told_under_prompts(rows, tests)
    chance = random.Random(seed)  # noqa: S311 - no secret
    prompts = {
        side: list(dict.fromkeys(row.system for row, out in zip(rows, held, strict=True) if row.system and out == side))
        for side in (False, True)
    }
    made, copies = [], []
    for row, out in zip(rows, held.tolist(), strict=True):
        others = prompts[out]
        if others and not row.system and chance.random() < _SHARE and key(row.text) not in told:
            under = replace(row, system=chance.choice(others))
            made.append(under if out else row)
            copies += [] if out else [under]
        else:
            made.append(row)
    return [*made, *copies]
