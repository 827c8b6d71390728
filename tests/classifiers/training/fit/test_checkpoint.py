"""What is kept of a tuning is given back to the very same one, and to no other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifiers.training.fit.checkpoint import Checkpoint, TuningState, forget

STANDING = TuningState(
    arrays={
        "now/a": np.eye(3, dtype=np.float32)[:, ::2],
        "steps/0": np.float32(7.0),
        "chance": np.arange(5, dtype="u1"),
    },
    facts={"history": [{"loss": 0.25, "measure": None}], "best": 0},
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint.of(tmp_path, "mail", "main", ["rows \ud800", 0.1, 3])


def test_it_gives_back_what_it_was_given(checkpoint: Checkpoint, tmp_path: Path) -> None:
    assert checkpoint.read() is None
    checkpoint.write(replace(STANDING, facts={}))
    checkpoint.write(STANDING)
    found = checkpoint.read()
    assert found is not None
    assert found.facts == STANDING.facts
    assert found.arrays.keys() == STANDING.arrays.keys()
    assert all(np.array_equal(found.arrays[name], array) for name, array in STANDING.arrays.items())
    assert [file.name for file in (tmp_path / "mail" / "tuning").iterdir()] == ["main.safetensors"]
    forget(tmp_path, "mail")
    assert checkpoint.read() is None


def test_another_tuning_is_given_nothing(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.write(STANDING)
    for depends in (["rows", 0.1, 3], ["rows \ud800", 0.1], ["rows \ud800", 0.1, "3"]):
        assert Checkpoint.of(tmp_path, "mail", "main", depends).read() is None
    assert Checkpoint.of(tmp_path, "mail", "main", ["rows \ud800", 0.1, 3]).read() is not None


@pytest.mark.parametrize("damage", [b"", b"no tensors", None])
def test_a_damaged_file_is_as_good_as_none(checkpoint: Checkpoint, damage: bytes | None) -> None:
    checkpoint.write(STANDING)
    whole = checkpoint.file.read_bytes()
    checkpoint.file.write_bytes(whole[:-3] if damage is None else damage)
    assert checkpoint.read() is None


def test_what_a_killed_training_left_is_gone_with_the_next_epoch(checkpoint: Checkpoint) -> None:
    left = checkpoint.file.parent / ".main-killed"
    left.mkdir(parents=True)
    (left / "main.safetensors").write_bytes(b"half")
    checkpoint.write(STANDING)
    assert [file.name for file in checkpoint.file.parent.iterdir()] == ["main.safetensors"]


def test_what_cannot_be_written_leaves_nothing(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.file.mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        checkpoint.write(STANDING)
    assert [file.name for file in (tmp_path / "mail" / "tuning").iterdir()] == ["main.safetensors"]
