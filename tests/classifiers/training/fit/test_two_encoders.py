"""Two encoders for one label, by heads that hand on the vectors that they are given."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers.model.model import NEVER, Calibration, EncoderId, Floats, Head, Novelty, Stage
from classifiers.policy import Goal, Policy
from classifiers.runtime import cascade
from classifiers.runtime.heads import probabilities
from classifiers.runtime.thresholds import name_one
from classifiers.training import calibrate, thresholds
from classifiers.training.fit.ensemble import pool
from classifiers.training.fit.fitted import MeasuredModel
from classifiers.training.fit.heads import measured, verdict_of
from classifiers.training.fit.two_encoders import cascade_model
from classifiers.training.rows import Row

LABELS = ("card", "fee", "rate", "loan")
Truth = NDArray[np.int32]
MakePolicy = Callable[..., Policy]


def truths(count: int = 400) -> Truth:
    return np.random.default_rng(0).choice(len(LABELS), count, p=(0.6, 0.2, 0.1, 0.1)).astype(np.int32)


def seen(truth: Truth, seed: int, strength: float = 2.0) -> Floats:
    """(rows, labels) logits that tell the truth through noise, and lean to some labels."""
    chance = np.random.default_rng(seed)
    clean = strength * np.eye(len(LABELS))[truth] + chance.normal(0, 1, len(LABELS))
    return (clean + chance.normal(0, 1.1, clean.shape)).astype(np.float32)


def fitted(policy: Policy, scores: Floats, truth: Truth, scale: float = 1.0) -> MeasuredModel:
    own = calibrate.fit_offsets(scores, truth, calibrate.temperature(scores, truth))
    calibration: Calibration = replace(own, scale=own.scale * np.float32(scale))
    shares = probabilities(calibration, scores, multi_label=False)
    chosen = thresholds.for_one(policy, LABELS, shares, truth, on="real rows")
    count = len(LABELS)
    stage = Stage(
        encoder=EncoderId(source="package:none", sha256="0" * 64),
        head=Head(classes=LABELS, weights=np.eye(count, dtype=np.float32), bias=np.zeros(count, np.float32)),
        calibration=calibration,
        thresholds=chosen.thresholds,
        novelty=Novelty(prototypes=np.empty((0, count), np.float32), limit=2.0),
    )
    return measured(
        policy,
        rows_of(truth),
        np.arange(len(truth)),
        stages=(stage,),
        chosen=chosen,
        verdicts=[verdict_of(policy, LABELS, row, name_one(LABELS, row, chosen.thresholds), 0.0) for row in shares],
        used=np.ones(len(truth), bool),
        settings={},
    )


def rows_of(truth: Truth) -> list[Row]:
    return [Row(text=f"text {n}", labels=(LABELS[one],), group=str(n), source="data") for n, one in enumerate(truth)]


def together(policy: Policy, truth: Truth, first: MeasuredModel, last: MeasuredModel) -> MeasuredModel:
    both = cascade_model(policy, rows_of(truth), first, last, names=("small", "large"))
    assert both is not None
    return both


def test_the_last_stage_serves_what_was_measured_on_rows_that_both_have(make_policy: MakePolicy) -> None:
    policy, truth = make_policy(labels=LABELS, other=None), truths()
    small, large = seen(truth, 1), seen(truth, 2)
    one, two = fitted(policy, small, truth), fitted(policy, large, truth)
    fewer = replace(one, rows=one.rows[::2], read=one.read[::2], verdicts=one.verdicts[::2], used=one.used[::2].copy())
    both = together(policy, truth, fewer, two)
    assert both.read == fewer.read
    assert len(both.verdicts) == len(both.read) == len(truth) // 2
    first, last = (
        cascade.part(stage, scores[::2], multi_label=False)
        for stage, scores in zip(both.model.stages, (small, large), strict=True)
    )
    served = cascade.combine(last, first, multi_label=False).probabilities
    shares = np.array([[verdict.scores[name] for name in LABELS] for verdict in both.verdicts])
    handed_on = np.array([verdict.stage == "large" for verdict in both.verdicts])
    assert handed_on.any()
    assert served[handed_on] == pytest.approx(shares[handed_on], abs=1e-5)


def test_with_too_few_rows_to_show_it_the_first_stage_settles_not_even_what_it_is_certain_of(
    make_policy: MakePolicy,
) -> None:
    policy, truth = make_policy(labels=LABELS, other=None), truths()
    small = seen(truth, 1)
    small[0] = 1000 * np.eye(len(LABELS))[truth[0]]
    both = together(policy, truth, fitted(policy, small, truth), fitted(policy, seen(truth, 2), truth))
    one = both.model.stages[0]
    assert set(one.thresholds.values()) == {NEVER}
    certain = cascade.part(one, small[:1], multi_label=False)
    assert certain.probabilities.max() == 1
    assert not cascade.settles(certain)
    assert {verdict.stage for verdict in both.verdicts} == {"large"}


def test_an_underconfident_first_stage_answers_nothing_that_the_last_would_leave_open(make_policy: MakePolicy) -> None:
    policy = make_policy(labels=LABELS, other=None, goal=Goal(max_error=0.01, min_answered=0.1))
    truth = truths(1_200)
    small, large = (
        (strength * np.eye(4)[truth] + np.random.default_rng(seed).normal(0, 1, (1_200, 4))).astype(np.float32)
        for strength, seed in ((3, 100), (2.1, 200))
    )
    both = together(policy, truth, fitted(policy, small, truth, 0.3), fitted(policy, large, truth))
    settles, answers = (max(limit.act for limit in stage.thresholds.values()) for stage in both.model.stages)
    assert answers <= settles < NEVER.act


def test_a_goal_counts_no_text_as_answered_that_is_novel_to_the_last_stage(make_policy: MakePolicy) -> None:
    policy, truth = make_policy(labels=LABELS, other=None, goal=Goal(max_error=1, min_answered=0.8)), truths()
    one, two = fitted(policy, seen(truth, 1), truth), fitted(policy, seen(truth, 2), truth)
    novel = tuple(replace(verdict, novelty=3.0 * (place % 4 == 0)) for place, verdict in enumerate(two.verdicts))
    both = together(policy, truth, one, replace(two, verdicts=novel))
    answered = [bool(verdict.labels) for verdict in both.verdicts]
    (goal,) = both.chosen.goals
    assert goal["answered"] == round(sum(answered) / len(truth), 5) < 0.8
    assert both.chosen.missed


def test_two_heads_on_one_encoder_are_pooled_as_far_as_they_err_apart() -> None:
    truth = truths()
    tuned, head = seen(truth, 1), seen(truth, 2)
    pooled = pool(tuned, head, truth)
    mixed = pooled[0] * tuned + pooled[1] * head
    assert calibrate.loss(mixed, truth) < min(calibrate.loss(tuned, truth), calibrate.loss(head, truth))
    larger = pool(10 * tuned, head, truth)
    assert larger == pytest.approx((pooled[0] / 10, pooled[1]), rel=0.1)
    wrong = np.roll(tuned, 1, axis=1)
    assert pool(tuned, wrong, truth) == (1.0, 0.0)
    assert pool(wrong, tuned, truth) == (0.0, 1.0)
