"""One published model for all commands, and output that no terminal setting of the machine changes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from classifiers.encoder.session import Encoder, embed
from classifiers.model import artifact
from classifiers.model.model import Calibration, LinearHead, Model, Novelty, Stage
from classifiers.model.registry import Registry
from classifiers.policy import Policy

_TERMINAL = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "TERMINAL_WIDTH")


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
    vectors = embed(encoder, list(policy.learned))
    stage = Stage(
        encoder=encoder.id,
        head=LinearHead(classes=tuple(policy.learned), weights=vectors, bias=np.zeros(len(vectors), np.float32)),
        calibration=Calibration(scale=np.full(1, 12, np.float32), offset=np.zeros(len(vectors), np.float32)),
        thresholds={},
        novelty=Novelty(prototypes=vectors, limit=0.6),
    )
    registry = Registry(folder)
    with registry.staging("bank") as staged:
        artifact.save(Model(policy=policy, stages=(stage,)), staged, report={})
        registry.publish("bank", staged)
    return folder
