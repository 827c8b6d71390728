"""Some rows inside harmless text of other rows: what a label means holds of a page as soon as it holds of a part. Pure.

Rows are mostly a sentence or two, so an encoder tuned on them alone learns that text of several matters is harmless.
Harmless rows are put inside such text as often as harmful ones: that there is any, or how much, tells nothing.

Rows that no system prompt is known of, half of them under a prompt of other rows too. Pure.

What is an attack without a prompt is one under any, and everyday text stays harmless; so neither a prompt nor its lack
tells anything by itself.
"""

import math
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from classifiers.policy import PolicyTest
from classifiers.training.clean import key
from classifiers.training.rows import Row

_PROMPTED_SHARE = 0.5


def known_under_prompts(rows: Iterable[Row], tests: Iterable[PolicyTest]) -> set[str]:
    """The keys of texts of which some row, or a test, says what they are under a prompt."""
    return {key(row.text) for row in rows if row.system} | {key(test.text) for test in tests if test.system}


def prompted(rows: Sequence[Row], held: NDArray[np.bool_], seed: int, tests: Iterable[PolicyTest] = ()) -> list[Row]:
    """The rows in their order, then copies of some under a prompt. held: (rows,) those that are held out; each is
    measured once, half of them under a prompt of another of them, and there are no copies of these.

    Where no row has a prompt, all stay as they are; so do texts of which some row, or a test, says what they are under
    one.
    """
    known = known_under_prompts(rows, tests)
    chance = random.Random(seed)  # noqa: S311 - no secret
    prompts = {
        side: list(dict.fromkeys(row.system for row, out in zip(rows, held, strict=True) if row.system and out == side))
        for side in (False, True)
    }
    made, copies = [], []
    for row, out in zip(rows, held.tolist(), strict=True):
        others = prompts[out]
        if others and not row.system and chance.random() < _PROMPTED_SHARE and key(row.text) not in known:
            under = replace(row, system=chance.choice(others))
            made.append(under if out else row)
            copies += [] if out else [under]
        else:
            made.append(row)
    return [*made, *copies]


_SURROUNDED_SHARE = 0.08
_LEAST = 20
"""Rows that may stand around others; of fewer the same ones would stand everywhere."""
_WORDS = (16, 400)
"""Around a row: as many texts get 16 to 32 as 200 to 400."""
_FEW_WORDS = (6, 26)
"""SystemPrompts a row in a window of 30 tokens."""
_LONG_WORDS = 16
"""Characters; words as long as that on average, with the blanks between, are none."""
_JOINTS = (" ", "\n", "\n\n")
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+")


def surrounded(
    rows: Sequence[Row], held: NDArray[np.bool_], seed: int, *, spared: AbstractSet[str] = frozenset()
) -> list[Row]:
    """The rows in their order, then copies of some inside text of harmless rows of the same side. held: (rows,) those
    that are held out; each of them is measured once, some inside such text, and there are no copies of these.

    Rows under a system prompt stay as they are, and surround none: what is harmless there may not be so elsewhere. So
    do rows of which the key is in `spared`.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    around = {
        side: [
            row
            for row, out in zip(rows, held, strict=True)
            if out == side and _is_fit(row, spared) and not (row.labels or row.against)
        ]
        for side in (False, True)
    }
    made, copies = [], []
    for row, out in zip(rows, held.tolist(), strict=True):
        others = around[out]
        if len(others) >= _LEAST and _is_fit(row, spared) and chance.random() < _SURROUNDED_SHARE:
            inside = replace(row, text=_inside(row.text, others, chance), marks=None)
            made.append(inside if out else row)
            copies += [] if out else [inside]
        else:
            made.append(row)
    return [*made, *copies]


def amid(
    rows: Sequence[Row], folds: NDArray[np.int32], seed: int, *, spared: AbstractSet[str] = frozenset()
) -> tuple[list[Row], NDArray[np.intp]]:
    """The rows, then copies of them in the midst of some words of harmless rows; a row and its copy count half each.

    folds: (rows,) in which each is held out; what is around a row is of its own fold. Copies are there to learn from
    and stand for no message. With them come the indexes of the rows that they are of, ascending.

    A head on a frozen encoder reads windows that begin and end anywhere, so it is to know a row by what lies in it and
    not by all that a vector says. Rows that `surrounded` leaves alone have no copy, nor has text in a script without
    blanks, of which a few words would be pages.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    fit = [_is_fit(row, spared) and _has_words(row.text) for row in rows]
    others: dict[int, list[list[str]]] = defaultdict(list)
    for row, fold, good in zip(rows, folds.tolist(), fit, strict=True):
        if good and not (row.labels or row.against):
            others[fold].append(row.text.split())
    made, copies, copied = [], [], []
    for index, (row, fold, good) in enumerate(zip(rows, folds.tolist(), fit, strict=True)):
        around = others[fold]
        if good and len(around) >= _LEAST:
            half = replace(row, weight=row.weight / 2)
            made.append(half)
            copies.append(replace(half, text=_amid(row.text, around, chance), marks=None, probe=False))
            copied.append(index)
        else:
            made.append(row)
    return [*made, *copies], np.array(copied, np.intp)


def _amid(text: str, around: Sequence[Sequence[str]], chance: random.Random) -> str:
    left = chance.randint(*_FEW_WORDS)
    words: list[str] = []
    while len(words) < left:
        words += chance.choice(around)
    place = chance.randint(0, left)
    return " ".join((*words[:place], text, *words[place:left]))


def _has_words(text: str) -> bool:
    return 0 < len(text) <= _LONG_WORDS * len(text.split())


def _is_fit(row: Row, spared: AbstractSet[str]) -> bool:
    return row.probe and not row.system and not row.digest and key(row.text) not in spared


def _inside(text: str, others: Sequence[Row], chance: random.Random) -> str:
    left = round(math.exp(chance.uniform(*map(math.log, _WORDS))))
    sentences: list[str] = []
    while left > 0:
        for sentence in _SENTENCE_ENDS.split(chance.choice(others).text):
            count = max(1, len(sentence.split()))
            sentences.append(sentence if count <= left else " ".join(sentence.split()[:left]))
            left -= count
            if left <= 0:
                break
    sentences.insert(chance.randint(0, len(sentences)), text)
    return chance.choice(_JOINTS).join(sentences)
