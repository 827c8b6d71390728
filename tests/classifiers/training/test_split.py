from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from classifiers.training.rows import Row
from classifiers.training.split import HeldOutWindows, folds

ROWS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=80)


def rows(pairs: list[tuple[int, int]]) -> list[Row]:
    return [
        Row(text=str(i), labels=(str(label),), group=str(group), source="data")
        for i, (group, label) in enumerate(pairs)
    ]


@given(ROWS, st.integers(2, 6), st.integers(0, 5))
def test_groups_stay_whole_and_the_seed_decides(pairs: list[tuple[int, int]], count: int, seed: int) -> None:
    dealt = folds(rows(pairs), count, seed)
    assert set(dealt.tolist()) <= set(range(count))
    fold_of: dict[int, int] = {}
    for (group, _), fold in zip(pairs, dealt.tolist(), strict=True):
        assert fold_of.setdefault(group, fold) == fold
    assert dealt.tolist() == folds(rows(pairs), count, seed).tolist()


def test_labels_are_spread_evenly() -> None:
    pairs = [(index, index % 3) for index in range(60)]
    dealt = folds(rows(pairs), 5, 0)
    counts = Counter((label, fold) for (_, label), fold in zip(pairs, dealt.tolist(), strict=True))
    assert set(counts.values()) == {4}


def test_a_rare_label_is_in_as_many_folds_as_it_has_groups() -> None:
    pairs = [(index, 0) for index in range(97)] + [(100, 1), (101, 1), (102, 1)]
    dealt = folds(rows(pairs), 5, 0)
    assert len(set(dealt[-3:].tolist())) == 3


def test_rows_are_shown_among_calm_ones_as_well() -> None:
    logits = np.arange(10, dtype=np.float32)[:, None]
    held = HeldOutWindows(rows=np.array([4, 7, 9]), logits=logits, starts=np.array([0, 3, 8]))
    shown = held.amid(np.array([2]), seed=0)
    assert shown.rows.tolist() == [4, 7, 9, 4, 7, 9]
    assert shown.starts[:3].tolist() == [0, 3, 8]
    ends = [*shown.starts[1:].tolist(), len(shown.logits)]
    for row, (start, end) in enumerate(zip(shown.starts[3:].tolist(), ends[3:], strict=True)):
        own, among = held.starts[row], shown.logits[start:end, 0].tolist()
        size = (3, 5, 2)[row]
        assert among[:size] == logits[own : own + size, 0].tolist()
        # the calm row is the last one: windows 8 and 9, one to thirty times
        assert among[size:] == [8.0, 9.0] * ((len(among) - size) // 2)
        assert 1 <= (len(among) - size) // 2 <= 30
    assert held.amid(np.array([], np.intp), seed=0) is held
