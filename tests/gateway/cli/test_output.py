"""Text on the terminal stands as it is; files that cannot be written are refused."""

import io
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import typer
from rich.table import Table

from gateway.cli import output
from gateway.cli.output import print_json, quoted, sigterm_as_ctrl_c, stderr, stdout


@pytest.mark.parametrize("text", ["prices [/all]", "x [urgent]", "[red]red", ":tada:"])
def test_labels_and_messages_are_no_mark_up(capsys: pytest.CaptureFixture[str], text: str) -> None:
    table = Table("label", title=text)
    table.add_row(text)
    for console in (stdout(), stderr()):
        console.print(table)
        console.print(text)
    told = capsys.readouterr()
    assert told.out.count(text) == told.err.count(text) == 3


@pytest.mark.parametrize(
    ("text", "encoding", "written"),
    [
        ("größer 😀", "utf-8", "größer 😀"),
        ("größer", "latin-1", "größer"),
        ("größer 😀", "latin-1", r"gr\u00f6\u00dfer \ud83d\ude00"),
        ("größer", "ascii", r"gr\u00f6\u00dfer"),
        ("caf\udce9", "utf-8", r"caf\udce9"),
    ],
)
@pytest.mark.parametrize("errors", ["strict", "backslashreplace"])
def test_json_is_json_in_any_encoding(
    text: str, encoding: str, written: str, errors: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding, errors))
    print_json(text)
    assert out.getvalue().decode(encoding) == f'"{written}"\n'
    assert json.loads(out.getvalue().decode(encoding)) == text


def test_text_of_others_cannot_steer_the_terminal() -> None:
    assert quoted("a\x1b[2Jb\nc\x9b\u202ed\u2028\U000e0041") == r"a\x1b[2Jb\nc\x9b\u202ed\u2028\U000e0041"
    assert quoted("größer, 東京 😀 [red] \\") == "größer, 東京 😀 [red] \\"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "rows.json"
    file.write_text('{"text": "hi", "label": "other"}\n')
    return file


def test_what_is_read_is_not_written_whatever_it_is_called(data: Path) -> None:
    link = data.with_name("link.json")
    link.symlink_to(data)
    for path in (data, link, data.parent / ".." / data.parent.name / data.name):
        with pytest.raises(typer.BadParameter, match="one of the files that are read"):
            output.check_targets({"--output": path}, [data])


def test_a_folder_must_be_there_and_a_file_be_none(data: Path) -> None:
    with pytest.raises(typer.BadParameter, match="does not exist"):
        output.check_targets({"--html": data.with_name("none") / "page.html"}, [data])
    with pytest.raises(typer.BadParameter, match="is a folder"):
        output.check_targets({"--html": data.parent}, [data])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stop_within_a_finalizer_is_raised_again() -> None:
    class Dropping:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    def work() -> None:
        Dropping()
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt), sigterm_as_ctrl_c():
        work()
