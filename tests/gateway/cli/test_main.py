"""The command line as a process whose output goes where not every text can; and its smallest commands."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from classifiers.errors import ArtifactError
from gateway import __version__
from gateway.cli.output import Exit
from gateway.ledger.store import LedgerError


def test_a_reader_that_closes_early_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("version: 1\nupstreams: {one: {kind: echo}}\nmodels: {dear: one}\n")
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "gateway", "check", "gateway.yaml", "--json"]
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(command, cwd=tmp_path, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (Exit.CLOSED, b"")


def test_text_that_the_output_cannot_hold_is_escaped(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "models", "list", "--models", "東"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert rb"\u6771" in done.stdout


def test_the_version_is_printed_for_people_and_as_data(offramp: Callable[..., Any]) -> None:
    assert offramp("version").stdout == f"offramp {__version__}\n"
    assert json.loads(offramp("version", "--json").stdout)["offramp"] == __version__


def test_init_writes_by_the_next_try_what_it_could_not_write(tmp_path: Path, offramp: Callable[..., Any]) -> None:
    config = tmp_path / "my shop" / "config"
    config.mkdir(parents=True)
    (config / "policies").write_text("in the way")
    assert offramp("init", config.parent).exit_code != Exit.DONE
    assert not (config / "gateway.yaml").exists()
    (config / "policies").unlink()
    done = offramp("init", config.parent, "--json")
    train, serve = map(shlex.split, json.loads(done.stdout)["next"])
    assert all(Path(name).is_file() for name in (*train[2:], serve[2]))


def test_a_version_in_use_that_is_not_there_is_marked(
    publish: Callable[[datetime], str], models_dir: Path, offramp: Callable[..., Any]
) -> None:
    old, gone = (publish(datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2))
    home = next(models_dir.glob(f"*/{gone}")).parent
    shutil.rmtree(home / gone)

    def run(*command: str) -> str:
        done = offramp(*command, "--models", models_dir)
        if done.exception is not None:
            raise done.exception
        return done.stdout

    assert json.loads(run("models", "list", "--json")) == [
        {"name": home.name, "version": old, "current": False, "there": True},
        {"name": home.name, "version": gone, "current": True, "there": False},
    ]
    assert "yes, but gone: roll back, or train" in run("models", "list")
    with pytest.raises(ArtifactError, match="which is not there; roll back"):
        run("classify", home.name, "hello")
    assert json.loads(run("models", "rollback", home.name, "--json")) == {"name": home.name, "version": old}
    assert json.loads(run("models", "list", "--json")) == [
        {"name": home.name, "version": old, "current": True, "there": True}
    ]
    assert run("classify", home.name, "hello")


@pytest.mark.parametrize(
    ("name", "message"),
    [("folder", "folder is a folder; a ledger is a file"), ("none.db", "none.db yet; it is made by the first")],
)
@pytest.mark.parametrize("flag", [True, False])
def test_report_says_what_is_no_ledger(
    name: str, message: str, flag: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offramp: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("gateway.yaml").write_text(
        f"version: 1\nledger: {name}\nupstreams: {{one: {{kind: echo}}}}\nmodels: {{m: one}}\n"
    )
    done = offramp("report", *(["--ledger", name] if flag else ["gateway.yaml"]))
    assert isinstance(done.exception, LedgerError)
    assert message in str(done.exception)
