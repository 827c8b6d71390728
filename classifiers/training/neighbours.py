"""The training rows that a text lies nearest to, which tell why it was judged as it was."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from classifiers.encoder.session import Beside, embed
from classifiers.model import Floats
from classifiers.runtime import Runtime
from classifiers.training.confusion import shortened
from classifiers.training.rows import Row
from classifiers.training.windows import wholes

NEAREST = 3
"""How many are shown."""


def nearest_of(
    runtime: Runtime,
    name: str,
    asked: Sequence[tuple[str, str]],
    trained_on: Sequence[Row],
    *,
    count: int = NEAREST,
    advance: Callable[[int, int], None] | None = None,
) -> list[list[dict[str, Any]]]:
    """As `nearest`, by what the last stage's encoder makes of texts and rows; none where there is no stage.

    asked: texts, each with its system prompt; trained_on: what the classifier was trained on, of which rows that it
    could not read (a call's, of which no text is kept; one under a prompt, where it reads none) are left out;
    advance: called with how many of those are read and how many there are.
    """
    model = runtime.classifiers[name].model
    if not (asked and model.stages):
        return [[] for _ in asked]
    stage, reads = model.last, model.reads_system
    encoder = runtime.encoders[stage.encoder.sha256]

    def read(texts: Sequence[str], systems: Sequence[str], told: Callable[[int, int], None] | None = None) -> Floats:
        if not model.policy.multi_label:
            return wholes(encoder, texts, told)
        beside = Beside(systems=systems, tokens=stage.system_tokens) if stage.system_tokens else None
        return embed(encoder, texts, told, beside=beside)

    rows = [row for row in trained_on if row.text and (reads or not row.system)]
    vectors = read([row.text for row in rows], [row.system for row in rows], advance)
    return nearest(read([text for text, _ in asked], [system for _, system in asked]), rows, vectors, count=count)


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
    # by number: an array of names would have room for the longest in each place
    number = {group: place for place, group in enumerate(dict.fromkeys(row.group for row in rows))}
    members = np.array([number[row.group] for row in rows], np.intp)
    for index, vector in enumerate(vectors):
        # one text at a time: all of a long input against all rows may be gigabytes
        cosines = row_vectors @ vector
        allowed = np.flatnonzero(members != number.get(groups[index], -1)) if groups else np.arange(len(rows))
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
