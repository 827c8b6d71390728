"""`offramp discover` at the command line, with logs that nothing can be learned from."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.discover import _write
from gateway.cli.output import Exit
from gateway.cli.train import _models_dir
from gateway.config.load import load_gateway
from gateway.config.prices import load_prices
from gateway.discover.finding import look
from tests.gateway.discover.logs import pair, read, two_templates, user, write


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of logs with one log of few calls, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    few = ({"request": one.request, "response": one.response} for one in two_templates(12))
    write(tmp_path / "logs" / "few.jsonl", few)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--write", "config"], "nothing was written"),
        (["--write", "config", "--group", "1"], "too few calls"),
        (["--write", "config", "--group", "9"], "there are 2 groups"),
        (["--bound", "200%"], "200%"),
        (["--period", "soon"], "soon"),
        (["missing.jsonl"], "no such file"),
        (["empty"], "holds no .jsonl or .json file"),
    ],
)
def test_groups_are_shown_and_why_nothing_can_be_written(
    arguments: list[str], message: str, folder: Path, offramp: Callable[..., Any]
) -> None:
    (folder / "empty").mkdir()
    done = offramp("discover", "logs", *arguments)
    assert done.exit_code == Exit.USAGE
    assert message in " ".join(done.stderr.split())
    if "--write" in arguments:
        assert "not replaceable: too few calls" in " ".join(done.stdout.split())
        assert "reads after 'Text:\\n', before '\\n---\\nAnswer:'" in done.stdout
    assert not (folder / "config").exists()


def test_a_logs_text_moves_no_cursor(folder: Path, offramp: Callable[..., Any]) -> None:
    odd = [{**pair(user(f"text {i}"), "yes\x1b[2J").__dict__, "at": i} for i in range(9)]
    for one in odd:
        one["request"]["model"] = "gpt\x1b[2J"
    write(folder / "odd.jsonl", [*odd, {"key\x1b[2J": 1}])
    done = offramp("discover", "odd.jsonl")
    assert r"9 calls of gpt\x1b[2J" in done.stdout
    assert r"key\x1b[2J" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_file_with_several_names_is_read_once(folder: Path, offramp: Callable[..., Any]) -> None:
    (folder / "same.jsonl").symlink_to(folder / "logs" / "few.jsonl")
    done = offramp("discover", "logs", "logs/few.jsonl", folder / "logs", "same.jsonl", "--json")
    assert json.loads(done.stdout)["calls"] == 24


@pytest.mark.parametrize(
    ("there", "models"), [(None, "models"), ("", "my config/models"), ("models_dir: ../mine\n", "mine")]
)
def test_the_next_commands_can_be_pasted_into_a_shell(there: str | None, models: str, tmp_path: Path) -> None:
    """Also beside a gateway's own file: then what they train is found."""
    config = tmp_path / "my config"
    config.mkdir()
    if there is not None:
        (config / "gateway.yaml").write_text(f"version: 1\nupstreams: {{one: {{kind: echo}}}}\n{there}")
    many = ({"request": one.request, "response": one.response} for one in two_templates(60))
    log = read(write(tmp_path / "log.jsonl", many))
    findings = look(log.calls, load_prices())
    commands = [shlex.split(command) for command in _write(config, findings, [1, 2], log)["next"]]
    assert [command[:2] for command in commands] == [["offramp", name] for name in ("check", "train", "serve")]
    check, train, serve = commands
    assert check[2:] == [serve[2], *train[2:]]
    assert len(train[2:]) == 2
    assert all(Path(name).is_file() for name in check[2:])
    assert load_gateway(Path(serve[2]), {}).models_dir == _models_dir(Path(train[2])).resolve()
    assert _models_dir(Path(train[2])).resolve() == (tmp_path / models).resolve()
