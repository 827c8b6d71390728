"""What lies beside a policy's labels: everyday text that is too near to be out of scope, near misses without a label.

Pure, over rows and their vectors.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats
from classifiers.policy import OTHER, Policy
from classifiers.training.fit.linear import unit
from classifiers.training.rows import Row

_TOO_NEAR = 0.55
"""Cosine to a policy's own text from which an everyday sentence may well be in scope."""

_FAR = 0.35


def in_scope_everyday(policy: Policy, rows: Sequence[Row], vectors: Floats) -> NDArray[np.bool_]:
    """(rows,) which of the built-in writer's out-of-scope rows lie too near to the policy's own text to be that."""
    own = np.array([bool(row.labels) and row.labels != (OTHER,) for row in rows])
    doubtful = np.array([row.source == "builtin" and row.labels in {(OTHER,), ()} and row.probe for row in rows])
    near = np.zeros(len(rows), bool)
    if own.any() and doubtful.any() and policy.kind != "safety":
        near[doubtful] = (vectors[doubtful] @ vectors[own].T).max(axis=1) > _TOO_NEAR
    return near


def place_near_misses(policy: Policy, rows: Sequence[Row], vectors: Floats) -> list[Row | None]:
    """Near misses, given the label they come nearest to among those they may have.

    Such a guess teaches, and is no measure of anything. Where the policy has an `other` and no label is near, that is
    what they are, and no guess; where several labels may hold, they have none then. None for a row without any such.
    Other rows stay as they are.
    """
    labels = list(policy.labels)
    centres = np.zeros((len(labels), vectors.shape[1]), np.float32)
    index = {label: place for place, label in enumerate(labels)}
    for row, vector in zip(rows, vectors, strict=True):
        for label in row.labels:
            if label in index:
                centres[index[label]] += row.weight * vector
    cosines = vectors @ unit(centres).T
    return [row if not row.against else _placed(policy, row, labels, cosines[place]) for place, row in enumerate(rows)]


def _placed(policy: Policy, row: Row, labels: Sequence[str], cosines: Floats) -> Row | None:
    allowed = [place for place, label in enumerate(labels) if label not in row.against]
    best = max(allowed, key=lambda place: cosines[place], default=None)
    if policy.multi_label and (best is None or cosines[best] < _FAR):
        return replace(row, against=())
    if policy.other is not None and (best is None or cosines[best] < _FAR):
        return replace(row, labels=(OTHER,))
    if best is None:
        return None
    # a guess, to learn from but not to measure by
    return replace(row, labels=(labels[best],), weight=row.weight / 2, probe=False)
