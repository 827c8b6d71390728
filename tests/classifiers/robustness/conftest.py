"""Text of every odd kind, and training runs on rows that are odd in some way."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.robustness.odd import TEXTS, described
from classifiers.policy import Policy
from classifiers.training.run import TrainingOutcome, train

Train = Callable[..., TrainingOutcome]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `odd` is run on each of the texts."""
    if "odd" in metafunc.fixturenames:
        metafunc.parametrize("odd", TEXTS, ids=list(TEXTS))


@pytest.fixture(scope="session")
def odd_texts() -> Mapping[str, str]:
    """By what is odd about them."""
    return TEXTS


@pytest.fixture(scope="session")
def labels() -> Callable[..., dict[str, Any]]:
    """labels(count, examples=2): as `described` gives them."""
    return described


@pytest.fixture
def run(models_dir: Path, tmp_path: Path, small: Path) -> Train:
    """run(kind, labels, rows, **policy): trains on rows of (text, label), on an encoder of 16 dimensions."""

    def go(kind: str, labels: Mapping[str, Any], rows: Sequence[tuple[str, str]] = (), **more: Any) -> TrainingOutcome:
        policy = {"version": 1, "name": "odd", "kind": kind, "about": "messages to a bank", "labels": labels}
        policy |= {"encoder": str(small), **more}
        if rows:
            lines = (json.dumps({"text": text, "label": label}) for text, label in rows)
            (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
            policy["data"] = "rows.jsonl"
        return train(Policy.model_validate(policy), base_dir=tmp_path, models_dir=models_dir, threads=1)

    return go
