"""The wheel, in a clean environment, from another folder: help, init, train, one request."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from openai import OpenAI

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_its_only_top_levels_are_gateway_and_classifiers(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"gateway", "classifiers"}
    assert "gateway/shipped/gateway.yaml" in names
    assert not [name for name in names if name.startswith("tests/") or "/tests/" in name]


def test_the_install_is_light(environment: Path) -> None:
    size = sum(path.stat().st_size for path in environment.rglob("*") if path.is_file() and not path.is_symlink())
    assert size < 750e6
    listed = subprocess.run(
        [str(environment / "bin" / "pip"), "list", "--format=freeze"], capture_output=True, text=True, check=True
    ).stdout
    assert not {line.split("==")[0] for line in listed.splitlines()} & {"torch", "transformers", "litellm"}


def test_from_nothing_to_one_request(environment: Path, tmp_path: Path, start_gateway, monkeypatch) -> None:
    offramp = str(environment / "bin" / "offramp")
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [offramp, *arguments], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "serve" in run("--help")
    assert "offramp train" in run("init")
    run("train", "config/policies/shop-intents.yaml", "config/policies/support-safety.yaml")
    monkeypatch.setattr(sys, "executable", str(environment / "bin" / "python"))
    running = start_gateway(tmp_path / "config" / "gateway.yaml")
    with OpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content == "Hi! How can I help you with your order?"
