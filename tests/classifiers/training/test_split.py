from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from classifiers.training.rows import Row
from classifiers.training.split import folds

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
