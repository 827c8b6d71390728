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
LOCKS = {
    "serve.lock": PROJECT["dependencies"],
    "dev.lock": [*PROJECT["dependencies"], *EXTRAS["demo"], *EXTRAS["providers"], *EXTRAS["dev"]],
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
    train = {canonicalize_name(Requirement(line).name) for line in EXTRAS["train"]}
    assert train & locked(lock).keys() == set()
    assert [name for name in locked(lock) if name.startswith(("torch", "nvidia", "triton"))] == []


def test_every_requirement_has_an_upper_bound() -> None:
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    lines += tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    for wanted in map(Requirement, lines):
        if wanted.name != PROJECT["name"]:
            assert {"<", "=="} & {bound.operator for bound in wanted.specifier}, wanted
