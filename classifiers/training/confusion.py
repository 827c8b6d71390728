"""Confusion matrices with the texts behind each cell. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from classifiers.model import Floats

_WRONG_TEXTS, _RIGHT_TEXTS = 25, 3
_MOST_TEXTS = 4_000
_TEXT_CHARS = 600

_Pair = tuple[int, int]


def one_of(
    names: Sequence[str],
    truths: Sequence[str],
    guesses: Sequence[str],
    texts: Sequence[str],
    confidences: Sequence[float],
    *,
    doubted: Sequence[bool] = (),
) -> dict[str, Any]:
    """Of single-label rows; the sequences but `names` are of equal length.

    Sparse. labels: names; cells: [truth, said, count] by index into them; texts: for each cell some of its rows, of
    errors the most certain, else the least certain. doubted: which rows are not answered, whatever is likeliest; they
    are marked.
    """
    index = {name: place for place, name in enumerate(names)}
    pairs = [[(index[truth], index[guess])] for truth, guess in zip(truths, guesses, strict=True)]
    return _matrix(names, pairs, texts, lambda row, _: confidences[row], doubted)


def any_of(
    labels: Sequence[str],
    truths: Sequence[AbstractSet[str]],
    said: Sequence[AbstractSet[str]],
    texts: Sequence[str],
    scores: Floats,
    *,
    doubted: Sequence[bool],
) -> dict[str, Any]:
    """Of rows with any number of labels, as `one_of` has it, with `none` as a further name.

    A label that holds and was said counts on the diagonal; each that was missed, against each that was said without
    holding, or against `none` where there is nothing on the other side (after Krstinić et al. 2020).
    scores: (n, labels); doubted: whether nothing was said because it was in doubt. A text is as certain as what its
    cell says was said: of `none`, that the label does not hold; of doubt, which is marked, as its highest score.
    """
    names = [*labels, "none"]
    index = {name: place for place, name in enumerate(names)}
    pairs = []
    for true, named in zip(truths, said, strict=True):
        missed, extra = sorted(true - named), sorted(named - true)
        found = [(name, name) for name in sorted(true & named)]
        if missed or extra or not found:
            found += [(one, other) for one in missed or ["none"] for other in extra or ["none"]]
        pairs.append([(index[one], index[other]) for one, other in found])
    none = len(labels)

    def certain(row: int, pair: _Pair) -> float:
        true, other = pair
        if other != none:
            return float(scores[row, other])
        if doubted[row] or true == none:
            highest = float(scores[row].max(initial=0.0))
            return highest if doubted[row] else 1 - highest
        return 1 - float(scores[row, true])

    return _matrix(names, pairs, texts, certain, doubted)


def _matrix(
    names: Sequence[str],
    pairs: Sequence[Iterable[_Pair]],
    texts: Sequence[str],
    certain: Callable[[int, _Pair], float],
    doubted: Sequence[bool],
) -> dict[str, Any]:
    rows: dict[_Pair, list[int]] = defaultdict(list)
    for row, found in enumerate(pairs):
        for pair in found:
            rows[pair].append(row)
    left = _MOST_TEXTS
    shown: dict[_Pair, list[dict[str, Any]]] = {}
    # errors first: they are what texts are wanted for
    for pair in sorted(rows, key=lambda cell: (cell[0] == cell[1], cell)):
        right = pair[0] == pair[1]
        sure = {row: certain(row, pair) for row in rows[pair]}
        order = sorted(sure, key=sure.__getitem__, reverse=not right)
        kept = order[: min(left, _RIGHT_TEXTS if right else _WRONG_TEXTS)]
        left -= len(kept)
        shown[pair] = [
            {
                "text": shortened(texts[row]),
                "confidence": round(float(sure[row]), 4),
                **({"doubt": True} if doubted and doubted[row] else {}),
            }
            for row in kept
        ]
    cells = sorted(rows)
    return {
        "labels": list(names),
        "cells": [[*pair, len(rows[pair])] for pair in cells],
        "texts": [shown[pair] for pair in cells],
    }


def shortened(text: str) -> str:
    """A text as a report shows it: its first 600 characters."""
    return text if len(text) <= _TEXT_CHARS else text[: _TEXT_CHARS - 1] + "…"
