"""One published model for all commands, and output that no terminal setting of the machine changes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from classifiers.encoder.session import Encoder
from classifiers.policy import Policy
from gateway.cli.main import app
from tests.gateway.conftest import published

_TERMINAL = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "TERMINAL_WIDTH")

Offramp = Callable[..., Result]


@pytest.fixture(scope="session", autouse=True)
def plain_help() -> Iterator[None]:
    """typer reads the environment once, when it first prints an error."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _TERMINAL:
            patch.delenv(name, raising=False)
        import typer.rich_utils

        patch.setattr(typer.rich_utils, "FORCE_TERMINAL", None)
        patch.setattr(typer.rich_utils, "MAX_WIDTH", None)
        yield


@pytest.fixture(autouse=True)
def plain_terminal(plain_help: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide output without colours."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("NO_COLOR", "1")
    for name in _TERMINAL:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def offramp() -> Offramp:
    """offramp(*arguments, stdin=…, env=…): a command in this process."""

    def run(*arguments: object, stdin: bytes | str = b"", env: dict[str, str | None] | None = None) -> Result:
        return CliRunner().invoke(app, [*map(str, arguments)], input=stdin, env=env)

    return run


@pytest.fixture(scope="session")
def bank_dir(prepared_dir: Path, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one version of `bank`, by class centroids. Shared: do not write into it."""
    folder = tmp_path_factory.mktemp("bank") / "models"
    folder.mkdir()
    (folder / "encoders").symlink_to(prepared_dir / "encoders")
    labels = {label: {"means": label} for label in ("greeting", "rate", "card")}
    policy = Policy.model_validate(
        {"version": 1, "name": "bank", "kind": "intent", "about": "tests", "labels": labels, "other": "anything else"}
    )
    published(folder, encoder, policy)
    return folder
