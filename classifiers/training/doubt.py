"""Rows whose text speaks for another label than theirs. Pure.

Three witnesses are heard of each row, none of which has seen its label: a fit on other folds, where it is as certain of
the other label as it is of that label's own rows (confident learning: Northcutt, Jiang and Chuang 2021), the nearest
rows of other groups, and the labels' descriptions. Two or three that name the same other label put a row in doubt.

What becomes of it depends on whose word it is. Sentences that a teacher wrote are relabelled where all three agree and
dropped where two do. Rows of the user's own are what the classifier is for: they count less, and are listed for their
owner to judge. The author's own examples stay as they are, and are listed. What this buys where labels are wrong, and
costs where they are right, is in benchmarks/results/writing.md.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats
from classifiers.policy import OTHER, Policy
from classifiers.training import calibrate
from classifiers.training.fit import linear
from classifiers.training.fit.linear import Ints
from classifiers.training.rows import Origin, Row
from classifiers.training.split import folds
from classifiers.training.write.speech import name_words, positive

Done = Literal["relabelled", "dropped", "weakened", "kept"]

WRITTEN: frozenset[Origin] = frozenset({"teacher", "file"})
_REVIEWED: frozenset[Origin] = WRITTEN | {"policy", "data"}
_WITNESSES = ("cross-validation", "neighbours", "description")
_ENOUGH = 2
_WEAKENED = 0.2
_FOLDS = 5
_NEIGHBOURS = 10
_NEARER = 10.0
"""How much faster than the cosine a neighbour's vote falls: e for a tenth."""
_CHUNK = 512
_MOST_CELLS = 20_000_000
"""Rows times classes, beyond which nobody waits for a review."""
_SILENT = -1
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A row in doubt: whose it is, the label that speaks from its text, who says so, and what became of it."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """For each asked row the class that a witness names, or -1 where it is silent: (n,) each."""

    fitted: Ints
    near: Ints
    described: Ints

    def against(self, own: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """instead: (n,) the class other than its own that the fit names, or -1; agreed: (3, n) who names it."""
        instead = np.where(self.fitted == own, _SILENT, self.fitted)
        said = np.stack([self.fitted, self.near, self.described])
        return instead, (said == instead) & (instead >= 0)


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
    No label loses its last row. Beyond 20 million rows times classes nothing is reviewed.
    """
    classes = (*policy.labels, OTHER)
    if len(rows) * len(classes) > _MOST_CELLS:
        return Reviewed(rows=tuple(rows), vectors=vectors, doubts=())
    place = {name: index for index, name in enumerate(classes)}
    labels = np.array([place[row.labels[0]] for row in rows], np.int32)
    asked = np.flatnonzero([row.probe for row in rows])
    own = labels[asked]
    heard = Heard(
        fitted=confident(_held_out(rows, vectors, labels, len(classes), seed)[asked], own),
        near=neighbours(vectors, labels, [row.group for row in rows], asked, len(classes)),
        described=(vectors[asked] @ descriptions.T).argmax(axis=1).astype(np.int32),
    )
    instead, agreed = heard.against(own)
    doubts: list[Doubt] = []
    left = Counter(labels.tolist())
    made: list[Row | None] = list(rows)
    for index in np.flatnonzero(agreed.sum(axis=0) >= _ENOUGH).tolist():
        row = rows[asked[index]]
        if row.source not in _REVIEWED:
            continue
        done = _done(row, unanimous=bool(agreed[:, index].all()), last=left[own[index]] == 1)
        told = classes[instead[index]]
        made[asked[index]] = _changed(row, told, done)
        left[own[index]] -= done in {"relabelled", "dropped"}
        witnesses = tuple(name for name, says in zip(_WITNESSES, agreed[:, index], strict=True) if says)
        doubts.append(
            Doubt(
                text=row.text,
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


def confident(logits: Floats, own: Ints) -> Ints:
    """(n,) the likeliest class by held-out logits (n, classes), where it is as likely as it is on average for rows that
    carry it; else -1."""
    scaled = logits * np.float32(calibrate.temperature(logits, own))
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    mine = shares[np.arange(len(own)), own]
    rows = np.bincount(own, minlength=logits.shape[1])
    usual = np.bincount(own, mine, minlength=logits.shape[1]) / np.maximum(rows, 1)
    usual[rows == 0] = np.inf
    best = shares.argmax(axis=1)
    sure = shares[np.arange(len(own)), best] >= usual[best]
    return np.where(sure, best, _SILENT).astype(np.int32)


def neighbours(vectors: Floats, labels: Ints, groups: Sequence[str], asked: NDArray[np.intp], count: int) -> Ints:
    """(n,) the class below `count` that most of an asked row's nearest rows of other groups carry, nearer ones more."""
    group = np.unique(np.array(groups), return_inverse=True)[1]
    most = min(_NEIGHBOURS, len(vectors))
    named = np.full(len(asked), _SILENT, np.int32)
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
    return named


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
        "shown": [asdict(one) for one in doubts[:_SHOWN]],
    }
