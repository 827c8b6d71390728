import numpy as np
import pytest

from classifiers.training import calibrate
from classifiers.training.fit.ensemble import Pool, pool


def heads(*noises: float, rows: int = 400, classes: int = 5) -> tuple[list[np.ndarray], np.ndarray]:
    """Logits of heads that err apart, each with noise of its own, and the truth."""
    chance = np.random.default_rng(0)
    truth = np.arange(rows, dtype=np.int32) % classes
    clean = 4.0 * np.eye(classes, dtype=np.float32)[truth]
    return [(clean + chance.normal(0, noise, clean.shape)).astype(np.float32) for noise in noises], truth


def test_heads_that_err_apart_are_better_together() -> None:
    (tuned, fitted), truth = heads(2.0, 2.0)
    found = pool(tuned, fitted, truth)
    together = found.tuned * tuned + found.fitted * fitted
    assert min(found.tuned, found.fitted) > 0
    assert calibrate.loss(together, truth) < min(calibrate.loss(tuned, truth), calibrate.loss(fitted, truth))
    assert (together.argmax(axis=1) == truth).mean() > (tuned.argmax(axis=1) == truth).mean()


def test_a_head_that_is_wrong_gets_no_say() -> None:
    (good,), truth = heads(2.0)
    wrong = np.roll(good, 1, axis=1)
    assert pool(good, wrong, truth) == Pool(tuned=1.0, fitted=0.0)
    assert pool(wrong, good, truth) == Pool(tuned=0.0, fitted=1.0)


def test_a_share_does_not_depend_on_how_large_a_heads_logits_are() -> None:
    (tuned, fitted), truth = heads(2.0, 2.0)
    plain, larger = pool(tuned, fitted, truth), pool(10 * tuned, fitted, truth)
    assert larger.fitted == plain.fitted
    assert larger.tuned == pytest.approx(plain.tuned / 10, rel=0.1)
