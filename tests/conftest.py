"""Fixtures for all tests: the real encoder, prepared once and kept in pytest's cache between runs."""

import importlib
import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from classifiers.encoder.prepare import prepare
from classifiers.encoder.session import Encoder
from classifiers.encoder.source import resolve
from classifiers.text.language import LanguageDetector

# how fast examples are made and run tells of the machine and its load, not of the code
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def saturates() -> bool:
    """Whether sums of int8 products saturate here, as on x86 without VNNI, so that int8 keeps less of 32 bits."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8") if info.exists() else ""
    return "vnni" not in flags


@pytest.fixture(scope="session")
def prepared_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder that holds the prepared default encoder. Shared: do not write into it."""
    cache = getattr(request.config, "cache", None)
    folder = Path(cache.mkdir("models")) if cache else tmp_path_factory.mktemp("models")
    prepare(resolve(None), folder)
    return folder


@pytest.fixture(scope="session")
def encoder(prepared_dir: Path) -> Encoder:
    """The real encoder, on one thread."""
    return Encoder.open(prepare(resolve(None), prepared_dir))


@pytest.fixture(scope="session")
def detector() -> LanguageDetector:
    """The real detector of languages; it takes the better part of a second to open."""
    return LanguageDetector()


@pytest.fixture
def models_dir(tmp_path: Path, prepared_dir: Path) -> Path:
    """A models folder of the test's own, in which the encoder is already prepared."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "encoders").symlink_to(prepared_dir / "encoders")
    return folder


class Required:
    """Real parts that tests run against: a missing one skips the test, with the line that installs it.

    Where OFFRAMP_CI is set nothing skips: it fails.
    """

    def program(self, name: str, install: str) -> str:
        """A program's path."""
        path = shutil.which(name)
        if path is None:
            self._missing(name, install)
        return str(path)

    def module(self, name: str, install: str) -> ModuleType:
        """An imported package."""
        try:
            return importlib.import_module(name)
        except ImportError:
            self._missing(name, install)
            raise

    def _missing(self, name: str, install: str) -> None:
        message = f"{name} is not installed; {install}"
        if os.environ.get("OFFRAMP_CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)


@pytest.fixture(scope="session")
def required() -> Required:
    """required.program("prometheus", "apt-get install prometheus"); required.module("playwright", "pip install …")."""
    return Required()
