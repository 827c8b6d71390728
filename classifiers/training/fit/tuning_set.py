"""What an encoder is tuned on: rows, what holds of each, and whole groups of them that it is not to see. Pure.

The head that fine-tuning begins with comes from the frozen encoder's vectors: centroids, or logistic regressions where
several labels may hold. A softmax leaves hardly any error to learn from (docs/design/001-heads-and-thresholds.md).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import SystemPrompts
from classifiers.errors import TrainingError
from classifiers.model.model import Floats
from classifiers.policy import OTHER, Policy
from classifiers.training.fit.augment import known_under_prompts, prompted, surrounded
from classifiers.training.fit.fitted import classes_of
from classifiers.training.fit.linear import any_of
from classifiers.training.rows import Row
from classifiers.training.split import folds

_STRENGTH, _SHARPNESS = 5.0, 20.0
_HELD_OUT = 600
"""Rows to calibrate on, where a tenth of all is more; a fifth where that is fewer."""
_LARGEST = 1.5
"""Times its share of the rows that a fold may hold to be the one that is held out."""
SYSTEM_TOKENS = 64
"""Of a system prompt, beside each window. A window of 32 tokens takes three times as long with all of them."""


def fit(vectors: Floats, targets: Floats, weights: Floats, *, multi_label: bool) -> tuple[Floats, Floats]:
    """vectors: (n, dimensions) of length 1; targets: (n, classes) → weights (classes, dimensions), bias (classes,)."""
    if multi_label:
        return any_of(vectors, targets >= 0.5, weights, _STRENGTH)
    return centroids(vectors, targets, weights)


def centroids(vectors: Floats, targets: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Single-label: the mean vector of each class, as long as a head's weights are. Arguments as of `fit`."""
    matrix = np.zeros((targets.shape[1], vectors.shape[1]), np.float32)
    np.add.at(matrix, targets.argmax(axis=1), vectors * weights[:, None])
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    return (_SHARPNESS * matrix).astype(np.float32), np.zeros(targets.shape[1], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningSet:
    """What an encoder is tuned on. rows: a policy's own ones first; targets: (rows, classes) 0..1; held: (rows,) what
    it is not to see; system_tokens: how many of the system prompt are read with each text."""

    rows: Sequence[Row]
    targets: Floats
    held: NDArray[np.bool_]
    multi_label: bool
    system_tokens: int = 0

    @property
    def measured(self) -> NDArray[np.bool_]:
        """(rows,) what stands for users' messages; all where there is none of it among the held-out rows."""
        like = np.array([row.probe and (row.source != "builtin" or row.labels != (OTHER,)) for row in self.rows], bool)
        return like if (like & self.held).any() else np.ones(len(self.rows), bool)


def held_out(rows: Sequence[Row], seed: int) -> NDArray[np.bool_]:
    """(rows,) what tuning must not see: whole groups, about a tenth, up to a fifth where rows are few.

    Groups in which nothing stands for users' messages (descriptions, values by themselves) are never held out where
    there are others: nothing could be measured on them. Nor is more than half of what a label is learned from, such as
    its description where that is all there is, if other rows can be held out.
    """
    like = {row.group for row in rows if row.probe} or {row.group for row in rows}
    dealt = np.flatnonzero([row.group in like for row in rows])
    share = min(0.2, max(0.1, _HELD_OUT / max(len(dealt), 1)))
    number = max(2, min(round(1 / share), len(like)))
    fold: NDArray[np.int32] = np.full(len(rows), -1, np.int32)
    fold[dealt] = folds([rows[index] for index in dealt.tolist()], number, seed)
    # one huge group would leave little to learn from: its fold is not the one
    sizes = np.bincount(fold[dealt], minlength=number)
    fitting = np.flatnonzero((sizes > 0) & (sizes <= _LARGEST * len(dealt) / number)).tolist() or [0]
    parts = (_spared(rows, fold == one) for one in fitting)
    held = next((part for part in parts if part.any()), fold == fitting[0])
    if held.all() or not held.any():
        raise TrainingError("fine-tuning needs rows of at least two groups")
    return held


def _spared(rows: Sequence[Row], held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(rows,) `held` without the groups that hold rows of labels of which less than half would be left."""
    whole, left = defaultdict[str, float](float), defaultdict[str, float](float)
    for row, unseen in zip(rows, held.tolist(), strict=True):
        for label in row.labels:
            whole[label] += row.weight
            left[label] += 0.0 if unseen else row.weight
    poor = {label for label, weight in whole.items() if left[label] < weight / 2}
    needed = {row.group for row in rows if not poor.isdisjoint(row.labels)}
    spare: NDArray[np.bool_] = np.array([row.group not in needed for row in rows], bool)
    return held & spare


def tuning_set_of(policy: Policy, rows: Sequence[Row], seed: int) -> TuningSet:
    """All that a policy's rows teach, some of them held out. Where several labels may hold, with copies inside other
    text; where system prompts are read, with copies under one."""
    held = held_out(rows, seed)
    spared = known_under_prompts(rows, policy.tests)
    taught = surrounded(rows, held, seed, spared=spared) if policy.multi_label else list(rows)
    taught = prompted(taught, _more(held, taught), seed, policy.tests)
    held = _more(held, taught)
    return TuningSet(
        rows=taught,
        targets=targets_of(policy, taught),
        held=held,
        multi_label=policy.multi_label,
        system_tokens=SYSTEM_TOKENS if policy.reads_system else 0,
    )


def _more(held: NDArray[np.bool_], rows: Sequence[Row]) -> NDArray[np.bool_]:
    """(rows,) which are held out, where those behind the first ones are copies for tuning."""
    return np.concatenate([held, np.zeros(len(rows) - len(held), bool)])


def targets_of(policy: Policy, rows: Sequence[Row]) -> Floats:
    """(rows, classes) 1 where a class holds."""
    classes = classes_of(policy, rows)
    return np.array([[name in row.labels for name in classes] for row in rows], np.float32)


def prompts_of(rows: Sequence[Row], tokens: int) -> SystemPrompts | None:
    """The system prompts that rows were written under, where so many tokens of them are read."""
    return SystemPrompts(systems=[row.system for row in rows], tokens=tokens) if tokens else None
