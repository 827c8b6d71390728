"""How often a model contradicts itself, and what that leaves for a contract."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts.consistency import MOST, RepeatedAnswers, share

SHARES = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6)


@given(st.lists(SHARES, min_size=1, max_size=5))
def test_nobody_disagrees_less_than_inconsistency_leaves_room_for(texts: list[list[float]]) -> None:
    """texts: of each, how often each answer is given."""
    parts = [np.array(one) / sum(one) for one in texts]
    differ = float(np.mean([1 - (part**2).sum() for part in parts]))
    best = float(np.mean([1 - part.max() for part in parts]))
    assert 1 - math.sqrt(1 - differ) <= best + 1e-12


@pytest.mark.parametrize(
    ("asked", "differ", "target", "refused"),
    [
        (300, 30, 0.02, True),
        (300, 30, 0.08, False),
        (300, 0, 0.02, False),
        (40, 4, 0.02, False),
        (19, 19, 0.02, False),
        (20, 20, 0.02, True),
    ],
)
def test_only_what_is_out_of_reach_beyond_doubt_is_refused(
    asked: int, differ: int, target: float, *, refused: bool
) -> None:
    seen = [(0.9, number >= differ) for number in range(asked)]
    assert bool(RepeatedAnswers.of(seen).refusal(target)) is refused


def test_repeats_stop_when_enough_is_known_and_go_on_where_refused() -> None:
    assert share(0.02, known=0, refused=False) == 0.02
    assert share(0.02, known=MOST, refused=False) == 0
    assert 0 < share(0.02, known=MOST, refused=True) < 0.02
