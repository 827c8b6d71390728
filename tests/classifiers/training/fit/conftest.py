"""Whole training runs on a tiny encoder that tune for one epoch: about the way that is taken, not about quality."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from classifiers.policy import Policy
from classifiers.training.fit.fitted import TuningPlan
from classifiers.training.run import TrainingOutcome, train

collect_ignore = [] if find_spec("torch") else ["test_finetune.py", "test_torch_export.py", "test_second_stage.py"]
"""Files that import torch."""

WORDS = ["Anna", "Leeds", "onions", "Bruno", "Porto", "carrots", "Chen", "Lyon", "beans", "Dora", "Oslo", "peas"]
TOPICS = {
    "sport": "{} won the match after {} scored in the last minute",
    "cooking": "fry the {} with {} for ten minutes and season it",
    "travel": "the train from {} to {} leaves at noon",
}
Train = Callable[..., TrainingOutcome]


@pytest.fixture
def run(tiny_encoder: str, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """run(kind, progress=…, teacher_factory=…, **policy): a policy about TOPICS; of safety some rows are harmless."""
    from classifiers.training.fit import finetune, two_encoders

    # an epoch and a second encoder count as a gain
    monkeypatch.setattr(finetune, "plan_for", lambda *_, **__: TuningPlan(rate=2e-4, epochs=1))
    monkeypatch.setattr(finetune, "is_better", lambda *_: True)
    monkeypatch.setattr(finetune, "bf16_helps", lambda _: False)
    monkeypatch.setattr(two_encoders, "gains", lambda *_: True)

    def make(kind: str = "topic", progress: Any = None, teacher_factory: Any = None, **changes: Any) -> TrainingOutcome:
        rows = [
            {"text": form.format(one, two), "label": label}
            for label, form in TOPICS.items()
            for one, two in zip(WORDS, WORDS[1:] + WORDS[:1], strict=True)
        ]
        rows += [{"text": f"where can I buy {text}", "label": "none"} for text in WORDS] if kind == "safety" else []
        (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        policy = {
            "version": 1,
            "name": "mail",
            "kind": kind,
            "about": "messages",
            "labels": {label: {"means": f"is about {label}"} for label in TOPICS},
            "data": "rows.jsonl",
            "encoder": tiny_encoder,
            **changes,
        }
        more = {"progress": progress, "teacher_factory": teacher_factory}
        return train(
            Policy.model_validate(policy), base_dir=tmp_path, models_dir=tiny_models, threads=1, seed=0, **more
        )

    return make
