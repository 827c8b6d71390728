"""The grey band asks no more than is allowed, and no more than is of use."""

from collections.abc import Callable

import numpy as np

from classifiers.model import Threshold
from classifiers.policy import LabelGoal, Policy
from classifiers.training import grey

CHANCE = np.random.default_rng(0)


def scores(mean: float, count: int) -> np.ndarray:
    return np.clip(CHANCE.normal(mean, 0.15, (count, 2)), 0, 1).astype(np.float32)


def test_at_most_the_share_asked_for_goes_on() -> None:
    small = np.concatenate([scores(0.3, 500), scores(0.6, 300)])
    harmful = np.arange(800) >= 500
    for share in (0.0, 0.1, 0.3, 1.0):
        limits = grey.band(small, harmful, most_asked=share)
        way = grey.through(small, small, limits)
        assert way.asked[~harmful].mean() <= share
        assert way.flagged[~harmful].mean() <= grey.SURE_ALARMS
        assert 0 <= limits.unsure <= limits.act <= 1


def test_a_band_is_no_wider_than_harmful_text_needs() -> None:
    small = np.concatenate([scores(0.05, 500), np.full((300, 2), 0.8, np.float32)])
    harmful = np.arange(800) >= 500
    limits = grey.band(small, harmful, most_asked=0.5)
    assert limits.unsure == np.float32(0.8)
    assert not grey.through(small, small, limits).asked[~harmful].any()


def test_a_strict_goal_leaves_the_small_stage_less_to_settle() -> None:
    sure = np.linspace(0.95, 0.99, 12)[:, None]
    small = np.concatenate([np.full((1988, 1), 0.1), sure, np.full((2000, 1), 0.94)]).astype(np.float32)
    harmful = np.arange(4000) >= 2000
    loose = grey.band(small, harmful, most_asked=0.3)
    strict = grey.band(small, harmful, most_asked=0.3, goal=LabelGoal(catch=0.999, false_alarms=0.001))
    assert grey.through(small, small, loose).flagged.sum() == 10
    assert grey.through(small, small, strict).flagged.sum() == 1


def test_the_strictest_of_a_policys_goals_counts(make_policy: Callable[..., Policy]) -> None:
    assert grey.strictest(make_policy("safety")) == LabelGoal()
    policy = make_policy("safety", goal={"catch": "99%", "false_alarms": "3%"})
    assert grey.strictest(policy) == LabelGoal(catch=0.99, false_alarms=0.03)


def test_what_the_small_stage_settles_stays_settled() -> None:
    small = np.array([[0.95, 0.1], [0.5, 0.4], [0.1, 0.05]], np.float32)
    large = np.array([[0.0, 0.0], [0.2, 0.7], [1.0, 1.0]], np.float32)
    way = grey.through(small, large, Threshold(act=0.9, unsure=0.3))
    assert way.flagged.tolist() == [True, False, False]
    assert way.asked.tolist() == [False, True, False]
    # beside what is certain another label may be named, by the large stage's thresholds
    assert np.allclose(way.certain(0.9), [[1, 0.1], [0.2, 0.7], [0, 0]])
    assert np.allclose(way.probabilities, [[0.95, 0.1], [0.2, 0.7], [0.1, 0.05]])


def test_text_of_one_sort_alone_still_gives_a_band() -> None:
    small = scores(0.4, 30)
    for harmful in (np.zeros(30, bool), np.ones(30, bool)):
        limits = grey.band(small, harmful, most_asked=0.1)
        assert 0 <= limits.unsure <= limits.act <= 1
