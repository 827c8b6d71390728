"""Which labels are most easily taken for each other: those whose names, descriptions and examples lie nearest."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from classifiers.model import Floats
from classifiers.policy import Policy
from classifiers.training.write.speech import name_words, positive

Embed = Callable[[Sequence[str]], Floats]
"""(n,) texts → (n, dimensions) vectors of length 1."""

Neighbours = Mapping[str, Sequence[str]]
"""By label, other labels, the nearest first."""

_MOST = 6


def nearest_labels(policy: Policy, embed: Embed) -> Neighbours:
    """For each label at most six others by the cosine of what the policy says of them."""
    names = list(policy.labels)
    told = [(f"{name_words(name)}: {positive(label.means)}", *label.examples) for name, label in policy.labels.items()]
    vectors = embed([text for texts in told for text in texts])
    starts = np.cumsum([0, *(len(texts) for texts in told)])
    centres = np.stack([vectors[low:high].mean(axis=0) for low, high in pairwise(starts)])
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    cosines = centres @ centres.T
    np.fill_diagonal(cosines, -2.0)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, : min(_MOST, len(names) - 1)]
    return {name: [names[index] for index in row] for name, row in zip(names, order.tolist(), strict=True)}
