"""Which held-out rows calibrate a model and its thresholds, and so are what is measured on. Pure.

Real rows, once there are enough; a class of which they show hardly anything is not left out for that.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from classifiers.policy import Policy
from classifiers.training.rows import REAL, Row

Bools = NDArray[np.bool_]

REAL_ROWS, WRITTEN, BOTH = "real rows", "written text", "written and real text"
MOSTLY_REAL = "real rows, with written text where those are few"

_ENOUGH = 200
_ENOUGH_OF_A_CLASS = 5

_OTHER_HARMLESS, _EVERYDAY_TO_OTHERS = 20, 4


def measured_on(policy: Policy, rows: Sequence[Row], held: NDArray[np.intp]) -> tuple[Bools, str]:
    """(n,) which held-out rows calibrate, and how to call them. held: (n,) their indexes.

    The real ones where there are enough, else all. A class with hardly any real row, of safety also what is harmless,
    is shown by written ones as well: by all of them where each class is judged by itself; where all share one
    threshold, by so few that it counts no more than it is met.
    """
    here = [rows[index] for index in held.tolist()]
    real, kept = is_real(rows, held), _few_everyday(policy, here)
    if not enough(real):
        return kept, BOTH if real.any() else WRITTEN
    used = real.copy()
    for one in _classes(policy, here):
        lacking = _ENOUGH_OF_A_CLASS - int((one & real).sum())
        if lacking > 0:
            written = np.flatnonzero(one & ~real & kept)
            used[written if policy.multi_label else written[:lacking]] = True
    return used, REAL_ROWS if (used == real).all() else MOSTLY_REAL


def _few_everyday(policy: Policy, held: Sequence[Row]) -> Bools:
    """(n,) all rows, but of safety no more everyday sentences than a quarter of the other harmless rows, once there are
    enough of these: hardly any guard flags such a sentence, so many of them make any look better than it is."""
    kept = np.ones(len(held), bool)
    if policy.kind != "safety":
        return kept
    harmless = np.array([not row.labels for row in held], bool)
    everyday = np.array([row.source == "builtin" for row in held], bool) & harmless
    others = int((harmless & ~everyday).sum())
    most = others // _EVERYDAY_TO_OTHERS
    places = np.flatnonzero(everyday)
    if others >= _OTHER_HARMLESS and len(places) > most:
        kept[places] = False
        # evenly from among them: neighbours are about the same
        kept[places[np.linspace(0, len(places) - 1, most).astype(np.intp)]] = True
    return kept


def is_real(rows: Sequence[Row], held: NDArray[np.intp]) -> Bools:
    """(n,) whether users wrote them."""
    return np.array([rows[index].source in REAL for index in held.tolist()], bool)


def is_foreign(rows: Sequence[Row], held: NDArray[np.intp]) -> Bools:
    """(n,) whether they are in a language on which the classifier abstains when served."""
    return np.array([bool(rows[index].foreign) for index in held.tolist()], bool)


def answerable(policy: Policy, rows: Sequence[Row], held: NDArray[np.intp]) -> Bools:
    """(n,) by which held-out rows a judge of one label learns how sure it may be: those of `measured_on` as if there
    were no foreign ones, on which it abstains when served, however sure it is; with these where there are no others."""
    near = ~is_foreign(rows, held)
    if not near.any():
        near[:] = True
    found: Bools = np.zeros(len(held), bool)
    found[near] = measured_on(policy, rows, held[near])[0]
    return found


def enough(real: Bools) -> bool:
    """Whether real rows are enough to calibrate by."""
    return bool(real.sum() >= _ENOUGH)


def _classes(policy: Policy, held: Sequence[Row]) -> Iterator[Bools]:
    """(n,) for each class whether a row is of it. Not `other`: everyday text by itself is reported apart."""
    for label in policy.labels:
        yield np.array([label in row.labels for row in held], bool)
    if policy.kind == "safety":
        yield np.array([not row.labels for row in held], bool)
