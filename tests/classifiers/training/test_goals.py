"""Thresholds from held-out scores, and whether the policy's goals were reached."""

import json

import numpy as np
import pytest

from classifiers.policy import Policy
from classifiers.training import goals

INTENT = {
    "version": 1,
    "name": "a",
    "kind": "intent",
    "about": "x",
    "labels": {"one": {"means": "one"}, "two": {"means": "two"}},
}


@pytest.mark.parametrize(("wrong", "met"), [(0, True), (60, False)])
def test_a_goal_reached_or_missed_fits_into_the_report(wrong: int, met: bool) -> None:
    policy = Policy.model_validate({**INTENT, "goal": {"max_error": 0.05, "min_answered": 0.6}})
    chance = np.random.default_rng(0)
    truth = chance.integers(0, 2, 100).astype(np.int32)
    named = np.where(np.arange(100) < wrong, 1 - truth, truth)
    sure = np.linspace(0.99, 0.6, 100)
    probabilities = np.where(np.arange(2) == named[:, None], sure[:, None], 1 - sure[:, None]).astype(np.float32)
    chosen = goals.for_one(policy, ("one", "two"), probabilities, truth, "written text")
    record = json.loads(json.dumps(chosen.goals))[0]
    assert record["met"] is met
    assert bool(chosen.missed) is not met
