import stat
from dataclasses import replace
from pathlib import Path

import pytest

from classifiers.errors import ArtifactError
from classifiers.training import data
from classifiers.training.clean import digest, known_by
from classifiers.training.rows import Row

ROWS = (
    Row(text="hello\u2028there", labels=("greeting",), group="g1", source="file", writer="teacher.jsonl"),
    Row(text="مرحبا", labels=(), group="g2", source="data"),
    Row(text="backwards?", labels=("leak",), group="g3", source="data", system="the code is 4"),
)


def test_rows_are_kept_beside_the_version_and_read_again(tmp_path: Path) -> None:
    path = data.keep(tmp_path, "tiny", "20260101-000000-01234567", ROWS)
    assert path == tmp_path / "tiny" / "training" / "20260101-000000-01234567.jsonl"
    assert data.load(tmp_path, "tiny", "20260101-000000-01234567") == ROWS
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_of_calls_no_text_is_kept(tmp_path: Path) -> None:
    call = Row(
        text="call Ada on 555", labels=("call",), group="call:1", source="data", digest=digest("call Ada on 555")
    )
    path = data.keep(tmp_path, "tiny", "v", (*ROWS, call))
    assert "Ada" not in path.read_text("utf-8")
    assert data.load(tmp_path, "tiny", "v") == (*ROWS, replace(call, text=""))
    assert known_by(replace(call, text="")) == known_by(replace(call, digest="", text="Call Ada on 555!"))
    assert "Ada" not in call.shown


def test_what_cannot_be_written_or_is_put_nowhere_leaves_nothing_behind(tmp_path: Path) -> None:
    half = replace(ROWS[0], text="half \ud83d")
    with pytest.raises(UnicodeEncodeError):
        data.keep(tmp_path, "tiny", "v", (*ROWS, half))
    with data.archived_rows(tmp_path, "tiny", ROWS):
        pass
    assert list((tmp_path / "tiny" / "training").iterdir()) == []


def test_only_whoever_trained_may_read_them(tmp_path: Path) -> None:
    assert stat.S_IMODE(data.keep(tmp_path, "tiny", "v", ROWS).stat().st_mode) == 0o600


def test_a_version_whose_rows_are_not_here_has_none(tmp_path: Path) -> None:
    assert data.load(tmp_path, "tiny", "20260101-000000-01234567") is None


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"3",
        b"\xff",
        b'{"text": "a"}',
        b'{"labels": []}',
        b'{"labels": [], "x": 1}',
        b'{"text": null, "labels": [], "group": "g", "source": "data"}',
        b'{"text": "a", "labels": [3], "group": "g", "source": "data"}',
        b'{"digest": 3, "labels": [], "group": "g", "source": "data"}',
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = data.keep(tmp_path, "tiny", "v", ROWS)
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"training/v\.jsonl does not hold training rows \(.*\); delete it$"):
        data.load(tmp_path, "tiny", "v")
