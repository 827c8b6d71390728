"""Folds and held-out scores: each row is scored once by a fit that saw neither it nor its group."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifiers.model.model import Bools, Floats, Head, Nearest
from classifiers.runtime import heads
from classifiers.training.clean import key
from classifiers.training.fit import linear
from classifiers.training.fit.linear import Ints
from classifiers.training.rows import PICKED, REAL, Row
from classifiers.training.windows import Windows, each_whole


def folds(rows: Sequence[Row], count: int, seed: int) -> NDArray[np.int32]:
    """(rows,) the fold 0..count-1 of each row: seeded, whole groups, labels spread as evenly as groups allow. Groups
    are dealt label by label, the rarest first, each to the fold with fewest rows of that label."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        members[row.group].append(index)
    stratum = {
        group: Counter(rows[index].labels for index in indexes).most_common(1)[0][0]
        for group, indexes in members.items()
    }
    by_stratum: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for group in members:
        by_stratum[stratum[group]].append(group)
    chance = random.Random(seed)  # noqa: S311 - no secret
    fold_of: NDArray[np.int32] = np.zeros(len(rows), np.int32)
    size = [0] * count
    for _, groups in sorted(by_stratum.items(), key=lambda item: (len(item[1]), item[0])):
        chance.shuffle(groups)
        held = [0] * count
        for group in sorted(groups, key=lambda name: -len(members[name])):
            fold = min(range(count), key=lambda index: (held[index], size[index], index))
            fold_of[members[group]] = fold
            held[fold] += len(members[group])
            size[fold] += len(members[group])
    return fold_of


_DIGITS = re.compile(r"\d+")


