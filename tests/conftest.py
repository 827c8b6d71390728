"""Fixtures for all tests: the real encoder, prepared once and kept in pytest's cache between runs."""

from pathlib import Path

import pytest

from classifiers.encoder.prepare import prepare
from classifiers.encoder.session import Encoder
from classifiers.encoder.source import resolve


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


@pytest.fixture
def models_dir(tmp_path: Path, prepared_dir: Path) -> Path:
    """A models folder of the test's own, in which the encoder is already prepared."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "encoders").symlink_to(prepared_dir / "encoders")
    return folder
