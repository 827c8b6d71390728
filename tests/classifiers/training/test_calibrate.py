from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifiers.evaluation.metrics import ROUNDING, risk_coverage
from classifiers.model.model import Threshold
from classifiers.runtime.heads import probabilities
from classifiers.training import calibrate


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def bools(*values: int) -> np.ndarray:
    return np.array(values, bool)


@pytest.mark.parametrize("true_scale", [0.3, 1.0, 4.0])
def test_temperature_finds_the_scale_that_made_the_data(true_scale: float) -> None:
    chance = np.random.default_rng(0)
    logits = chance.normal(0, 2, (4000, 5)).astype(np.float32)
    powers = np.exp(logits * true_scale)
    shares = powers / powers.sum(axis=1, keepdims=True)
    truth = np.array([chance.choice(5, p=row) for row in shares], np.int32)
    assert calibrate.temperature(logits, truth) == pytest.approx(true_scale, rel=0.12)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.floats(0, 0.6))
def test_act_for_error_keeps_its_promise_and_answers_all_it_can(pairs: list[tuple[float, bool]], limit: float) -> None:
    confidences = floats(*(confidence for confidence, _ in pairs))
    correct = bools(*(right for _, right in pairs))
    reach = calibrate.act_for_error(confidences, correct, limit)
    most = limit + ROUNDING
    feasible = [threshold for threshold in confidences if (~correct[confidences >= threshold]).mean() <= most]
    if reach is None:
        assert not feasible
    else:
        answered = confidences >= np.float32(reach.act)
        assert (~correct[answered]).mean() <= most
        assert reach.act == pytest.approx(min(feasible))


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans(), st.booleans()), min_size=1, max_size=40),
    st.integers(0, 40),
)
def test_no_other_point_answers_as_much_with_less_error_than_the_nearest(
    rows: list[tuple[float, bool, bool]], least: int
) -> None:
    confidences = floats(*(row[0] for row in rows))
    correct, counted = bools(*(row[1] for row in rows)), bools(*(row[2] for row in rows))
    nearest = calibrate.nearest_reach(confidences, correct, counted, least)
    assert nearest is not None
    answers = int((confidences[counted] >= np.float32(nearest.act)).sum())
    assert answers >= min(least, int(counted.sum()))
    for point in risk_coverage(confidences, correct):
        if (confidences[counted] >= np.float32(point.act)).sum() >= min(least, int(counted.sum())):
            assert point.error >= nearest.error


def safety(probabilities: np.ndarray, holds: np.ndarray, **goal: Any) -> Threshold:
    wanted: dict[str, Any] = {"catch": 0.9, "false_alarms": 0.01, "most_doubt": 0.1, "stated": (), **goal}
    return calibrate.safety_threshold(probabilities, holds=holds, harmless=~holds, **wanted)


def test_a_catch_that_alone_is_stated_takes_what_false_alarms_it_needs() -> None:
    chance = np.random.default_rng(2)
    harmless, harmful = chance.beta(2, 5, 1000), chance.beta(3, 4, 200)
    scores, holds = np.concatenate([harmless, harmful]).astype(np.float32), np.arange(1200) >= 1000
    both = safety(scores, holds, stated=("catch", "false_alarms"))
    alone = safety(scores, holds, stated=("catch",))
    assert alone.act < both.act
    assert (scores[holds] >= np.float32(alone.act)).mean() == 0.9
    apart = np.concatenate([np.full(100, 0.01), np.full(10, 0.9)]).astype(np.float32)
    for stated in (("catch",), ("catch", "false_alarms")):
        assert safety(apart, np.arange(110) >= 100, stated=stated).act == pytest.approx(0.5)


def leaning(rows: int, *, lean: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Scores that are right about three classes, but for the first, to which they add `lean`; and the truth."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(0, 2, (rows, 3))
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (chance.random((rows, 1)) > odds.cumsum(axis=1)).sum(axis=1)
    logits[:, 0] += lean
    return logits.astype(np.float32), np.minimum(truth, 2).astype(np.int32)


def test_a_class_that_is_named_too_readily_is_held_back() -> None:
    found = calibrate.fit_offsets(*leaning(6000, lean=1.0), scale=1.0)
    assert found.offset[0] - found.offset[1:].mean() == pytest.approx(-1, abs=0.15)
    assert found.scale == pytest.approx([1], abs=0.1)


def test_rows_that_calibrate_are_judged_by_what_has_not_seen_them() -> None:
    # labels by chance: whatever offsets learn from a row is wrong about all others
    chance = np.random.default_rng(1)
    scores = chance.normal(0, 1e-3, (60, 20)).astype(np.float32)
    truth = np.repeat(np.arange(20), 3).astype(np.int32)
    chance.shuffle(truth)
    used = np.arange(60) < 50

    def surprise(of: NDArray[np.float32]) -> float:
        return float(-np.log(of[used, truth[used]]).mean())

    calibration = calibrate.fit_offsets(scores[used], truth[used], 1.0)
    fitted = probabilities(calibration, scores, multi_label=False)
    judged = calibrate.unseen(scores, truth, used, calibration, seed=0)
    assert surprise(fitted) < np.log(20) < surprise(judged)
    assert judged[~used] == pytest.approx(fitted[~used])


def test_a_topic_is_named_from_where_few_of_its_names_are_wrong_or_where_f1_is_best() -> None:
    scores = np.linspace(0, 1, 101, dtype=np.float32)
    holds = scores > 0.6
    holds[65] = False
    found = calibrate.topic_threshold(scores, holds=holds, max_error=0.05, most_doubt=0.2)
    named = scores >= found.act
    assert (named & ~holds).sum() / named.sum() <= 0.05
    assert found.act == pytest.approx(0.6, abs=0.02)
    assert (scores[holds] < found.unsure).mean() <= 0.06
    assert ((scores >= found.unsure) & ~named & ~holds).mean() <= 0.2
    scores, holds = floats(0.9, 0.7, 0.6, 0.5, 0.3, 0.1), bools(1, 1, 0, 1, 0, 0)
    assert calibrate.topic_threshold(scores, holds=holds, max_error=None, most_doubt=0.0).act == pytest.approx(0.4)


@pytest.mark.parametrize("positives", [0, 1, 20, 39, 40])
def test_platt_stays_finite_where_all_is_told_apart(positives: int) -> None:
    logits = np.linspace(-3, 3, 40).astype(np.float32)
    scale, offset = calibrate.fit_platt(logits, np.arange(40) >= 40 - positives)
    assert scale > 0
    assert np.isfinite(offset)


def test_platt_keeps_to_how_often_a_label_holds_whose_scores_tell_the_contrary() -> None:
    logits = np.array([-8, -8.2, -7.9, -8.1, -6, -6.2, -6.1, -5.9, -6.05, -6.3], np.float32)
    holds = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 1], bool)
    scale, offset = calibrate.fit_platt(logits, holds)
    assert scale > 0
    assert (1 / (1 + np.exp(-(scale * logits + offset)))).mean() == pytest.approx(holds.mean(), abs=0.05)
