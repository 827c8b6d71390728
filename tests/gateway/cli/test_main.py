"""The command line as a process whose output goes where not every text can."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.output import Exit


@pytest.mark.parametrize(
    "command",
    [["version"], ["version", "--json"], ["--help"], ["models", "list"], ["check", "gateway.yaml", "--json"]],
    ids=" ".join,
)
def test_a_reader_that_closes_early_ends_it_quietly(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("version: 1\nupstreams: {one: {kind: echo}}\nmodels: {dear: one}\n")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *command],
            cwd=tmp_path,
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (Exit.CLOSED, b"")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_the_output_cannot_hold_is_escaped(encoding: str, tmp_path: Path) -> None:
    def run(*command: str) -> str:
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        return subprocess.run(
            [sys.executable, "-m", "gateway", *command], cwd=tmp_path, env=environment, capture_output=True, check=True
        ).stdout.decode(encoding)

    written = json.loads(run("init", "é東😀", "--json"))["written"]
    assert "é東😀/config/gateway.yaml" in written
    told = run("models", "list", "--models", "東")
    assert ("東" if encoding == "utf-8" else r"\u6771") in told
