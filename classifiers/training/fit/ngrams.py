"""Fit weights on tokens and pairs of neighbours: tf-idf of length 1, one linear support vector machine a class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.ngrams import Keys, NGrams, keys_of
from classifiers.model import Floats
from classifiers.training.fit.linear import Ints

C = 1.0
MOST_CELLS = 16_000_000
"""Features times classes, a byte each in the artifact."""

_SHARED = 3
"""Private texts that hold a token or a pair before the table does. Pair by pair, a text could be read off again."""
_ABSENT = -3.0
"""The score of a class without rows; those of others lie around -1 and 1."""
_TOLERANCE, _ITERATIONS = 1e-2, 300

Windows = Sequence[Sequence[int]]


def fit(
    windows: Windows,
    classes: Ints,
    weights: Floats,
    *,
    count: int,
    base: int,
    seed: int,
    private: NDArray[np.bool_],
) -> NGrams:
    """windows: token ids, special ones included, each of another text; classes: (windows,) below `count`; weights:
    (windows,). base: above every id. private: (windows,) whether a text is not to be kept: what private texts alone
    hold is a feature where three do.

    Where features are more than MOST_CELLS allows for, the rarest pairs are left out.
    """
    keys = _vocabulary(windows, private, base, MOST_CELLS // count)
    counts = _counted(windows, keys, base)
    documents = np.bincount(counts.indices, minlength=len(keys))
    rarity = (np.log((1 + len(windows)) / (1 + documents)) + 1).astype(np.float32)
    matrix, bias = _machines(_tf_idf(counts, rarity), classes, weights, count, seed)
    return NGrams(keys=keys, base=base, weights=np.ascontiguousarray((matrix * rarity).T), rarity=rarity, bias=bias)


def scores(ngrams: NGrams, windows: Windows) -> tuple[Floats, NDArray[np.bool_]]:
    """(windows, classes) scores, and (windows,) whether all of a window's tokens are known."""
    counts = _counted(windows, ngrams.keys, ngrams.base)
    lengths = np.sqrt(np.maximum(counts @ ngrams.rarity**2, 1e-12))
    told: Floats = (counts @ ngrams.weights / lengths[:, None] + ngrams.bias).astype(np.float32)
    tokens = set(ngrams.keys[ngrams.keys < ngrams.base].tolist())
    return told, np.array([tokens.issuperset(window) for window in windows], bool)


def _vocabulary(windows: Windows, private: NDArray[np.bool_], base: int, most: int) -> Keys:
    """Ascending: all tokens that may be held, and as many such pairs as there is room for, the most frequent ones."""
    found = [keys_of(window, base) for window in windows]
    keys, times = np.unique(np.concatenate(found), return_counts=True)
    holders = np.zeros(len(keys), np.int32)
    for part, hidden in zip(found, private.tolist(), strict=True):
        # an open text is enough by itself
        holders[np.searchsorted(keys, np.unique(part))] += 1 if hidden else _SHARED
    keys, times = keys[holders >= _SHARED], times[holders >= _SHARED]
    tokens = int((keys < base).sum())
    if len(keys) > most:
        order = np.argsort(-times[tokens:], kind="stable")[: max(most - tokens, 0)]
        keys = np.concatenate([keys[:tokens], np.sort(keys[tokens:][order])])
    return keys


def _counted(windows: Windows, keys: Keys, base: int) -> Any:
    """(windows, features) how often each occurs, a sparse matrix."""
    from scipy.sparse import csr_matrix

    found = [keys_of(window, base) for window in windows]
    rows = np.repeat(np.arange(len(windows)), [len(part) for part in found])
    flat = np.concatenate(found)
    places = np.minimum(np.searchsorted(keys, flat), len(keys) - 1)
    held = keys[places] == flat
    counts = csr_matrix(
        (np.ones(int(held.sum()), np.float32), (rows[held], places[held])), shape=(len(windows), len(keys))
    )
    counts.sum_duplicates()
    return counts


def _tf_idf(counts: Any, rarity: Floats) -> Any:
    """Rows over the length that they would have if no feature came twice, which is what the graph computes."""
    from scipy.sparse import diags

    lengths = np.sqrt(np.maximum(counts @ rarity**2, 1e-12))
    return (diags(1 / lengths) @ counts @ diags(rarity)).tocsr().astype(np.float32)


def _machines(rows: Any, classes: Ints, weights: Floats, count: int, seed: int) -> tuple[Floats, Floats]:
    from sklearn.svm import LinearSVC

    matrix, bias = np.zeros((count, rows.shape[1]), np.float32), np.full(count, _ABSENT, np.float32)
    if len(present := np.unique(classes)) == 1:
        bias[present] = 1
        return matrix, bias
    model = LinearSVC(C=C, dual=True, tol=_TOLERANCE, max_iter=_ITERATIONS, random_state=seed)
    model.fit(rows, classes, sample_weight=weights)
    coefficients, intercepts = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(coefficients) == 1:
        coefficients = np.concatenate([-coefficients, coefficients])
        intercepts = np.concatenate([-intercepts, intercepts])
    matrix[model.classes_], bias[model.classes_] = coefficients, intercepts
    return matrix, bias
