"""The grey band asks no more than is allowed, and no more than is of use."""

from collections.abc import Callable

import numpy as np

from classifiers.model.model import NEVER, Threshold
from classifiers.policy import LabelGoal, Policy
from classifiers.training import operating_points

CHANCE = np.random.default_rng(0)


def scores(mean: float, count: int) -> np.ndarray:
    return np.clip(CHANCE.normal(mean, 0.15, (count, 2)), 0, 1).astype(np.float32)


def test_at_most_the_share_asked_for_goes_on() -> None:
    small = np.concatenate([scores(0.3, 500), scores(0.6, 300)])
    harmful = np.arange(800) >= 500
    for share in (0.0, 0.1, 0.3, 1.0):
        limits = operating_points.band(small, harmful, most_asked=share)
        way = operating_points.through(small, small, limits)
        assert way.asked[~harmful].mean() <= share
        assert 0 <= limits.unsure <= 1


def test_shares_that_floats_hold_inexactly_are_counted_exactly() -> None:
    small = np.linspace(0.001, 1, 100, dtype=np.float32)[:, None]
    limits = operating_points.band(small, np.zeros(100, bool), most_asked=0.57)
    assert operating_points.through(small, small, limits).asked.sum() == 57


def test_a_band_is_no_wider_than_harmful_text_needs() -> None:
    small = np.concatenate([scores(0.05, 500), np.full((300, 2), 0.8, np.float32)])
    harmful = np.arange(800) >= 500
    limits = operating_points.band(small, harmful, most_asked=0.5)
    assert limits.unsure == np.float32(0.8)
    assert not operating_points.through(small, small, limits).asked[~harmful].any()


def test_a_strict_goal_leaves_the_small_stage_less_to_clear() -> None:
    low = np.linspace(0.2, 0.3, 10)[:, None]
    small = np.concatenate([np.full((2000, 1), 0.1), low, np.full((1990, 1), 0.9)]).astype(np.float32)
    harmful = np.arange(4000) >= 2000
    cleared = [
        (
            ~operating_points.through(
                small, small, operating_points.band(small, harmful, most_asked=0.3, catch=catch)
            ).asked[harmful]
        ).sum()
        for catch in (0.95, 0.999)
    ]
    assert cleared == [10, 1]


def test_the_strictest_of_a_policys_goals_counts(make_policy: Callable[..., Policy]) -> None:
    assert operating_points.strictest(make_policy("safety")) == LabelGoal().catch
    goal = {"catch": "99%", "false_alarms": "3%"}
    assert operating_points.strictest(make_policy("safety", goal=goal)) == 0.99
    larger = {"larger_encoder": "package:big", "larger_goal": {"catch": "97%"}}
    assert operating_points.strictest(make_policy("safety", goal=goal, **larger)) == 0.97


def test_what_the_small_stage_clears_stays_clean_and_it_flags_nothing_alone() -> None:
    small = np.array([[1.0, 0.1], [0.5, 0.4], [0.1, 0.05]], np.float32)
    large = np.array([[0.1, 0.0], [0.2, 0.7], [1.0, 1.0]], np.float32)
    way = operating_points.through(small, large, Threshold(act=NEVER.act, unsure=0.3))
    assert way.asked.tolist() == [True, True, False]
    assert np.allclose(way.certain, [[0.1, 0], [0.2, 0.7], [0, 0]])
    assert np.allclose(way.probabilities, [[0.1, 0], [0.2, 0.7], [0.1, 0.05]])
    assert operating_points.band(small, np.array([True, False, False]), most_asked=0.5).act == NEVER.act


def test_text_of_one_sort_alone_still_gives_a_band() -> None:
    small = scores(0.4, 30)
    for harmful in (np.zeros(30, bool), np.ones(30, bool)):
        limits = operating_points.band(small, harmful, most_asked=0.1)
        assert 0 <= limits.unsure <= 1


def test_where_harmless_text_is_certain_to_be_harmful_nothing_is_asked() -> None:
    scores = np.ones((40, 1), np.float32)
    limits = operating_points.band(scores, np.zeros(40, bool), most_asked=0.1)
    assert limits.unsure == NEVER.unsure
