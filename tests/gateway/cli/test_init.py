"""`offramp init` where it cannot write all at once, and where names need quotes."""

import json
import shlex
from pathlib import Path

from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.cli.output import Exit


def test_what_could_not_be_written_is_written_by_the_next_try(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "policies").write_text("in the way")
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code != Exit.DONE
    assert not (config / "gateway.yaml").exists()
    (config / "policies").unlink()
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == Exit.DONE
    assert (config / "gateway.yaml").exists()
    assert (config / "policies" / "shop-intents.yaml").exists()


def test_what_to_do_next_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["init", str(tmp_path / "my shop"), "--json"])
    train, serve = map(shlex.split, json.loads(done.stdout)["next"])
    assert all(Path(name).is_file() for name in (*train[2:], serve[2]))
