"""Label noise: finds rows whose text looks like another label than theirs. Pure.

Three witnesses judge each row, none of which has seen its label: a fit on other folds, the nearest rows of other
groups, and the labels' descriptions. A row is in doubt where the fit finds ten labels likelier than its own (or half of
them, with fewer than twenty labels) and none of its ten nearest neighbours has its label. Rows that are merely nearer
to another label teach most and are left alone. Confident learning (Northcutt, Jiang and Chuang 2021), which removes
every row that a fit disagrees with, cost Banking77 1.6 points where every label was right.

With right labels up to 1.4 % of rows are in doubt, with a tenth of them wrong 6 % and more. Below 3 % they are only
listed. Above, teachers' sentences are relabelled where all three witnesses agree, else dropped; users' rows get less
weight; the author's own examples stay. All are listed. What this gains is in benchmarks/results/writing.md.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.evaluate import shortened
from classifiers.model.model import Bools, Floats
from classifiers.policy import OTHER, Policy
from classifiers.training.fit import linear
from classifiers.training.fit.linear import Ints
from classifiers.training.rows import Origin, Row
from classifiers.training.split import folds
from classifiers.training.write.builtin import name_words, positive

Done = Literal["relabelled", "dropped", "weakened", "kept"]
WRITTEN: frozenset[Origin] = frozenset({"teacher", "file"})
_GIVEN: frozenset[Origin] = WRITTEN | {"data"}
_REVIEWED: frozenset[Origin] = _GIVEN | {"policy"}
_WITNESSES = ("cross-validation", "neighbours", "description")
_LIKELIER = 10
"""Labels that the fit must find likelier than a row's own; or half of all."""
_NOISE = 0.03
"""The share of given rows in doubt below which they are as likely unusual as wrong."""
_WEAKENED = 0.2
_FOLDS = 5
_NEIGHBOURS = 10
_NEARER = 10.0
"""How fast a neighbour's vote falls with its cosine: by a factor e for a tenth."""
_CHUNK = 512
_MOST_CELLS = 20_000_000
"""Rows times classes above which the review would take too long."""
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A row in doubt: its source, the likeliest label instead, the witnesses for that label, and what was done."""

    text: str
    label: str
    source: Origin
    writer: str
    instead: str
    witnesses: tuple[str, ...]
    done: Done


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """rows, vectors: what is left to train on; doubts: the rows in doubt."""

    rows: tuple[Row, ...]
    vectors: Floats
    doubts: tuple[Doubt, ...]


def described(policy: Policy) -> list[str]:
    """A text for each label: its name and description."""
    return [f"{name_words(name)}: {positive(label.means)}" for name, label in policy.labels.items()]


def review(policy: Policy, rows: Sequence[Row], vectors: Floats, descriptions: Floats, *, seed: int) -> Reviewed:
    """Find the rows in doubt and change, drop or keep them. Single-label policies only.

    vectors: (rows, dimensions), descriptions: (labels, dimensions) of `described`, all of length 1. No label loses its
    last row. Classes with one group of rows are not doubted, since no witness has seen them. Beyond 20 million rows
    times classes nothing is reviewed.
    """
    classes = (*policy.labels, OTHER)
    if len(rows) * len(classes) > _MOST_CELLS:
        return Reviewed(rows=tuple(rows), vectors=vectors, doubts=())
    labels = np.array([classes.index(row.labels[0]) for row in rows], np.int32)
    asked = np.flatnonzero([row.probe for row in rows])
    doubtful, instead, agreed = _witnesses(
        rows, vectors, descriptions, labels, asked=asked, count=len(classes), seed=seed
    )
    given = np.array([rows[index].source in _GIVEN for index in asked.tolist()], bool)
    noisy = (doubtful & given).sum() >= _NOISE * given.sum()
    doubts: list[Doubt] = []
    left = Counter(labels.tolist())
    made: list[Row | None] = list(rows)
    for index in np.flatnonzero(doubtful).tolist():
        place = int(asked[index])
        row, own, agrees = rows[place], int(labels[place]), agreed[:, index].tolist()
        if row.source not in _REVIEWED:
            continue
        likeliest = classes[instead[index]]
        done: Done = "kept"
        if noisy and row.source == "data":
            done, made[place] = "weakened", replace(row, weight=row.weight * _WEAKENED)
        elif noisy and row.source in WRITTEN and left[own] > 1:
            left[own] -= 1
            unanimous = all(agrees)
            done = "relabelled" if unanimous else "dropped"
            made[place] = replace(row, labels=(likeliest,)) if unanimous else None
        doubts.append(
            Doubt(
                text=row.shown,
                label=row.labels[0],
                source=row.source,
                writer=row.writer,
                instead=likeliest,
                witnesses=tuple(name for name, agreeing in zip(_WITNESSES, agrees, strict=True) if agreeing),
                done=done,
            )
        )
    keep = [index for index, row in enumerate(made) if row is not None]
    return Reviewed(rows=tuple(filter(None, made)), vectors=vectors[keep], doubts=tuple(doubts))


def _witnesses(
    rows: Sequence[Row],
    vectors: Floats,
    descriptions: Floats,
    labels: Ints,
    *,
    asked: NDArray[np.intp],
    count: int,
    seed: int,
) -> tuple[Bools, NDArray[np.intp], Bools]:
    """Of the rows asked about: (n,) whether each is in doubt, (n,) the likeliest class, (witnesses, n) who agrees."""
    # prototypes are as good a witness as the whole head, in a tenth of the time
    number = max(2, min(_FOLDS, len({row.group for row in rows})))
    fold_of, weights = folds(rows, number, seed), np.array([row.weight for row in rows], np.float32)
    every = np.zeros((len(rows), count), np.float32)
    for fold in range(number):
        train, test = fold_of != fold, fold_of == fold
        if train.any() and test.any():
            matrix, bias = linear.prototypes(vectors[train], labels[train], weights[train], count)
            every[test] = vectors[test] @ matrix.T + bias
    logits = every[asked]
    likelier = (logits > logits[np.arange(len(asked)), labels[asked]][:, None]).sum(axis=1)
    near, alike = neighbours(vectors, labels, [row.group for row in rows], asked, count)
    groups = Counter(label for label, _ in {(row.labels[0], row.group) for row in rows})
    doubtful = (likelier >= min(_LIKELIER, len(np.unique(labels)) // 2)) & (likelier > 0) & (alike == 0)
    doubtful &= np.array([groups[rows[index].labels[0]] > 1 for index in asked.tolist()], bool)
    instead = logits.argmax(axis=1)
    described_as = (vectors[asked] @ descriptions.T).argmax(axis=1)
    return doubtful, instead, np.stack([np.ones(len(asked), bool), near == instead, described_as == instead])


def neighbours(
    vectors: Floats, labels: Ints, groups: Sequence[str], asked: NDArray[np.intp], count: int
) -> tuple[Ints, Ints]:
    """The nearest rows of other groups: (n,) the class most of them have, weighted by nearness, and (n,) how many have
    the row's own class. asked: (n,) places of the rows; count: of classes."""
    group = np.unique(np.array(groups, object), return_inverse=True)[1]
    most = min(_NEIGHBOURS, len(vectors))
    named, alike = np.zeros(len(asked), np.int32), np.zeros(len(asked), np.int32)
    for start in range(0, len(asked), _CHUNK):
        rows = asked[start : start + _CHUNK]
        cosines = vectors[rows] @ vectors.T
        cosines[group[rows][:, None] == group[None]] = -1.0
        nearest = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
        votes = np.zeros((len(rows), count), np.float32)
        each = np.arange(len(rows))
        for column in nearest.T:
            np.add.at(votes, (each, labels[column]), np.exp(_NEARER * (cosines[each, column] - 1)))
        named[start : start + _CHUNK] = votes.argmax(axis=1)
        alike[start : start + _CHUNK] = (
            (labels[nearest] == labels[rows][:, None]) & (group[nearest] != group[rows][:, None])
        ).sum(axis=1)
    return named, alike


def summary(doubts: Sequence[Doubt]) -> dict[str, Any]:
    """For the report: how many of each outcome, and the first of them."""
    return {
        "rows": len(doubts),
        "done": dict(Counter(doubt.done for doubt in doubts)),
        "shown": [asdict(doubt) | {"text": shortened(doubt.text)} for doubt in doubts[:_SHOWN]],
    }
