"""What is kept of a tuning is given back to the very same one, and to no other."""

from pathlib import Path

import numpy as np
import pytest

from classifiers.training.fit.checkpoint import Checkpoint, forget
from classifiers.training.fit.fitted import TunedHead

HEAD = TunedHead(
    weights=np.eye(3, dtype=np.float32),
    bias=np.zeros(3, np.float32),
    unseen=np.array([True, False]),
    tokens=32,
    system_tokens=8,
    multi_label=True,
)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint.of(tmp_path, "mail", "main", ["rows \ud800", 0.1, 3])


def test_it_gives_back_what_it_was_given_and_nothing_to_another(
    checkpoint: Checkpoint, encoder: Path, tmp_path: Path
) -> None:
    assert checkpoint.read() is None
    for record in ({}, {"epochs": [0.25]}):
        checkpoint.write(encoder, HEAD, record)
    kept = checkpoint.read()
    assert kept is not None
    head, record = kept
    assert record == {"epochs": [0.25]}
    assert (head.tokens, head.system_tokens, head.multi_label) == (32, 8, True)
    assert np.array_equal(head.weights, HEAD.weights)
    assert np.array_equal(head.unseen, HEAD.unseen)
    assert (checkpoint.folder / "model.onnx").read_bytes() == b"graph"
    for depends in (["rows", 0.1, 3], ["rows \ud800", 0.1], ["rows \ud800", 0.1, "3"]):
        assert Checkpoint.of(tmp_path, "mail", "main", depends).read() is None
    assert Checkpoint.of(tmp_path, "mail", "main", ["rows \ud800", 0.1, 3]).read() is not None
    forget(tmp_path, "mail")
    assert checkpoint.read() is None


@pytest.mark.parametrize("damage", [b"", b"no tensors", None])
def test_a_damaged_file_is_as_good_as_none(checkpoint: Checkpoint, encoder: Path, damage: bytes | None) -> None:
    checkpoint.write(encoder, HEAD, {})
    whole = checkpoint.file.read_bytes()
    checkpoint.file.write_bytes(whole[:-3] if damage is None else damage)
    assert checkpoint.read() is None


def test_a_write_that_fails_leaves_nothing_to_read(checkpoint: Checkpoint, encoder: Path, tmp_path: Path) -> None:
    checkpoint.write(encoder, HEAD, {})
    with pytest.raises(OSError, match="nowhere"):
        checkpoint.write(tmp_path / "nowhere", HEAD, {})
    assert checkpoint.read() is None
