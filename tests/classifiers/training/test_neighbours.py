"""Vectors that training leaves beside the archive of its rows, and what is found by them."""

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifiers.errors import ArtifactError
from classifiers.training import data
from classifiers.training.neighbours import KeptNeighbours, nearest
from classifiers.training.rows import Row

ROWS = [Row(text=str(number), labels=("a",), group=str(number), source="builtin") for number in range(6)]


def vectors(rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    angles = np.linspace(0, 1, rows, dtype=np.float32)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def keep(folder: Path, rows: list[Row]) -> Path:
    with data.archived_rows(folder, "tiny", rows, vectors=vectors(len(rows))) as publish:
        publish("v")
    return data.vectors_of(folder, "tiny", "v")


def test_vectors_find_their_rows_again_and_calls_have_none(tmp_path: Path) -> None:
    assert KeptNeighbours.load(tmp_path, "tiny", "v") is None
    rows = [*ROWS]
    rows[4] = replace(rows[4], source="data", digest="d")
    file = keep(tmp_path, rows)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = KeptNeighbours.load(tmp_path, "tiny", "v")
    assert kept is not None
    assert [row.text for row in kept.rows] == ["0", "1", "2", "3", "5"]
    found = nearest(vectors(6)[4:5], kept.rows, kept.vectors, count=2)[0]
    assert {near["text"] for near in found} == {"3", "5"}
    assert found[0]["cosine"] == pytest.approx(np.cos(0.2), abs=1e-3)


def test_of_too_many_rows_written_ones_are_left_out_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*ROWS]
    rows[1] = replace(rows[1], source="data")
    for most, left in ((4, ["0", "1", "2", "4"]), (1, ["1"]), (9, [row.text for row in rows])):
        monkeypatch.setattr(data, "_MOST_VECTORS", most)
        keep(tmp_path, rows)
        kept = KeptNeighbours.load(tmp_path, "tiny", "v")
        assert kept is not None
        assert [row.text for row in kept.rows] == left
        assert len(kept.vectors) == len(left)


def test_vectors_of_other_rows_are_refused_and_damaged_ones_are_none(tmp_path: Path) -> None:
    file = keep(tmp_path, ROWS)
    whole = file.read_bytes()
    with data.archived_rows(tmp_path, "tiny", ROWS[:2]) as publish:
        publish("v")
    with pytest.raises(ArtifactError, match="is of other rows; delete it"):
        KeptNeighbours.load(tmp_path, "tiny", "v")
    for content in (b"", b"PK\x03\x04", whole[:200]):
        file.write_bytes(content)
        assert KeptNeighbours.load(tmp_path, "tiny", "v") is None
