"""A teacher that has already written: a file of sentences, one group a batch where the file says so."""

from pathlib import Path

from classifiers.policy import Policy
from classifiers.training.data import read_rows
from classifiers.training.rows import Row


def write(policy: Policy, path: Path) -> list[Row]:
    """The file's rows. Raises TrainingError naming file:line for what cannot be read."""
    return read_rows(policy, [path], source="file")
