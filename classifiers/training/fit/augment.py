"""Copies of rows among other text: inside harmless text, under a system prompt, or amid some words. Pure.

Rows are mostly a sentence or two, so an encoder tuned on them alone learns that text of several matters is harmless.
Harmless rows are put inside such text as often as harmful ones: that there is any, or how much, tells nothing.

Half of the rows without a known system prompt get another row's prompt, so that the presence of a prompt carries no
signal.
"""

import math
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from classifiers.policy import PolicyTest
from classifiers.text.windows import units
from classifiers.training.clean import key
from classifiers.training.rows import Row

_PROMPTED_SHARE, _SURROUNDED_SHARE = 0.5, 0.08
_LEAST = 20
"""Rows that may stand around others; of fewer the same ones would stand everywhere."""
_WORDS = (16, 400)
"""Around a row: as many texts get 16 to 32 as 200 to 400."""
_FEW_WORDS = (6, 26)
"""Around a row in a window of 30 tokens."""
_LONG_WORDS = 16
"""Characters; words as long as that on average, with the blanks between, are none."""
_SHORTEST = 6
"""Words of a text that is parted."""
_MOST_PARTS = 9_000
"""Sentences of harmless rows; more of them tell no more."""
_QUOTES = re.compile(r"[\"“”«»‘`]|(?<!\w)'")
_JOINTS = (" ", "\n", "\n\n")
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+")


def known_under_prompts(rows: Iterable[Row], tests: Iterable[PolicyTest]) -> set[str]:
    """The keys of texts of which some row, or a test, says what they are under a prompt."""
    return {key(row.text) for row in rows if row.system} | {key(test.text) for test in tests if test.system}


def prompted(rows: Sequence[Row], held: NDArray[np.bool_], seed: int, tests: Iterable[PolicyTest] = ()) -> list[Row]:
    """The rows in their order, then copies of some under a prompt. held: (rows,) those that are held out; each is
    measured once, half of them under a prompt of another of them, and there are no copies of these. Where no row has a
    prompt, all stay as they are; so do texts of which some row, or a test, says what they are under one."""
    known = known_under_prompts(rows, tests)
    chance = random.Random(seed)  # noqa: S311 - no secret
    prompts = {
        side: list(dict.fromkeys(row.system for row, out in zip(rows, held, strict=True) if row.system and out == side))
        for side in (False, True)
    }

    def under(row: Row, out: bool) -> Row | None:
        some = prompts[out] and not row.system and chance.random() < _PROMPTED_SHARE and key(row.text) not in known
        return replace(row, system=chance.choice(prompts[out])) if some else None

    return _with_copies(rows, held, under)


def surrounded(
    rows: Sequence[Row], held: NDArray[np.bool_], seed: int, *, spared: AbstractSet[str] = frozenset()
) -> list[Row]:
    """The rows in their order, then copies of some inside text of harmless rows of the same side. held: (rows,) those
    that are held out; each of them is measured once, some inside such text, and there are no copies of these.

    Rows under a system prompt stay as they are, and surround none: what is harmless there may not be so elsewhere. So
    do rows of which the key is in `spared`.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    around: dict[bool, list[Row]] = {False: [], True: []}
    for row, out in zip(rows, held.tolist(), strict=True):
        if _is_fit(row, spared) and not (row.labels or row.against):
            around[out].append(row)

    def inside(row: Row, out: bool) -> Row | None:
        some = len(around[out]) >= _LEAST and _is_fit(row, spared) and chance.random() < _SURROUNDED_SHARE
        return replace(row, text=_inside(row.text, around[out], chance), marks=None) if some else None

    return _with_copies(rows, held, inside)


def _with_copies(rows: Sequence[Row], held: NDArray[np.bool_], change: Callable[[Row, bool], Row | None]) -> list[Row]:
    """The rows, the held-out ones as they are changed, then changed copies of the others. change: None leaves a row."""
    made, copies = [], []
    for row, out in zip(rows, held.tolist(), strict=True):
        changed = change(row, out)
        made.append(changed if changed and out else row)
        copies += [changed] if changed and not out else []
    return [*made, *copies]


def amid(
    rows: Sequence[Row], folds: NDArray[np.int32], seed: int, *, spared: AbstractSet[str] = frozenset()
) -> tuple[list[Row], NDArray[np.intp]]:
    """The rows, then copies of them in the midst of some words of harmless rows; a row and its copy count half each.

    folds: (rows,) in which each is held out; what is around a row is of its own fold. Copies are there to learn from:
    of rows with weight, amid such rows' words. With them come the indexes of the rows that they are of, ascending.

    A head on a frozen encoder reads windows that begin and end anywhere, so it is to know a row by what lies in it and
    not by all that a vector says. Rows that `surrounded` leaves alone have no copy, nor has text in a script without
    blanks, of which a few words would be pages.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    fit = [row.weight > 0 and _is_fit(row, spared) and _has_words(row.text) for row in rows]
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


def harmless_parts(rows: Sequence[Row], seed: int) -> tuple[list[Row], NDArray[np.intp]]:
    """Sentences of harmless rows as rows of their own, and the indexes of the rows that they are of. What a harmless
    row quotes may be harmful by itself, so rows with quotation marks are left out. Parts are there to learn from and
    stand for no message."""
    known = {key(row.text) for row in rows if row.labels}
    found: dict[str, int] = {}
    for index, row in enumerate(rows):
        if not (row.labels or row.against or row.digest or _QUOTES.search(row.text)):
            parts = units(row.text)
            for part in parts if len(parts) > 1 else ():
                if key(part) not in known:
                    found.setdefault(part, index)
    chance = random.Random(seed)  # noqa: S311 - no secret
    drawn = chance.sample(sorted(found), min(_MOST_PARTS, len(found)))
    owners = [found[part] for part in drawn]
    made = [replace(rows[index], text=part, marks=None, probe=False) for part, index in zip(drawn, owners, strict=True)]
    return made, np.array(owners, np.intp)


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


def recombined(texts: Sequence[str], count: int, seed: int, *, everyday: Sequence[str]) -> list[str]:
    """Text without labels: parts of texts, and texts next to each other, are neither the texts nor far from them.
    `count` of it, or less where there is little to combine; the same for the same texts and seed. everyday: what may
    stand beside them."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    known, made = set(texts), dict[str, None]()
    for turn in range(4 * count if texts else 0):
        one, other = chance.choice(texts), chance.choice(texts)
        text = _combined(turn % 5, one, other, chance, everyday)
        if text and text not in known:
            made[text] = None
        if len(made) == count:
            break
    return list(made)


def _combined(way: int, one: str, other: str, chance: random.Random, everyday: Sequence[str]) -> str:
    match way:
        case 0:
            return f"{one} {other}"
        case 1:
            return f"{_halves(one)[0]} {_halves(other)[1]}".strip()
        case 2 | 3:
            return _halves(one)[way - 2]
    pair = [one, chance.choice(everyday)] if everyday else []
    chance.shuffle(pair)
    return " ".join(pair)


def _halves(text: str) -> tuple[str, str]:
    words = text.split()
    middle = len(words) // 2
    return (" ".join(words[:middle]), " ".join(words[middle:])) if len(words) >= _SHORTEST else ("", "")
