"""Real processes on real ports: gateways, and a workspace with the two starter policies trained by the command line."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.given import table_text

PROXY = table_text("given/e2e-conftest-proxy.yaml")
POLICIES = [Path(__file__).parents[1] / "tables/given/e2e-redaction-policy.yaml"]
POLICIES += [Path(__file__).parents[1] / "golden/policies/harm.yaml"]


def offramp(*arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command of the real command line."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=cwd,
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def clean_environment() -> dict[str, str]:
    """The environment without what would change a gateway's behaviour."""
    dropped = ("OPENAI_API_KEY", "OFFRAMP_KEY", "ANTHROPIC_API_KEY")
    # this folder's root is found by the editable install; nothing else of the environment matters
    return {name: value for name, value in os.environ.items() if name not in dropped}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Running:
    """A gateway process."""

    process: "subprocess.Popen[bytes]"
    port: int
    folder: Path
    log: Path
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer, errors included."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            answer = urllib.request.urlopen(urllib.request.Request(self.url + path, body, sent), timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, dict(answer.headers), answer.read()

    def metric(self, sample: str) -> float:
        """A sample's value by its exact name and labels; 0 where it is not there."""
        for line in self.get("/metrics").splitlines():
            if line.rpartition(" ")[0] == sample:
                return float(line.rpartition(" ")[2])
        return 0.0

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """The exit code after a signal."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        return self.process.wait(30)


StartGateway = Callable[..., Running]


def until(holds: Callable[[], bool], *, seconds: float = 60) -> None:
    """Waits for it."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.05)


def user(text: str, system: str = "") -> Any:
    """The messages of a call."""
    return [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": text}]


def start(config: Path, *, patch: str = "", **environment: str) -> Running:
    """A gateway process for a file, ready to serve. patch: code that it runs first."""
    port = free_port()
    log = config.parent / f"gateway-{port}.log"
    program = f"{patch}\nimport runpy; runpy.run_module('gateway', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", program, "serve", str(config), "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=config.parent, env={**clean_environment(), **environment}, stdout=out, stderr=out
        )
    running = Running(process, port, config.parent, log)
    for _ in range(600):
        if process.poll() is not None:
            raise AssertionError(f"the gateway ended with {process.returncode}: {log.read_text()}")
        try:
            running.get("/ready")
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
        else:
            return running
    process.kill()
    raise AssertionError(f"the gateway did not become ready: {log.read_text()}")


class ModelServer(BaseHTTPRequestHandler):
    """A request to a model's server, whose `calls` are what it got."""

    protocol_version = "HTTP/1.1"
    server: Any

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["content-length"]))

    def reply(self, body: bytes, **headers: str) -> None:
        """As events unless it is JSON."""
        kind = "application/json" if body.startswith(b"{") else "text/event-stream"
        self.send_response(200)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def guarding(
    folder: Path, server_of: type[ModelServer], gateway: str, **environment: str
) -> Iterator[tuple[Running, Any]]:
    """A gateway process of that YAML, with the policies `customer-data` and `harm`, before a model's server."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), server_of)
    server.calls = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "gateway.yaml").write_text(gateway.replace("PORT", str(server.server_port)))
    trained = offramp("train", *map(str, POLICIES), "--models", "models", cwd=folder)
    assert trained.returncode == 0, trained.stderr
    running = start(folder / "gateway.yaml", **environment)
    yield running, server
    running.stop()
    server.shutdown()
    server.server_close()


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[StartGateway]:
    """Starts gateways from YAML text or a file; all are stopped at the end."""
    started: list[Running] = []

    def launch(config: str | Path, **more: str) -> Running:
        if isinstance(config, str):
            folder = tmp_path / f"gateway{len(started)}"
            folder.mkdir()
            file = folder / "gateway.yaml"
            file.write_text(config)
        else:
            file = config
        started.append(start(file, **more))
        return started[-1]

    yield launch
    for running in started:
        running.stop()


@pytest.fixture(scope="session")
def run_offramp() -> "Callable[..., subprocess.CompletedProcess[str]]":
    """Runs a command of the real command line in a folder."""
    return offramp


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory, prepared_dir: Path) -> Path:
    """A folder after `offramp init` and the training that it advises. Shared: do not write into it. All of pytest's
    processes train it once, and each has a copy."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    trained, made = shared / "trained", tmp_path_factory.mktemp("made")
    with (shared / "trained.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not trained.exists():
            done = offramp("init", "--json", cwd=made)
            assert done.returncode == 0, done.stderr
            advised = json.loads(done.stdout)["next"][0].removeprefix("offramp ").split()
            (made / "models").mkdir()
            (made / "models" / "encoders").symlink_to(prepared_dir / "encoders")
            done = offramp(*advised, cwd=made)
            assert done.returncode == 0, done.stderr
            made.rename(trained)
    return Path(shutil.copytree(trained, base / "workspace", symlinks=True))


@pytest.fixture(scope="session")
def starter(workspace: Path) -> Iterator[Running]:
    """The starter gateway: safety filter and intent router in front of the echo upstream."""
    running = start(workspace / "config" / "gateway.yaml")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(starter: Running) -> Running:
    """The gateway of a module's client; a module may have its own."""
    return starter


@pytest.fixture(scope="module")
def client(gateway: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway without rules in front of the echo upstream."""
    file = tmp_path_factory.mktemp("proxy") / "gateway.yaml"
    file.write_text(PROXY)
    running = start(file)
    yield running
    running.stop()
