"""The gateway of `offramp demo`: its own, whoever else holds the port."""

import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import typer

from gateway.cli.demo import _gateway
from gateway.cli.output import Exit


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text("version: 1\nlisten: 127.0.0.2:1\nupstreams: {one: {kind: echo}}\nmodels: {dear: one}\n")
    return file


@pytest.fixture
def another() -> Iterator[HTTPServer]:
    """Another gateway, which is ready."""

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Ready) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_port_that_another_gateway_holds_ends_the_demo(
    config: Path, another: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, _gateway(config, another.server_port, real=False):
        pytest.fail("the demo would talk to another gateway")
    assert ended.value.exit_code == Exit.ENVIRONMENT
    assert f"cannot listen on 127.0.0.1:{another.server_port}" in capsys.readouterr().err


def test_the_gateway_takes_a_free_port_and_is_gone_after_the_demo(config: Path) -> None:
    with _gateway(config, 0, real=False) as address, urllib.request.urlopen(f"{address}/ready", timeout=60) as answer:
        assert answer.status == 200
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{address}/ready", timeout=60)
