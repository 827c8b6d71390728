import numpy as np
import pytest

from classifiers.training import calibrate


def test_platt_finds_scale_and_offset() -> None:
    chance = np.random.default_rng(1)
    logits = chance.normal(0, 2, 6000).astype(np.float32)
    holds = chance.random(6000) < 1 / (1 + np.exp(-(1.7 * logits - 1.2)))
    scale, offset = calibrate.fit_platt(logits, holds)
    assert scale == pytest.approx(1.7, rel=0.1)
    assert offset == pytest.approx(-1.2, abs=0.15)


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


def test_any_of_finds_how_likely_it_is_that_any_label_holds() -> None:
    chance = np.random.default_rng(2)
    logits = chance.normal(-1, 2, (6000, 3)).astype(np.float32)
    summed = np.logaddexp.reduce(logits, axis=1)
    some = chance.random(6000) < 1 / (1 + np.exp(-(1.4 * summed - 0.5)))
    holds = np.zeros((6000, 3), bool)
    holds[some, logits[some].argmax(axis=1)] = True
    assert calibrate.any_of(logits, holds).whole == pytest.approx((1.4, -0.5), abs=0.12)
    assert calibrate.any_of(logits, np.ones((6000, 3), bool)).whole is None


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


def test_scores_that_tell_nothing_keep_to_how_often_a_label_holds_however_long_the_texts() -> None:
    logits, holds = np.zeros(40, np.float32), np.arange(40) % 4 == 0
    fewer = np.where(np.arange(40) < 20, 0.0, 2.0).astype(np.float32)
    scale, offset = calibrate.fit_platt(logits, holds, fewer)
    assert (1 / (1 + np.exp(-(scale * logits + offset - fewer)))).mean() == pytest.approx(holds.mean(), abs=0.03)
