"""Answers made here, read by other clients' own parsers, each in an environment of its own (`make clients`).

Nothing listens behind the gateway: a call that were forwarded would fail. So what a client parses was made here.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.given import table_text

from .conftest import Running, free_port, start

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "clients"
INSTALLED = ROOT / ".clients"
GATEWAY = table_text("given/e2e-clients-gateway.yaml")


@pytest.fixture(scope="module")
def gateway(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    file = tmp_path_factory.mktemp("clients") / "gateway.yaml"
    file.write_text(GATEWAY.format(models=workspace / "models", port=free_port()))
    running = start(file)
    yield running
    running.stop()


def command(required: Any, client: str, script: str) -> list[str]:
    """How a client's script is run. Node looks for packages beside the script."""
    if client != "node":
        return [required.program(str(INSTALLED / client / "bin/python"), "make clients"), str(SCRIPTS / script)]
    if not (INSTALLED / "node/node_modules/ai").is_dir():
        required.program(str(INSTALLED / "node/node_modules/ai"), "make clients")
    return [required.program("node", "apt-get install nodejs"), shutil.copy(SCRIPTS / script, INSTALLED / "node")]


@pytest.mark.parametrize(
    ("client", "script"),
    [
        ("instructor", "with_instructor.py"),
        ("langchain-openai", "with_langchain.py"),
        ("node", "with_ai_sdk.mjs"),
        ("node", "with_openai_node.mjs"),
    ],
)
def test_a_clients_own_parsers_take_the_answers(required: Any, gateway: Running, client: str, script: str) -> None:
    asked = [*command(required, client, script), f"{gateway.url}/v1"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
