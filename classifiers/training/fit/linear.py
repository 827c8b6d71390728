"""Heads on frozen vectors: a softmax with whitened prototypes, or a logistic for each label and for any.

A softmax alone is best with plenty of text; prototypes in a space where directions that vary within labels are
shrunk are best with hardly any; their sum is never far behind either, and stays one matrix. Votes of single
sentences come on top (`heads.nearest`). What was measured: docs/design/001-heads-and-thresholds.md.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifiers.model.model import Floats, Head, HiddenLayer, LinearLayer
from classifiers.runtime.heads import any_logit

Ints = NDArray[np.int32]

C = 20.0
"""Inverse regularisation of the softmax, best or within 0.3 points of it from 2 to 130 rows a label."""

UNITS, _DECAY, _BATCH, _EPOCHS, _RATE, _NETS = 512, 0.1, 512, 25, 0.002, 2
"""Of a hidden layer: its width, scikit-learn's alpha, rows a step, passes over the rows, the learning rate, and how
many are averaged."""

_CERTAIN = 10.0
_STEPS = {"maxiter": 300}
_PROTOTYPE_SHARE = 10.0
_SHRINKAGE = 2.0
_SHARE_TO_LOGIT = 10.0
_EXEMPLARS_A_CLASS = 64
_MOST_EXEMPLARS = 8192
MOST_CELLS = 4_000_000
"""Rows times classes. Beyond it a softmax, or a logistic regression for each label, takes minutes; prototypes alone
serve, or least squares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """weights: (classes, dimensions), bias: (classes,). exemplars: (n, dimensions) of length 1, owners: (n,) their
    classes, ascending."""

    weights: Floats
    bias: Floats
    exemplars: Floats
    owners: Ints


def one_of(vectors: Floats, classes: Ints, weights: Floats, count: int, seed: int) -> Fitted:
    """Single-label. vectors: (n, dimensions) of length 1; classes: (n,) below `count`; weights: (n,). Classes without
    rows get no say: their bias is far below the rest."""
    matrix, bias = prototypes(vectors, classes, weights, count)
    present = np.unique(classes)
    if len(present) > 1 and len(vectors) * count <= MOST_CELLS:
        soft, soft_bias = _softmax(vectors, classes, weights)
        matrix[present] += soft
        bias[present] += soft_bias
    exemplars, owners = exemplars_of(vectors, classes, count, seed)
    return Fitted(weights=matrix.astype(np.float32), bias=bias.astype(np.float32), exemplars=exemplars, owners=owners)


def any_of(vectors: Floats, holds: NDArray[np.bool_], weights: Floats, strength: float) -> tuple[Floats, Floats]:
    """Multi-label: a logistic regression for each label and, by the logarithm of their summed odds, for any of them.

    So which label holds and whether one does are learned together. holds: (n, labels) → weights (labels, dimensions),
    bias (labels,).

    strength: inverse regularisation. A label that holds for all rows or for none gets a constant. Of very many cells,
    least squares take their place.
    """
    if holds.size > MOST_CELLS:
        return _least_squares(vectors, holds, weights, strength)
    matrix = np.zeros((holds.shape[1], vectors.shape[1]), np.float32)
    bias = np.where(holds.all(axis=0), _CERTAIN, -_CERTAIN).astype(np.float32)
    varies = holds.any(axis=0) & ~holds.all(axis=0)
    if varies.any():
        matrix[varies], bias[varies] = _together(vectors, holds[:, varies], weights, strength)
    return matrix, bias


def head_of(
    classes: tuple[str, ...],
    vectors: Floats,
    holds: NDArray[np.bool_],
    weights: Floats,
    *,
    strength: float,
    hidden: bool = False,
    seed: int = 0,
) -> Head:
    """Multi-label: a head by `any_of`, or with a hidden layer. Arguments as of `any_of`. hidden: a layer of units
    between the vectors and the labels. It takes thousands of rows, of which it tells harm from harmless text that
    shares its words: docs/design/004-guards.md."""
    if not hidden:
        matrix, bias = any_of(vectors, holds, weights, strength)
        return Head(classes=classes, weights=matrix, bias=bias)
    kept = weights > 0
    targets = np.column_stack([holds, holds.any(axis=1)])[kept]
    nets = [_net(vectors[kept], targets, weights[kept], seed + place) for place in range(_NETS)]
    # side by side in one layer, their logits averaged
    below, offsets = (_packed(np.concatenate([net[place] for net in nets])) for place in (0, 1))
    above = _packed(np.concatenate([net[2] for net in nets], axis=1) / _NETS)
    bias = _packed(np.mean([net[3] for net in nets], axis=0))
    return Head(classes=classes, weights=above, bias=bias, hidden=HiddenLayer(weights=below, bias=offsets))


def added(base: Head, own: Head) -> Head:
    """A head with a hidden layer, and the logits of a linear one of the same classes added to its own."""
    return replace(base, linear=LinearLayer(weights=_packed(own.weights), bias=_packed(own.bias)))


def _packed(values: NDArray[np.floating]) -> Floats:
    """As an artifact stores them: products of arrays in another order differ in their last bits."""
    return np.ascontiguousarray(values, np.float32)


