"""Folds for measuring: every row is predicted once by a fit that saw neither it nor its group. Pure."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classifiers.training.rows import Row


def folds(rows: Sequence[Row], count: int, seed: int) -> NDArray[np.int32]:
    """(rows,) the fold 0..count-1 of each row: seeded, whole groups, each label spread as evenly as groups allow.

    Groups are dealt label by label, the rarest label first, each to the fold that holds least of that label.
    """
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
