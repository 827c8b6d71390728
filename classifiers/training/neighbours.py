"""The training rows that a text lies nearest to, which tell why an error was made. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from classifiers.model import Floats
from classifiers.training.confusion import shortened
from classifiers.training.rows import Row

NEAREST = 3
"""How many are shown."""


def nearest(
    vectors: Floats,
    rows: Sequence[Row],
    row_vectors: Floats,
    *,
    count: int = NEAREST,
    groups: Sequence[str] | None = None,
) -> list[list[dict[str, Any]]]:
    """For each vector its nearest rows, nearest first: text, labels, source, cosine.

    vectors: (n, dimensions), row_vectors: (rows, dimensions), all of length 1. groups: for each vector the group
    whose rows are left out, such as its own.
    """
    found = []
    members = np.array([row.group for row in rows])
    for index, cosines in enumerate(vectors @ row_vectors.T if len(rows) else ()):
        allowed = np.flatnonzero(members != groups[index]) if groups else np.arange(len(rows))
        order = allowed[np.argsort(-cosines[allowed], kind="stable")[:count]]
        found.append(
            [
                {
                    "text": shortened(rows[place].shown),
                    "labels": list(rows[place].labels),
                    "source": rows[place].source,
                    "cosine": round(float(cosines[place]), 4),
                }
                for place in order.tolist()
            ]
        )
    return found


def beside_errors(
    errors: Sequence[dict[str, Any]], places: Sequence[int], rows: Sequence[Row], vectors: Floats
) -> None:
    """Give each held-out error its `nearest` among the rows that the fit that scored it may have seen.

    errors: as of `evaluate`; places: of each, which of the rows it is; vectors: (rows, dimensions) of length 1.
    """
    if not errors:
        return
    groups = [rows[index].group for index in places]
    for error, near in zip(errors, nearest(vectors[list(places)], rows, vectors, groups=groups), strict=True):
        error["nearest"] = near
