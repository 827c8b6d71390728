from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifiers.evaluation.metrics import ROUNDING, risk_coverage
from classifiers.model.model import NEVER, Threshold
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


@pytest.mark.parametrize(("rows", "least", "most"), [(8, 0.85, 0.95), (400, 0.99, 0.999)])
def test_rows_that_are_all_right_make_verdicts_no_surer_than_they_are_many(
    rows: int, least: float, most: float
) -> None:
    truth = np.arange(rows, dtype=np.int32) % 2
    logits = 2 * np.eye(2, dtype=np.float32)[truth]
    sure = 1 / (1 + np.exp(-2 * calibrate.temperature(logits, truth)))
    assert least < sure < most


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


def test_a_topic_that_no_threshold_keeps_to_its_goal_is_doubted_but_never_named() -> None:
    scores, holds = np.ones(60, np.float32), np.arange(60) < 30
    threshold = calibrate.topic_threshold(scores, holds=holds, max_error=0.05, most_doubt=0.1)
    assert (threshold.act, threshold.unsure) == (NEVER.act, 1.0)


def test_nearest_sentences_count_where_they_make_held_out_text_likelier() -> None:
    truth = np.tile(np.arange(3, dtype=np.int32), 40)
    chance = np.random.default_rng(3)
    logits = chance.normal(0, 1, (120, 3)).astype(np.float32)
    telling = np.full((120, 3), -3, np.float32)
    telling[np.arange(120), truth] = 0
    misleading = chance.normal(0, 6, (120, 3)).astype(np.float32)
    assert calibrate.nearest_share(logits, {20.0: telling}, truth)[1] > 0
    assert calibrate.nearest_share(logits + 4 * telling, {20.0: misleading}, truth)[1] == 0
    assert calibrate.nearest_share(logits[:5], {20.0: telling[:5]}, truth[:5]) == (20.0, 0.5)


def test_what_is_usual_needs_enough_text_to_judge_by() -> None:
    every = np.ones(1001, bool)
    one = np.zeros(1001, np.int32)
    assert calibrate.usual(floats(0.1, 0.2), one[:2], every[:2]) is None
    assert calibrate.usual(np.ones(100, np.float32), one[:100], np.arange(100) < 19) is None
    found = calibrate.usual(np.linspace(0, 10, 1001).astype(np.float32), one, every)
    assert found is not None
    assert found.level == pytest.approx(0.05)
    assert found.width == pytest.approx((5 - 0.05) / 4)
    flat = calibrate.usual(np.ones(100, np.float32), one[:100], every[:100])
    assert flat is not None
    assert (flat.level, flat.width) == (1.0, 0.001)


def told(rows: int, *, lean: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Scores that are right about three classes, but for the first, to which they add `lean`; and the truth."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(0, 2, (rows, 3))
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (chance.random((rows, 1)) > odds.cumsum(axis=1)).sum(axis=1)
    logits[:, 0] += lean
    return logits.astype(np.float32), np.minimum(truth, 2).astype(np.int32)


def test_a_class_that_is_named_too_readily_is_held_back() -> None:
    found = calibrate.fit_offsets(*told(6000, lean=1.0), scale=1.0)
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

    fitted = probabilities(calibrate.fit_offsets(scores[used], truth[used], 1.0), scores, multi_label=False)
    judged = calibrate.unseen(scores, truth, used, 1.0, seed=0)
    assert surprise(fitted) < np.log(20) < surprise(judged)
    assert judged[~used] == pytest.approx(fitted[~used])


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


def test_of_long_texts_the_windows_by_which_they_had_more_chances_are_counted() -> None:
    chance = np.random.default_rng(3)
    logits = chance.normal(0, 2, (8000, 2)).astype(np.float32)
    among = np.where(np.arange(8000) < 4000, 1, 7)
    told = 1.3 * np.logaddexp.reduce(logits, axis=1) - 0.4 - np.log(among)
    some = chance.random(8000) < 1 / (1 + np.exp(-told))
    holds = np.zeros((8000, 2), bool)
    holds[some, logits[some].argmax(axis=1)] = True
    found = calibrate.any_of(logits, holds, among=among)
    assert found.whole == pytest.approx((1.3, -0.4), abs=0.12)
    assert found.chances == pytest.approx(1, abs=0.1)
    unaware = calibrate.any_of(logits, holds)
    assert unaware.whole is not None
    assert unaware.whole[1] < -1
    assert unaware.chances == calibrate.CHANCES
    assert calibrate.any_of(logits[:20], holds[:20], among=np.full(20, 3)).chances == calibrate.CHANCES


def test_a_small_stage_counts_beside_a_large_one_as_far_as_it_knows_something() -> None:
    chance = np.random.default_rng(0)
    holds = chance.random((2000, 3)) < 0.2
    sides = np.where(holds, 1.0, -1.0)

    def seen(noise: float) -> np.ndarray:
        """As likely as an observation with that much noise makes each label, which one in five holds."""
        odds = 2 * (sides + chance.normal(0, noise, holds.shape)) / noise**2 + np.log(0.25)
        return (1 / (1 + np.exp(-odds))).astype(np.float32)

    large, alike, noise = seen(0.8), seen(0.8), np.full(holds.shape, 0.02, np.float32)
    assert calibrate.earlier_share(noise, large, holds) == 0
    assert calibrate.earlier_share(alike, large, holds) >= 0.3
    assert calibrate.earlier_share(large, large, holds) == 0
    assert calibrate.earlier_share(large[:0], large[:0], holds[:0]) == 0
