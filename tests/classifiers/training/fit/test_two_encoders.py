"""Two encoders: heads that hand on the vectors that they are given, and whole training runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers import Reading, Runtime
from classifiers.encoder.session import Encoder, embed
from classifiers.model import artifact
from classifiers.model.model import NEVER, Calibration, EncoderId, Floats, LinearHead, Model, Novelty, Stage
from classifiers.policy import Goal, Policy
from classifiers.runtime import cascade
from classifiers.runtime.heads import probabilities
from classifiers.runtime.thresholds import name_one
from classifiers.training import calibrate, thresholds
from classifiers.training.fit import finetune, two_encoders
from classifiers.training.fit.fitted import MeasuredModel, TuningPlan
from classifiers.training.fit.heads import verdict_of
from classifiers.training.fit.two_encoders import joined
from classifiers.training.rows import Row
from classifiers.training.run import TrainingOutcome, train

LABELS = ("card", "fee", "rate", "loan")
ROWS = 400


@pytest.fixture
def policy(make_policy: Callable[..., Policy]) -> Policy:
    return make_policy(labels=LABELS, other=None)


def seen(truth: NDArray[np.int32], seed: int) -> Floats:
    """(rows, labels) logits that tell the truth through noise, and lean to some labels."""
    chance = np.random.default_rng(seed)
    clean = 2 * np.eye(len(LABELS))[truth] + chance.normal(0, 1, len(LABELS))
    return (clean + chance.normal(0, 1.1, clean.shape)).astype(np.float32)


def fitted(policy: Policy, scores: Floats, calibration: Calibration, truth: NDArray[np.int32]) -> MeasuredModel:
    told = probabilities(calibration, scores, multi_label=False)
    chosen = thresholds.for_one(policy, LABELS, told, truth, on="real rows")
    stage = Stage(
        encoder=EncoderId(source="package:none", sha256="0" * 64),
        head=LinearHead(
            classes=LABELS, weights=np.eye(len(LABELS), dtype=np.float32), bias=np.zeros(len(LABELS), np.float32)
        ),
        calibration=calibration,
        thresholds=chosen.thresholds,
        novelty=Novelty(prototypes=np.empty((0, len(LABELS)), np.float32), limit=2.0),
    )
    return MeasuredModel(
        model=Model(policy=policy, stages=(stage,)),
        chosen=chosen,
        rows=np.arange(len(truth)),
        read=tuple(rows_of(truth)),
        verdicts=tuple(verdict_of(policy, LABELS, row, name_one(LABELS, row, chosen.thresholds), 0.0) for row in told),
        used=np.ones(len(truth), bool),
        settings={},
    )


def rows_of(truth: NDArray[np.int32]) -> list[Row]:
    return [Row(text=f"text {n}", labels=(LABELS[one],), group=str(n), source="data") for n, one in enumerate(truth)]


def together(policy: Policy, small: Floats, large: Floats, truth: NDArray[np.int32]) -> MeasuredModel:
    own = [calibrate.fit_offsets(scores, truth, calibrate.temperature(scores, truth)) for scores in (small, large)]
    assert np.abs(own[1].offset).max() > 0.5
    one, two = (fitted(policy, scores, by, truth) for scores, by in zip((small, large), own, strict=True))
    both = joined(policy, rows_of(truth), one, two, names=("small", "large"))
    assert both is not None
    return both


@pytest.fixture
def truth() -> NDArray[np.int32]:
    return np.random.default_rng(0).choice(len(LABELS), ROWS, p=(0.6, 0.2, 0.1, 0.1)).astype(np.int32)


def test_the_last_stage_serves_what_was_measured(policy: Policy, truth: NDArray[np.int32]) -> None:
    small, large = seen(truth, 1), seen(truth, 2)
    both = together(policy, small, large, truth)
    one, two = both.model.stages
    before, told = (cascade.part(stage, scores, multi_label=False) for stage, scores in ((one, small), (two, large)))
    served = cascade.combine(told, before, multi_label=False).probabilities
    measured = np.array([[verdict.scores[name] for name in LABELS] for verdict in both.verdicts])
    handed_on = np.array([verdict.stage == "large" for verdict in both.verdicts])
    assert handed_on.any()
    assert served[handed_on] == pytest.approx(measured[handed_on], abs=1e-5)


def test_with_too_few_rows_to_show_it_the_first_stage_settles_not_even_what_it_is_certain_of(
    policy: Policy, truth: NDArray[np.int32]
) -> None:
    small = seen(truth, 1)
    small[0] = 1000 * np.eye(len(LABELS))[truth[0]]
    both = together(policy, small, seen(truth, 2), truth)
    one = both.model.stages[0]
    assert set(one.thresholds.values()) == {NEVER}
    certain = cascade.part(one, small[:1], multi_label=False)
    assert certain.probabilities.max() == 1
    assert not cascade.settles(certain)
    assert {verdict.stage for verdict in both.verdicts} == {"large"}


def test_an_underconfident_first_stage_answers_nothing_that_the_last_would_leave_open(
    make_policy: Callable[..., Policy],
) -> None:
    policy = make_policy(labels=LABELS, other=None, goal=Goal(max_error=0.01, min_answered=0.1))
    truth = np.random.default_rng(0).choice(len(LABELS), 1_200, p=(0.6, 0.2, 0.1, 0.1)).astype(np.int32)
    small, large = (
        (strength * np.eye(len(LABELS))[truth] + np.random.default_rng(seed).normal(0, 1, (1_200, 4))).astype(
            np.float32
        )
        for strength, seed in ((3, 100), (2.1, 200))
    )
    own = [calibrate.fit_offsets(scores, truth, calibrate.temperature(scores, truth)) for scores in (small, large)]
    own[0] = replace(own[0], scale=own[0].scale * np.float32(0.3))
    one, two = (fitted(policy, scores, by, truth) for scores, by in zip((small, large), own, strict=True))
    both = joined(policy, rows_of(truth), one, two, names=("small", "large"))
    assert both is not None
    settles, answers = (max(limit.act for limit in stage.thresholds.values()) for stage in both.model.stages)
    assert answers <= settles < NEVER.act


def test_what_is_told_of_both_is_of_the_rows_that_both_have_held_out(policy: Policy, truth: NDArray[np.int32]) -> None:
    small, large = seen(truth, 1), seen(truth, 2)
    own = [calibrate.fit_offsets(scores, truth, calibrate.temperature(scores, truth)) for scores in (small, large)]
    one, two = (fitted(policy, scores, by, truth) for scores, by in zip((small, large), own, strict=True))
    fewer = replace(one, rows=one.rows[::2], read=one.read[::2], verdicts=one.verdicts[::2], used=one.used[::2].copy())
    both = joined(policy, rows_of(truth), fewer, two, names=("small", "large"))
    assert both is not None
    assert both.read == fewer.read
    assert len(both.verdicts) == len(both.read) == ROWS // 2


def test_a_goal_counts_no_text_as_answered_that_is_novel_to_the_last_stage(
    make_policy: Callable[..., Policy], truth: NDArray[np.int32]
) -> None:
    policy = make_policy(labels=LABELS, other=None, goal=Goal(max_error=1, min_answered=0.8))
    small, large = seen(truth, 1), seen(truth, 2)
    own = [calibrate.fit_offsets(scores, truth, calibrate.temperature(scores, truth)) for scores in (small, large)]
    one, two = (fitted(policy, scores, by, truth) for scores, by in zip((small, large), own, strict=True))
    novel = tuple(replace(verdict, novelty=3.0 * (place % 4 == 0)) for place, verdict in enumerate(two.verdicts))
    both = joined(policy, rows_of(truth), one, replace(two, verdicts=novel), names=("small", "large"))
    assert both is not None
    answered = [bool(verdict.labels) for verdict in both.verdicts]
    (goal,) = both.chosen.goals
    assert goal["answered"] == round(sum(answered) / ROWS, 5) < 0.8
    assert both.chosen.missed


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
