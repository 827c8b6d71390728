"""What an import brings with it, seen in a fresh interpreter."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "transformers", "litellm", "sklearn", "scipy", "onnx", "sympy"}


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "code",
    [
        "import gateway",
        "from classifiers import Runtime, Worker",
        "import gateway.app",
        "import gateway.cli.main",
        "import gateway.server",
    ],
)
def test_nothing_of_training_or_providers_comes_with_serving(code: str) -> None:
    found = modules_after(code)
    assert "json" in found
    assert not found & HEAVY


def test_the_gateways_name_alone_brings_no_web_framework() -> None:
    assert not modules_after("import gateway") & {"fastapi", "uvicorn", "aiohttp", "pydantic", "onnxruntime", "yaml"}


def test_the_command_lines_help_needs_no_web_framework() -> None:
    assert not modules_after("import gateway.cli.main") & {"fastapi", "uvicorn", "aiohttp", "onnxruntime", "numpy"}


def test_importing_reads_no_environment_and_sets_up_no_logging() -> None:
    code = "import logging, gateway.app, classifiers\nassert not logging.getLogger().handlers"
    assert "gateway" in modules_after(code)
