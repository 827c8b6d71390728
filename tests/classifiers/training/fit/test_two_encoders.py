"""Two encoders, each with a head that hands on the vectors it is given."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers.model.model import NEVER, Calibration, EncoderId, Floats, LinearHead, Model, Novelty, Stage
from classifiers.policy import Goal, Policy
from classifiers.runtime import cascade
from classifiers.runtime.heads import probabilities
from classifiers.runtime.thresholds import name_one
from classifiers.training import calibrate, thresholds
from classifiers.training.fit.fitted import MeasuredModel
from classifiers.training.fit.heads import verdict_of
from classifiers.training.fit.two_encoders import joined
from classifiers.training.rows import Row

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