def _net(
    vectors: Floats, targets: NDArray[np.bool_], weights: Floats, seed: int
) -> tuple[Floats, Floats, Floats, Floats]:
    """A hidden layer's weights (units, dimensions) and bias, and those of the outputs on it."""
    from sklearn.neural_network import MLPClassifier

    fitted = MLPClassifier(
        (UNITS,),
        alpha=_DECAY,
        batch_size=_BATCH,
        learning_rate_init=_RATE,
        max_iter=_EPOCHS,
        n_iter_no_change=_EPOCHS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # it stops after so many epochs, which is meant
        warnings.simplefilter("ignore")
        fitted.fit(vectors, targets, sample_weight=weights)
    (below, above), (offsets, bias) = fitted.coefs_, fitted.intercepts_
    return below.T, offsets, above.T, bias


def _together(
    vectors: Floats, holds: NDArray[np.bool_], weights: Floats, strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scipy.optimize import minimize
    from scipy.special import expit

    shape = (holds.shape[1], vectors.shape[1])
    wanted, any_wanted, each = holds.astype(np.float32), holds.any(axis=1).astype(np.float32), weights[:, None]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        matrix, bias = flat[: -shape[0]].reshape(shape), flat[-shape[0] :]
        scores = vectors @ matrix.astype(np.float32).T + bias.astype(np.float32)
        summed = any_logit(scores)
        losses = (np.logaddexp(0, scores) - wanted * scores).sum(axis=1) + np.logaddexp(0, summed) - any_wanted * summed
        any_slope = expit(summed) - any_wanted
        slope = each * (expit(scores) - wanted + any_slope[:, None] * np.exp(scores - summed[:, None]))
        down = slope.T @ vectors + matrix / strength
        total = float((losses * weights).sum(dtype=np.float64)) + 0.5 / strength * float((matrix**2).sum())
        return total, np.concatenate([down.ravel(), slope.sum(axis=0, dtype=np.float64)])

    found = minimize(loss, np.zeros(shape[0] * shape[1] + shape[0]), jac=True, method="L-BFGS-B", options=_STEPS).x
    return found[: -shape[0]].reshape(shape), found[-shape[0] :]


def exemplars_of(vectors: Floats, classes: Ints, count: int, seed: int) -> tuple[Floats, Ints]:
    """Each class's rows, or the centres of their clusters where there are many → exemplars, owners (ascending)."""
    from sklearn.cluster import KMeans

    most = max(1, min(_EXEMPLARS_A_CLASS, _MOST_EXEMPLARS // count))
    chosen: list[Floats] = []
    owners: list[int] = []
    for label in range(count):
        rows = vectors[classes == label]
        if len(rows) > most:
            clusters = KMeans(most, init="random", n_init=1, max_iter=20, random_state=seed).fit(rows)
            rows = clusters.cluster_centers_.astype(np.float32)
        if len(rows):
            chosen.append(unit(rows))
            owners += [label] * len(rows)
    return np.concatenate(chosen), np.asarray(owners, np.int32)


def unit(rows: NDArray[np.floating]) -> Floats:
    """Rows scaled to length 1; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Floats = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled


def _softmax(vectors: Floats, classes: Ints, weights: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=C, max_iter=1000)
    model.fit(vectors, classes, sample_weight=weights)
    matrix, bias = np.asarray(model.coef_, np.float64), np.asarray(model.intercept_, np.float64)
    if len(matrix) == 1:
        return np.concatenate([-matrix, matrix]) / 2, np.concatenate([-bias, bias]) / 2
    return matrix, bias


def _least_squares(
    vectors: Floats, holds: NDArray[np.bool_], weights: Floats, strength: float
) -> tuple[Floats, Floats]:
    """All labels at once, by ridge regression to whether they hold. Arguments and returns as of `any_of`."""
    rows = np.column_stack([vectors, np.ones(len(vectors), np.float32)]).astype(np.float64)
    heavy = rows * weights[:, None]
    curve = heavy.T @ rows
    curve[np.diag_indices(len(curve) - 1)] += 1 / strength
    solution = np.linalg.solve(curve + 1e-6 * np.eye(len(curve)), heavy.T @ holds.astype(np.float32))
    # a logit for each share: calibration then has little to mend
    logits = _SHARE_TO_LOGIT * (solution - 0.5 * (np.arange(len(solution)) == len(solution) - 1)[:, None])
    return logits[:-1].T.astype(np.float32), logits[-1].astype(np.float32)


def prototypes(
    vectors: Floats, classes: Ints, weights: Floats, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosine to each class's mean in whitened space, as one matrix: (classes, dimensions), (classes,)."""
    rows = vectors.astype(np.float64)
    present = np.unique(classes)
    totals = np.bincount(classes, weights, minlength=count)[:, None]
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, classes, rows * weights[:, None])
    means = sums / np.maximum(totals, 1e-12)
    spread = rows - means[classes]
    within = (spread * weights[:, None]).T @ spread
    trace = np.trace(within)
    scaled = within / trace * len(within) if trace > 1e-9 else np.eye(len(within))
    values, directions = np.linalg.eigh(scaled)
    whiten = (directions / np.sqrt(np.maximum(values, 0) + _SHRINKAGE)) @ directions.T
    white = rows @ whiten
    lengths = np.linalg.norm(white, axis=1, keepdims=True)
    sums = np.zeros_like(sums)
    np.add.at(sums, classes, white / np.maximum(lengths, 1e-12) * weights[:, None])
    centres = unit(sums).astype(np.float64)
    matrix = np.zeros_like(sums)
    matrix[present] = _PROTOTYPE_SHARE * (centres[present] @ whiten) / lengths.mean()
    bias = np.full(count, -100.0)
    bias[present] = 0.0
    return matrix, bias
