"""What is to be written is refused before anything is done, where it would harm or cannot be."""

import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli import output
from gateway.cli.main import app


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "rows.json"
    file.write_text('{"text": "hi", "label": "other"}\n')
    return file


def test_files_of_their_own_in_folders_that_exist_will_do(data: Path) -> None:
    output.check_targets({"--html": data.with_name("page.html"), "--output": data.with_name("page.json")}, [data])


def test_what_is_read_is_not_written_whatever_it_is_called(data: Path) -> None:
    link = data.with_name("link.json")
    link.symlink_to(data)
    for path in (data, link, data.parent / ".." / data.parent.name / data.name):
        with pytest.raises(typer.BadParameter, match="one of the files that are read"):
            output.check_targets({"--output": path}, [data])


def test_two_flags_do_not_write_one_file(data: Path) -> None:
    page = data.with_name("page.json")
    with pytest.raises(typer.BadParameter, match="--html and --output would both be"):
        output.check_targets({"--html": page, "--output": page}, [data])


def test_a_folder_must_be_there_and_a_file_be_none(data: Path) -> None:
    with pytest.raises(typer.BadParameter, match="does not exist"):
        output.check_targets({"--html": data.with_name("none") / "page.html"}, [data])
    with pytest.raises(typer.BadParameter, match="is a folder"):
        output.check_targets({"--html": data.parent}, [data])


@pytest.mark.parametrize(
    "flags", [["--html", "rows.html"], ["--output", "rows.json"], ["--html", "page.json"], ["--html", "."]]
)
def test_eval_refuses_before_it_loads_anything(data: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]) -> None:
    monkeypatch.chdir(data.parent)
    before = data.read_bytes()
    # there are no models here: that would be the next thing to be told
    done = CliRunner().invoke(app, ["eval", "bank", "rows.json", *flags])
    assert (done.exit_code, data.read_bytes()) == (2, before)
    assert sorted(path.name for path in data.parent.iterdir()) == ["rows.json"]


def test_a_page_names_files_whose_names_are_no_text(tmp_path: Path) -> None:
    policy = tmp_path / "one.yaml"
    policy.write_text("version: 1\nname: one\nkind: safety\nabout: x\nlabels: {contact: {means: x, patterns: email}}\n")
    rows = tmp_path / os.fsdecode(b"r\xe9ponses.jsonl")
    rows.write_text('{"text": "write to ada@example.com", "label": "contact"}\n')
    models, page = str(tmp_path / "models"), tmp_path / "page.html"
    assert CliRunner().invoke(app, ["train", str(policy), "--models", models]).exit_code == 0
    done = CliRunner().invoke(app, ["eval", "one", str(rows), "--models", models, "--html", str(page)])
    assert done.exit_code == 0, done.output
    assert "r\ufffdponses.jsonl" in page.read_text("utf-8")
