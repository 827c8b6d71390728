"""`offramp discover` at the command line, with logs that nothing can be learned from."""

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.discover import _write
from gateway.cli.main import app
from gateway.cli.output import Exit
from gateway.cli.train import _models_dir
from gateway.config.load import load_gateway
from gateway.config.settings import shipped_dir
from gateway.discover.finding import look
from gateway.ledger.prices import load_prices
from tests.gateway.discover.logs import pair, read, two_templates, user, write


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of logs with one log of few calls, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    few = ({"request": one.request, "response": one.response} for one in two_templates(12))
    write(tmp_path / "logs" / "few.jsonl", few)
    return tmp_path


@pytest.mark.parametrize("more", [[], ["--group", "1"], ["--group", "9"]])
def test_where_nothing_can_be_written_the_groups_are_shown_all_the_same(more: list[str], folder: Path) -> None:
    done = CliRunner().invoke(app, ["discover", "logs", "--write", "config", *more])
    assert done.exit_code == Exit.USAGE
    assert "not replaceable: too few calls" in " ".join(done.stdout.split())
    assert not (folder / "config").exists()


def test_what_a_log_says_does_nothing_to_the_terminal(folder: Path) -> None:
    odd = [{**pair(user(f"text {i}"), "yes\x1b[2J").__dict__, "at": i} for i in range(9)]
    for one in odd:
        one["request"]["model"] = "gpt\x1b[2J"
    write(folder / "odd.jsonl", [*odd, {"key\x1b[2J": 1}])
    done = CliRunner().invoke(app, ["discover", "odd.jsonl"])
    assert r"9 calls of gpt\x1b[2J" in done.stdout
    assert r"key\x1b[2J" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_file_with_several_names_is_read_once(folder: Path) -> None:
    (folder / "same.jsonl").symlink_to(folder / "logs" / "few.jsonl")
    names = ["logs", "logs/few.jsonl", str(folder / "logs"), "same.jsonl"]
    done = CliRunner().invoke(app, ["discover", *names, "--json"])
    assert json.loads(done.stdout)["calls"] == 24


def test_what_to_do_next_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    many = ({"request": one.request, "response": one.response} for one in two_templates(60))
    log = read(write(tmp_path / "log.jsonl", many))
    found = look(log.calls, load_prices(shipped_dir() / "prices.yaml"))
    written = _write(tmp_path / "my config", found, [1, 2], log)
    check, train, serve = map(shlex.split, written["next"])
    assert [command[:2] for command in (check, train, serve)] == [
        ["offramp", name] for name in ("check", "train", "serve")
    ]
    assert check[3:] == train[2:]
    assert serve[2:] == check[2:3]
    assert len(train[2:]) == 2
    assert all(Path(name).is_file() for name in check[2:])


@pytest.mark.parametrize(("there", "models"), [("", "config/models"), ("models_dir: ../mine\n", "mine")])
def test_beside_a_gateways_file_what_is_trained_is_found(there: str, models: str, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "gateway.yaml").write_text(f"version: 1\nupstreams: {{one: {{kind: echo}}}}\n{there}")
    many = ({"request": one.request, "response": one.response} for one in two_templates(60))
    log = read(write(tmp_path / "log.jsonl", many))
    written = _write(config, look(log.calls, load_prices(shipped_dir() / "prices.yaml")), [1], log)
    _, train, serve = map(shlex.split, written["next"])
    found = load_gateway(Path(serve[2]), {}).models_dir
    assert found == _models_dir(Path(train[2])) == (tmp_path / models).resolve()
