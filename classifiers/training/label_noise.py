"""Rows whose text speaks for another label than theirs. Pure.

Three witnesses are heard of each row, none of which has seen its label: a fit on other folds, the nearest rows of other
groups, and the labels' descriptions. A row is in doubt where the fit finds ten labels likelier than its own (or half of
them, where there are fewer than twenty) and none of its ten nearest neighbours carries its label. What merely lies
nearer to another label is left alone: it is what teaches most. Taking out all that a fit is certain is something else
(confident learning: Northcutt, Jiang and Chuang 2021) cost Banking77 1.6 points where every label was right.

Where labels are right, up to 1.4 % of rows are found so; where a tenth is wrong, 6 % and more. Below 3 % they are only
listed. Above, what becomes of a row depends on whose word it is. Sentences that a teacher wrote are relabelled where
all three name the same other label, and dropped otherwise. Rows of the user's own are what the classifier is for: they
count less, and are listed for their owner to judge. The author's own examples stay as they are, and are listed. What
this buys where labels are wrong is in benchmarks/results/writing.md.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.evaluate import shortened
from classifiers.model.model import Floats
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
"""Labels that a fit must find likelier than a row's own; or half of all."""
_NOISE = 0.03
"""Of the rows that others gave: where fewer are in doubt, they are as likely unusual as wrong."""
_WEAKENED = 0.2
_FOLDS = 5
_NEIGHBOURS = 10
_NEARER = 10.0
"""How much faster than the cosine a neighbour's vote falls: e for a tenth."""
_CHUNK = 512
_MOST_CELLS = 20_000_000
"""Rows times classes, beyond which nobody waits for a review."""
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A row in doubt: whose it is, the likeliest label instead, who names just that, and what became of the row."""

    text: str
    label: str
    source: Origin
    writer: str
    instead: str
    witnesses: tuple[str, ...]
    done: Done


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """rows, vectors: what is left to train on; doubts: what was found."""

    rows: tuple[Row, ...]
    vectors: Floats
    doubts: tuple[Doubt, ...]


def described(policy: Policy) -> list[str]:
    """What the policy says of each label, as a text to hold rows against."""
    return [f"{name_words(name)}: {positive(label.means)}" for name, label in policy.labels.items()]


def review(
    policy: Policy,
    rows: Sequence[Row],
    vectors: Floats,
    descriptions: Floats,
    *,
    seed: int,
) -> Reviewed:
    """Hear the witnesses and act on what they say. Single-label policies only.

    vectors: (rows, dimensions), descriptions: (labels, dimensions) of what `described` gives, all of length 1.
    No label loses its last row, and where all rows of a class are of one group, none of them is doubted: no witness has
    seen the class. Beyond 20 million rows times classes nothing is reviewed.
    """
    classes = (*policy.labels, OTHER)
    if len(rows) * len(classes) > _MOST_CELLS:
        return Reviewed(rows=tuple(rows), vectors=vectors, doubts=())
    place = {name: index for index, name in enumerate(classes)}
    labels = np.array([place[row.labels[0]] for row in rows], np.int32)
    asked = np.flatnonzero([row.probe for row in rows])
    own = labels[asked]
    logits = _held_out(rows, vectors, labels, len(classes), seed)[asked]
    likelier = (logits > logits[np.arange(len(asked)), own][:, None]).sum(axis=1)
    near, alike = neighbours(vectors, labels, [row.group for row in rows], asked, len(classes))
    doubtful = (likelier >= min(_LIKELIER, len(np.unique(labels)) // 2)) & (likelier > 0) & (alike == 0)
    groups = Counter(label for label, _ in {(row.labels[0], row.group) for row in rows})
    doubtful &= np.array([groups[rows[index].labels[0]] > 1 for index in asked.tolist()], bool)
    instead = logits.argmax(axis=1)
    agreed = np.stack(
        [np.ones(len(asked), bool), near == instead, (vectors[asked] @ descriptions.T).argmax(axis=1) == instead]
    )
    given = np.array([rows[place].source in _GIVEN for place in asked.tolist()], bool)
    noisy = (doubtful & given).sum() >= _NOISE * given.sum()
    doubts: list[Doubt] = []
    left = Counter(labels.tolist())
    made: list[Row | None] = list(rows)
    for index in np.flatnonzero(doubtful).tolist():
        row = rows[asked[index]]
        if row.source not in _REVIEWED:
            continue
        unanimous, last = bool(agreed[:, index].all()), left[own[index]] == 1
        done = _done(row, unanimous=unanimous, last=last) if noisy else "kept"
        told = classes[instead[index]]
        made[asked[index]] = _changed(row, told, done)
        left[own[index]] -= done in {"relabelled", "dropped"}
        witnesses = tuple(name for name, says in zip(_WITNESSES, agreed[:, index], strict=True) if says)
        doubts.append(
            Doubt(
                text=row.shown,
                label=row.labels[0],
                source=row.source,
                writer=row.writer,
                instead=told,
                witnesses=witnesses,
                done=done,
            )
        )
    keep = [index for index, one in enumerate(made) if one is not None]
    return Reviewed(rows=tuple(one for one in made if one is not None), vectors=vectors[keep], doubts=tuple(doubts))


def neighbours(
    vectors: Floats, labels: Ints, groups: Sequence[str], asked: NDArray[np.intp], count: int
) -> tuple[Ints, Ints]:
    """Of an asked row's nearest rows of other groups: (n,) the class below `count` that most carry, nearer ones more,
    and (n,) how many carry its own."""
    # by number: an array of names would have room for the longest in each place
    number = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    group = np.array([number[name] for name in groups], np.intp)
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


def _held_out(rows: Sequence[Row], vectors: Floats, labels: Ints, count: int, seed: int) -> Floats:
    """(rows, classes) logits of prototypes alone: as good a witness as the whole head, in a tenth of its time."""
    number = max(2, min(_FOLDS, len({row.group for row in rows})))
    fold_of = folds(rows, number, seed)
    weights = np.array([row.weight for row in rows], np.float32)
    logits = np.zeros((len(rows), count), np.float32)
    for fold in range(number):
        train, test = fold_of != fold, fold_of == fold
        if train.any() and test.any():
            matrix, bias = linear.prototypes(vectors[train], labels[train], weights[train], count)
            logits[test] = vectors[test] @ matrix.T + bias
    return logits


def _done(row: Row, *, unanimous: bool, last: bool) -> Done:
    if row.source in WRITTEN:
        return "kept" if last else "relabelled" if unanimous else "dropped"
    return "weakened" if row.source == "data" else "kept"


def _changed(row: Row, label: str, done: Done) -> Row | None:
    if done == "dropped":
        return None
    if done == "relabelled":
        return replace(row, labels=(label,))
    return replace(row, weight=row.weight * _WEAKENED) if done == "weakened" else row


def told(doubts: Sequence[Doubt]) -> dict[str, Any]:
    """For the report: how many of each outcome, and the first of them."""
    return {
        "rows": len(doubts),
        "done": dict(Counter(one.done for one in doubts)),
        "shown": [asdict(one) | {"text": shortened(one.text)} for one in doubts[:_SHOWN]],
    }
