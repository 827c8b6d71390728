import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from classifiers.evaluation import metrics

SCORED = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=4, max_size=60).filter(
    lambda pairs: len({holds for _, holds in pairs}) == 2
)


def arrays(pairs: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score / 8 for score, _ in pairs], np.float32), np.array([holds for _, holds in pairs], bool)


@given(st.integers(0, 1000), st.integers(0, 400))
def test_counts_that_a_share_bounds_are_exact(permille: int, total: int) -> None:
    exact = Fraction(permille, 1000) * total
    for share in (permille / 1000, permille / 10 / 100):
        assert metrics.fewest(share, total) == math.ceil(exact)
        assert metrics.most(share, total) == math.floor(exact)


@given(SCORED)
def test_areas_are_those_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    scores, holds = arrays(pairs)
    assert metrics.average_precision(scores, holds) == pytest.approx(average_precision_score(holds, scores))
    assert metrics.auroc(scores, holds) == pytest.approx(roc_auc_score(holds, scores))


@given(SCORED, st.sampled_from([0.0, 0.01, 0.1, 0.5]))
def test_recall_at_false_alarms_is_the_best_threshold_that_keeps_to_them(pairs: list, share: float) -> None:
    scores, holds = arrays(pairs)
    thresholds = [*sorted(set(scores.tolist())), 2.0]
    best = max(
        (scores[holds] >= threshold).mean() for threshold in thresholds if (scores[~holds] >= threshold).mean() <= share
    )
    assert metrics.recall_at_false_alarms(scores, holds, share) == pytest.approx(best)


def test_calibration_error() -> None:
    confidences = np.array([0.95, 0.95, 0.55, 0.55, 1.0], np.float32)
    bins = metrics.reliability(confidences, np.array([1, 1, 1, 0, 1], bool))
    assert sum(entry["rows"] for entry in bins) == 5
    assert metrics.expected_calibration_error(bins) == pytest.approx((0.05 * 2 + 0.05 * 2 + 0) / 5, abs=0.01)
    assert metrics.expected_calibration_error([]) is None


def test_nothing_to_measure_is_none() -> None:
    none, scores = np.zeros(3, bool), np.zeros(3, np.float32)
    for holds in (none, ~none):
        assert {value for name, value in metrics.ranks(scores, holds).items() if "interval" not in name} == {None}
        assert metrics.precision_recall(scores, holds) == []
    assert metrics.average_precision(scores, none) is None
