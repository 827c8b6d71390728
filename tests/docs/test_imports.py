"""What an import brings with it, seen in a fresh interpreter."""

import json
import subprocess
import sys

import pytest

import classifiers

HEAVY = {"torch", "transformers", "litellm", "sklearn", "scipy", "onnx", "sympy"}


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "code", ["from classifiers import Runtime, Worker", "import gateway.app", "import gateway.cli.main, gateway.server"]
)
def test_nothing_of_training_or_providers_comes_with_serving(code: str) -> None:
    found = modules_after(code)
    assert "json" in found
    assert not found & HEAVY


@pytest.mark.parametrize(
    ("code", "unneeded"),
    [
        ("import gateway", {"fastapi", "uvicorn", "aiohttp", "onnxruntime", "pydantic", "yaml"}),
        ("import gateway.cli.main", {"fastapi", "uvicorn", "aiohttp", "onnxruntime", "numpy"}),
    ],
)
def test_neither_the_name_nor_the_help_brings_a_web_framework(code: str, unneeded: set[str]) -> None:
    assert not modules_after(code) & unneeded


def test_importing_reads_no_environment_and_sets_up_no_logging() -> None:
    code = "import logging, gateway.app, classifiers\nassert not logging.getLogger().handlers"
    assert "gateway" in modules_after(code)


def test_the_classifiers_surface_is_sorted_and_importable() -> None:
    assert classifiers.__all__ == sorted(set(classifiers.__all__))
    assert all(hasattr(classifiers, name) for name in classifiers.__all__)
