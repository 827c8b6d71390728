"""`offramp serve` where the port is another's, though it was free at first; and the host that it is told."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from classifiers.errors import ArtifactError
from gateway.cli.output import Exit
from gateway.server import bind


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gateway that any address may reach."""
    monkeypatch.setenv("K", "secret")
    file = tmp_path / "gateway.yaml"
    file.write_text('version: 1\naccess_key: "${K}"\nupstreams: {one: {kind: echo}}\nmodels: {dear: one}\n')
    return file


def test_a_port_that_another_took_while_this_one_was_loading_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, offramp: Callable[..., Any]
) -> None:
    with closing(bind("127.0.0.1", 0)) as other:
        monkeypatch.setattr("gateway.serving.snapshot.load_runtime", lambda *_, **__: other.listen())
        monkeypatch.setattr("gateway.app.create_app", lambda *_, **__: None)
        monkeypatch.setattr("gateway.server.serve", lambda *_, **__: None)
        port = other.getsockname()[1]
        done = offramp("serve", file, "--port", port)
    assert done.exit_code == Exit.ENVIRONMENT
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.output
    assert "offramp serves" not in done.output


def test_the_port_is_free_again_where_no_classifier_can_be_loaded(
    file: Path, monkeypatch: pytest.MonkeyPatch, offramp: Callable[..., Any]
) -> None:
    bound = [bind("127.0.0.1", 0)]

    def fail(*_: object, **__: object) -> None:
        raise ArtifactError("damaged")

    monkeypatch.setattr("gateway.server.bind", lambda *_: bound[0])
    monkeypatch.setattr("gateway.serving.snapshot.load_runtime", fail)
    done = offramp("serve", file)
    assert "damaged" in str(done.exception or done.output)
    assert bound[0].fileno() == -1


def test_a_host_is_checked_and_may_stand_in_brackets(file: Path, offramp: Callable[..., Any]) -> None:
    done = offramp("serve", file, "--host", "127..0.0.1", "--port", "1")
    assert done.exit_code == Exit.USAGE
    assert "--host: '127..0.0.1:1' is not host:port" in done.output
    with closing(bind("127.0.0.1", 0)) as other:
        other.listen()
        port = other.getsockname()[1]
        done = offramp("serve", file, "--host", "[127.0.0.1]", "--port", port)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.output
