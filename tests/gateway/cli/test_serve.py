"""`offramp serve` where the port is another's, though it was free at first; and the host that it is told."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.cli.output import Exit
from gateway.server import bind


def test_a_port_that_another_took_while_this_one_was_loading_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("version: 1\nupstreams: {one: {kind: echo}}\nmodels: {dear: one}\n")
    with closing(bind("127.0.0.1", 0)) as other:

        def load_runtime(_: Any) -> None:
            other.listen()

        monkeypatch.setattr("gateway.cli.serve.log_to_stderr", lambda: None)
        monkeypatch.setattr("gateway.serving.snapshot.load_runtime", load_runtime)
        monkeypatch.setattr("gateway.app.create_app", lambda *_, **__: None)
        monkeypatch.setattr("gateway.server.serve", lambda *_, **__: None)
        port = other.getsockname()[1]
        done = CliRunner().invoke(app, ["serve", str(file), "--port", str(port)])
    assert done.exit_code == Exit.ENVIRONMENT
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.output
    assert "offramp serves" not in done.output


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gateway that any address may reach."""
    monkeypatch.setattr("gateway.cli.serve.log_to_stderr", lambda: None)
    monkeypatch.setenv("K", "secret")
    file = tmp_path / "gateway.yaml"
    file.write_text('version: 1\naccess_key: "${K}"\nupstreams: {one: {kind: echo}}\nmodels: {dear: one}\n')
    return file


def test_a_host_that_can_be_none_is_told(file: Path) -> None:
    done = CliRunner().invoke(app, ["serve", str(file), "--host", "127..0.0.1", "--port", "1"])
    assert done.exit_code == Exit.USAGE
    assert "--host: '127..0.0.1:1' is not host:port" in done.output


def test_a_host_may_stand_in_brackets(file: Path) -> None:
    with closing(bind("127.0.0.1", 0)) as other:
        other.listen()
        port = other.getsockname()[1]
        done = CliRunner().invoke(app, ["serve", str(file), "--host", "[127.0.0.1]", "--port", str(port)])
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.output
