"""Write the artifact beside its place, load it again, hold it against the model in memory, then publish it."""

import platform
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from classifiers import artifact
from classifiers.cascade import score
from classifiers.errors import TrainingError
from classifiers.model import Floats, Model
from classifiers.registry import Registry
from classifiers.report import card, html

_TOOLS = ("numpy", "onnxruntime", "scikit-learn", "tokenizers")
REFUSED = "refused"
"""Beside a classifier's versions: the report of the last training that missed its goals."""


def publish(
    model: Model,
    report: Mapping[str, Any],
    models_dir: Path,
    samples: Sequence[Floats],
    *,
    seed: int,
    encoders: Mapping[str, Path] | None = None,
    beside: bool = False,
    now: datetime | None = None,
) -> tuple[str, Path]:
    """(version, folder). samples: for each stage, (n, dimensions) vectors on which the reloaded model must agree with
    this one. encoders: the folders of the model's own encoders, as of `artifact.save`. beside: propose it instead of
    putting it in use. now: what the version is named for, as of `Registry.publish`.

    Raises TrainingError where it does not, OSError where the folder cannot be written.
    """
    registry = Registry(models_dir)
    with registry.staging(model.policy.name) as folder:
        artifact.save(
            model, folder, report=report, encoders=encoders, files=_pages(report), seed=seed, made_with=made_with()
        )
        again = artifact.load(folder).model
        for stage, loaded, sample in zip(model.stages, again.stages, samples, strict=True):
            if not np.array_equal(score(stage, sample)[0], score(loaded, sample)[0]):
                raise TrainingError(f"{model.policy.name}: the saved model does not predict as the trained one does")
        name = registry.publish(model.policy.name, folder, now, beside=beside)
    shutil.rmtree(models_dir / model.policy.name / REFUSED, ignore_errors=True)
    return name, registry.resolve(model.policy.name, name)


def refuse(model: Model, report: Mapping[str, Any], models_dir: Path) -> Path:
    """Leave the report of a model that is not published, for whoever wants to know why; nothing else changes."""
    registry = Registry(models_dir)
    target = models_dir / model.policy.name / REFUSED
    with registry.staging(model.policy.name) as folder:
        for name, text in {**_pages(report), artifact.REPORT: artifact.report_text(report)}.items():
            (folder / name).write_text(text, encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        folder.chmod(0o755)
        folder.rename(target)
    return target


def made_with() -> dict[str, str]:
    """Versions of what the weights depend on."""
    return {"python": platform.python_version(), **{tool: version(tool) for tool in _TOOLS}}


def _pages(report: Mapping[str, Any]) -> dict[str, str]:
    return {html.FILE: html.page(report), card.FILE: card.page(report)}