def held_together(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows, with users' rows of one label that are the same but for digits, case and marks in one group. So a
    message that comes again with another number is never both learned and measured."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    groups = np.unique([row.group for row in rows], return_inverse=True)[1]
    first: dict[tuple[tuple[str, ...], str], int] = {}
    leaders = np.arange(len(rows))
    for index, row in enumerate(rows):
        if row.source in REAL | PICKED:
            leaders[index] = first.setdefault((row.labels, _DIGITS.sub("0", key(row.text))), index)
    pairs = coo_array((np.ones(len(rows), bool), (groups, groups[leaders])), shape=(len(rows), len(rows)))
    groups = connected_components(pairs, directed=False)[1][groups]
    names: dict[int, str] = {}
    return tuple(
        replace(row, group=names.setdefault(group, row.group)) for row, group in zip(rows, groups.tolist(), strict=True)
    )


SHARPNESS = (20.0, 30.0, 40.0)
_FOLDS, _FEWER_FOLDS = 5, 3
_MANY_CELLS = 400_000
"""Rows times classes from which a fit takes more than a second."""
_MOST_CELLS = 4_000_000
"""The most rows times classes whose scores are kept; with thousands of labels, rows are drawn."""
_NO_VOTE = -60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt:
    """folds: (rows,) the fold of each row, whole groups; number: how many folds are held out; later ones never are."""

    folds: Ints
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Held-out scores of the rows that are like users' messages. rows: (n,) their indexes. logits: (n, classes) of the
    linear head; votes: by sharpness, (n, classes) of the nearest sentences at share 1."""

    rows: NDArray[np.intp]
    logits: Floats
    votes: dict[float, Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutWindows:
    """Multi-label held-out scores. rows: (n,); logits: (windows, classes) of the rows' windows; starts: (n,) the first
    window of each row."""

    rows: NDArray[np.intp]
    logits: Floats
    starts: NDArray[np.intp]

    def amid(self, calm: NDArray[np.intp], seed: int) -> "HeldOutWindows":
        """The same rows, then each once more among some that are calm: as many windows more have as many chances. calm:
        places among the rows of ordinary text without a label. Where there are none, the rows as they are."""
        if not len(calm):
            return self
        chance, ends = np.random.default_rng(seed), np.append(self.starts[1:], len(self.logits))
        counts = chance.choice(_AMONG, len(self.rows))
        each = [
            np.concatenate([np.arange(self.starts[row], ends[row]) for row in (place, *chance.choice(calm, count))])
            for place, count in enumerate(counts)
        ]
        lengths = np.concatenate([ends - self.starts, [len(windows) for windows in each]])
        return HeldOutWindows(
            rows=np.concatenate([self.rows, self.rows]),
            logits=np.concatenate([self.logits, self.logits[np.concatenate(each)]]),
            starts=np.cumsum(lengths) - lengths,
        )


_AMONG = (1, 3, 10, 30)
"""Other texts around a held-out one: a message of two sentences, a page."""


def one_of(
    rows: Sequence[Row],
    vectors: Floats,
    classes: Ints,
    *,
    weights: Floats,
    count: int,
    seed: int,
    advance: Callable[[int, int], None],
    unseen: Bools | None = None,
    dealt: Dealt | None = None,
) -> HeldOut:
    """Single-label. Arguments as of `fit.linear.one_of`; advance: called with folds done and in all. unseen: (rows,)
    those that the encoder itself was not tuned on; no others are held out then. dealt: the folds, where they are known
    already. No row is held out with all others of its class, for the fit would not know the class; unless all rows
    would be."""
    folded = dealt or deal(rows, count, seed, unseen)
    fold_of, number = folded.folds, folded.number
    # the lowest and the highest fold of each class
    low, high = np.full(count, number), np.zeros(count, fold_of.dtype)
    np.minimum.at(low, classes, fold_of)
    np.maximum.at(high, classes, fold_of)
    held, learned = fold_of < number, (low < high)[classes]
    asked = _asked(rows, held & learned, count, seed)
    if not len(asked):
        asked = _asked(rows, held, count, seed)
    logits = np.zeros((len(asked), count), np.float32)
    votes = {sharpness: np.full((len(asked), count), _NO_VOTE, np.float32) for sharpness in SHARPNESS}
    for train, here in _in_turn(folded, fold_of[asked], advance):
        test = asked[here]
        fitted = linear.one_of(vectors[train], classes[train], weights[train], count, seed)
        logits[here] = vectors[test] @ fitted.weights.T + fitted.bias
        cosines = vectors[test] @ fitted.exemplars.T
        present, owners = np.unique(fitted.owners, return_inverse=True)
        for sharpness in SHARPNESS:
            vote = Nearest(owners=owners.astype(np.int32), sharpness=sharpness, share=1.0)
            votes[sharpness][np.ix_(here, present)] = heads.votes(vote, cosines)
    return HeldOut(rows=asked, logits=logits, votes=votes)


LEFT_OUT, LEAST_LEFT_OUT = 3, 9
"""Into how many parts labels are dealt, of which each is left out once; and the fewest labels of which that is done: of
fewer, what is left is another task."""


def parts_left_out(count: int, labels: int, seed: int) -> Ints:
    """(count,) which part of the labels, the first classes, each is of; -1 of the others."""
    part_of = np.full(count, -1, np.int32)
    part_of[:labels] = np.random.default_rng(seed).permutation(labels) % LEFT_OUT
    return part_of


def left_out(
    rows: Sequence[Row],
    vectors: Floats,
    classes: Ints,
    *,
    weights: Floats,
    count: int,
    labels: int,
    sharpness: float,
    seed: int,
) -> HeldOut | None:
    """The rows of each label as text out of scope, by fits without any; None where the labels are too few. Arguments as
    of `one_of`. labels: how many of the classes are labels, the first ones; sharpness: of the votes."""
    if labels < LEAST_LEFT_OUT:
        return None
    part_of = parts_left_out(count, labels, seed)
    asked = _asked(rows, classes < labels, count, seed)
    logits = np.zeros((len(asked), count), np.float32)
    votes = np.full((len(asked), count), _NO_VOTE, np.float32)
    for part in range(LEFT_OUT):
        train, here = part_of[classes] != part, part_of[classes[asked]] == part
        if here.any() and train.any():
            test = asked[here]
            fitted = linear.one_of(vectors[train], classes[train], weights[train], count, seed)
            logits[here] = vectors[test] @ fitted.weights.T + fitted.bias
            present, owners = np.unique(fitted.owners, return_inverse=True)
            vote = Nearest(owners=owners.astype(np.int32), sharpness=sharpness, share=1.0)
            votes[np.ix_(here, present)] = heads.votes(vote, vectors[test] @ fitted.exemplars.T)
    return HeldOut(rows=asked, logits=logits, votes={sharpness: votes})


def any_of(
    rows: Sequence[Row],
    vectors: Floats,
    holds: NDArray[np.bool_],
    *,
    weights: Floats,
    fit: Callable[[Floats, Bools, Floats], Head],
    seed: int,
    advance: Callable[[int, int], None],
    unseen: Bools | None = None,
    windows: Windows | None = None,
    dealt: Dealt | None = None,
) -> HeldOutWindows:
    """Multi-label. fit: vectors, holds and weights of rows → their head; unseen: as of `one_of`. windows: of the rows,
    where not each is judged whole. dealt: the folds, where they are known already."""
    dealt = dealt or deal(rows, holds.shape[1], seed, unseen)
    asked = _asked(rows, dealt.folds < dealt.number, holds.shape[1], seed)
    shown = (windows or each_whole(vectors)).only(asked)
    logits = np.zeros((len(shown.vectors), holds.shape[1]), np.float32)
    for train, here in _in_turn(dealt, dealt.folds[asked][shown.owners], advance):
        logits[here] = fit(vectors[train], holds[train], weights[train]).logits(shown.vectors[here])
    return HeldOutWindows(rows=asked, logits=logits, starts=shown.starts)


def _in_turn(dealt: Dealt, held: Ints, advance: Callable[[int, int], None]) -> Iterator[tuple[Bools, Bools]]:
    """For each fold: which rows are fitted on, and which of `held`, the folds of what is asked, are scored."""
    for fold in range(dealt.number):
        train, here = dealt.folds != fold, held == fold
        if here.any() and train.any():
            yield train, here
        advance(fold + 1, dealt.number)


def deal(rows: Sequence[Row], classes: int, seed: int, unseen: Bools | None = None) -> Dealt:
    """The folds of rows; unseen: as of `one_of`."""
    if unseen is not None:
        return Dealt(folds=np.where(unseen, 0, 1).astype(np.int32), number=1)
    number = _FOLDS if len(rows) * classes <= _MANY_CELLS else _FEWER_FOLDS
    number = max(2, min(number, len({row.group for row in rows})))
    return Dealt(folds=folds(rows, number, seed), number=number)


def _asked(rows: Sequence[Row], dealt: Bools, classes: int, seed: int) -> NDArray[np.intp]:
    """The indexes, ascending, of the rows that are like users' messages and are held out once."""
    probes = np.flatnonzero(np.array([row.probe for row in rows]) & dealt)
    most = max(1, _MOST_CELLS // classes)
    return probes if len(probes) <= most else np.sort(np.random.default_rng(seed).choice(probes, most, replace=False))
