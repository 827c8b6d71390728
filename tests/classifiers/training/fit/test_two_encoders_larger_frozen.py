"""Whole training runs of a policy that names one label with a small frozen encoder and a larger one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers import Reading, Runtime
from classifiers.encoder.session import Encoder, embed
from classifiers.model import artifact
from classifiers.policy import Policy
from classifiers.runtime import cascade
from classifiers.training.fit import finetune, two_encoders
from classifiers.training.fit.fitted import TuningPlan
from classifiers.training.run import TrainingOutcome, train

FRAMES = {
    "card": ("where is my {} card", "my {} card has not come", "when do you send the {} card", "the {} card is late"),
    "rate": ("what is the {} rate", "how is the {} rate set today", "is the {} rate better now", "tell me the {} rate"),
    "lost": ("I lost my {} wallet", "somebody stole my {} bag", "my {} phone is gone", "I cannot find my {} purse"),
}
WORDS = ("new", "old", "red", "first", "best", "small", "second", "blue", "daily", "other", "green", "last")
TEXTS = ("where can my card be", "which rate do I get", "my keys are gone", "how does the rate of a stolen card change")


Train = Callable[..., TrainingOutcome]


@pytest.fixture
def run(tiny_encoder: str, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    monkeypatch.setattr(two_encoders, "gains", lambda *_: True)
    rows = [(frame.format(word), label) for label, frames in FRAMES.items() for frame in frames for word in WORDS]
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    policy = {
        "version": 1,
        "name": "bank",
        "kind": "intent",
        "about": "messages to a bank",
        "labels": {label: {"means": f"about a {label}"} for label in FRAMES},
        "data": "rows.jsonl",
        "encoder": tiny_encoder,
        "larger_encoder": tiny_encoder,
        "first_stage": False,
    }

    def make(**changes: Any) -> TrainingOutcome:
        return train(Policy.model_validate({**policy, **changes}), base_dir=tmp_path, models_dir=tiny_models, threads=1)

    return make


def test_the_larger_encoder_judges_beside_the_small_one(run: Train, tiny_models: Path) -> None:
    outcome = run()
    assert outcome.accepted, outcome.missed
    settings = outcome.report["settings"]
    assert settings["recipe"] == "cascade"
    told = settings["two_encoders"]
    assert told["accuracy"].keys() == {"small alone", "large alone", "both"}
    assert told["accuracy"]["both"] >= told["accuracy"]["small alone"] - 0.005
    assert 0 <= told["settled_by_first"] <= 1

    held = artifact.load(outcome.folder)
    small, large = held.model.stages
    assert (small.name, small.encoder.own, large.name, large.encoder.own) == ("small", "", "large", "large")
    assert small.thresholds["card"].act >= large.thresholds["card"].act
    runtime = Runtime.load(tiny_models, ["bank"], cache_windows=0)
    verdicts = runtime.classify([Reading(classifier="bank", texts=(text,)) for text in TEXTS])
    encoders: dict[str, Encoder] = dict(runtime.encoders)
    parts = [
        cascade.part(stage, embed(encoders[stage.encoder.sha256], TEXTS), multi_label=False) for stage in (small, large)
    ]
    both = cascade.combine(parts[1], parts[0], multi_label=False).probabilities
    asked = [place for place, verdict in enumerate(verdicts) if verdict.stage == "large"]
    for place, verdict in enumerate(verdicts):
        wanted = both[place] if place in asked else parts[0].probabilities[place]
        assert np.allclose(list(verdict.scores.values()), wanted, atol=0.02), verdict
    assert large.earlier > 0 or np.allclose(both, parts[1].probabilities)


def test_the_larger_encoder_is_tuned_where_that_is_asked_for(run: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "plan_for", lambda *_, **__: TuningPlan(rate=2e-4, epochs=1))
    monkeypatch.setattr(finetune, "is_better", lambda *_: True)
    outcome = run(recipe="finetune", larger_layers=1)
    assert outcome.accepted, outcome.missed
    settings = outcome.report["settings"]
    assert (settings["recipe"], settings["finetune"]["layers"]) == ("cascade", 1)
    assert set(settings["two_encoders"]["accuracy"]) == {"small alone", "large alone", "both"}
    held = artifact.load(outcome.folder)
    assert [(stage.name, stage.encoder.own) for stage in held.model.stages] == [("small", ""), ("large", "large")]
    assert outcome.report["held_out"]["rows"] <= settings["finetune"]["held_out_rows"]
