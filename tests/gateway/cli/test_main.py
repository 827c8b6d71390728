"""The command line as a process whose output goes where not every text can."""

import json
import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from gateway import __version__
from gateway.cli.main import app
from gateway.cli.output import Exit


def test_a_reader_that_closes_early_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("version: 1\nupstreams: {one: {kind: echo}}\nmodels: {dear: one}\n")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "gateway", "check", "gateway.yaml", "--json"]
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(command, cwd=tmp_path, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (Exit.CLOSED, b"")


def test_what_the_output_cannot_hold_is_escaped(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "models", "list", "--models", "東"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert rb"\u6771" in done.stdout


def test_the_version_is_printed_for_people_and_as_data() -> None:
    assert CliRunner().invoke(app, ["version"]).stdout == f"offramp {__version__}\n"
    assert json.loads(CliRunner().invoke(app, ["version", "--json"]).stdout)["offramp"] == __version__
