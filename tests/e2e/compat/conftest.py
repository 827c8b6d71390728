"""Two gateways that greet and block, in front of a small model that speaks every format."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.clients.model import Model
from benchmarks.clients.roster import CLIENTS
from tests.e2e.conftest import Running, start
from tests.given import table_text

GATEWAY = table_text("given/e2e-compat-conftest-gateway.yaml")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`make compat` tries every client; `make test-extras` those that `make clients` installs."""
    if "client" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-client")
        clients = [client for client in CLIENTS if every or not client.every]
        metafunc.parametrize("client", clients, ids=[client.name for client in clients])


@pytest.fixture(scope="session")
def model() -> Iterator[Model]:
    running = Model()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture(scope="session")
def gateways(workspace: Path, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    """By the kind of their other models: agents name models of their own."""
    running = {}
    for kind, other in (("openai", "model"), ("anthropic", "claude")):
        file = tmp_path_factory.mktemp(kind) / "gateway.yaml"
        file.write_text(GATEWAY.format(models=workspace / "models", port=model.server_port, other=other))
        running[kind] = start(file)
    yield running
    for gateway in running.values():
        gateway.stop()
