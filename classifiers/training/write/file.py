"""A teacher that has already written: files of sentences, one group a batch where a file says so."""

import random
from dataclasses import replace
from pathlib import Path

from classifiers.errors import TrainingError
from classifiers.policy import OTHER, Policy
from classifiers.teacher import Teacher
from classifiers.training.data import group_of, read_rows
from classifiers.training.rows import Row

_NO_LABEL = ""


def write(policy: Policy, teacher: Teacher, base_dir: Path, seed: int) -> list[Row]:
    """The files' rows; where the policy states how many a label, a random draw of so many, which the seed decides (a
    row of several labels is one of each; of safety's harmless rows as many as of all labels).

    Raises TrainingError as `read` does.
    """
    rows = read(policy, teacher, base_dir)
    if teacher.sentences_per_label is None:
        return rows
    chance = random.Random(f"{seed}/{teacher.name}")  # noqa: S311 - no secret
    left = dict.fromkeys((*policy.labels, OTHER), teacher.sentences_per_label)
    left[_NO_LABEL] = teacher.sentences_per_label * (len(policy.labels) if policy.kind == "safety" else 1)
    kept = set()
    for index in chance.sample(range(len(rows)), len(rows)):
        names = rows[index].labels or (_NO_LABEL,)
        if any(left[name] > 0 for name in names):
            kept.add(index)
            for name in names:
                left[name] -= 1
    return [row for index, row in enumerate(rows) if index in kept]


def read(policy: Policy, teacher: Teacher, base_dir: Path) -> list[Row]:
    """All rows of its files. Raises TrainingError naming file:line for what cannot be read, and files without a row."""
    rows: list[Row] = []
    problems: list[str] = []
    for name in teacher.file:
        try:
            found = read_rows(policy, [base_dir / name], source="file")
        except TrainingError as error:
            problems.append(str(error))
            continue
        rows += [replace(row, writer=name, group=_group(name, row)) for row in found]
    if problems:
        raise TrainingError("\n".join(problems))
    return rows


def _group(name: str, row: Row) -> str:
    """Of the file, unless it is that of a system prompt, which is one whatever file it stands in."""
    return row.group if row.system and row.group == group_of(row.system) else f"{name}/{row.group}"
