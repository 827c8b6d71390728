"""`offramp models` over a folder whose version in use was removed, that is not there, or is no folder."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from classifiers.errors import ArtifactError
from gateway.cli.main import app
from gateway.cli.output import Exit


def test_a_version_in_use_that_is_not_there_is_marked(publish: Callable[[datetime], str], models_dir: Path) -> None:
    old, gone = (publish(datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2))
    home = next(models_dir.glob(f"*/{gone}")).parent
    shutil.rmtree(home / gone)

    def run(*command: str) -> str:
        done = CliRunner().invoke(app, [*command, "--models", str(models_dir)])
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


def test_nothing_is_trained_in_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["models", "list", "--models", str(tmp_path / "none")])
    assert done.exit_code == Exit.DONE
    assert "no classifier is trained in" in done.stdout
