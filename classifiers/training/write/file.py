"""A teacher that has already written: files of sentences, one group a batch where a file says so."""

import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from classifiers.policy import Policy
from classifiers.teacher import Teacher
from classifiers.training.data import read_rows
from classifiers.training.rows import Row


def write(policy: Policy, teacher: Teacher, base_dir: Path, seed: int) -> list[Row]:
    """The files' rows; where the policy states how many a label, a random draw of so many, which the seed decides.

    Raises TrainingError naming file:line for what cannot be read.
    """
    rows: list[Row] = []
    for name in teacher.file:
        read = read_rows(policy, [base_dir / name], source="file")
        rows += [replace(row, writer=name, group=f"{name}/{row.group}") for row in read]
    if teacher.sentences_per_label is None:
        return rows
    chance = random.Random(f"{seed}/{teacher.name}")  # noqa: S311 - no secret
    by_labels: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_labels[row.labels].append(index)
    most = teacher.sentences_per_label
    kept = {index for found in by_labels.values() for index in chance.sample(found, min(most, len(found)))}
    return [row for index, row in enumerate(rows) if index in kept]
