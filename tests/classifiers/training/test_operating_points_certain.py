import numpy as np
import pytest

from classifiers.training.operating_points import EXIT_LEAST_ROWS, RARE, HeldOutScores, choose_exit, highest_share, rare


def told(sure: list[float], right: list[bool], before: list[bool], known: bool = True, rare: int = 0) -> HeldOutScores:
    """rare: how many of the first rows are of a class of their own."""
    probabilities = np.stack([np.array(sure), 1 - np.array(sure)], axis=1).astype(np.float32)
    count = len(sure)
    return HeldOutScores(
        probabilities=probabilities,
        known=np.full(count, known),
        truth=(np.arange(count) < rare).astype(np.int32),
        right=np.array(right, bool),
        before=np.array(before, bool),
        used=np.ones(count, bool),
    )


@pytest.mark.parametrize(("wrong", "total", "share"), [(0, 299, 0.01), (0, 59, 0.05), (5, 5, 1.0), (2, 628, 0.01)])
def test_the_highest_share_is_clopper_and_pearsons(wrong: int, total: int, share: float) -> None:
    assert highest_share(np.array([wrong]), total)[0] == pytest.approx(share, rel=0.02)


def test_all_is_settled_where_nothing_is_lost() -> None:
    point = choose_exit(told([0.9] * 500 + [0.6] * 500, [True] * 1000, [True] * 1000))
    assert point is not None
    assert (point.act, point.settled, point.lost) == (pytest.approx(0.6), 1.0, 0.0)
    assert 0 < point.most_lost < 0.005


def test_the_threshold_stays_above_where_too_much_is_lost() -> None:
    right = [True] * 500 + [False] * 10 + [True] * 490
    point = choose_exit(told([0.9] * 500 + [0.6] * 500, right, [True] * 1000))
    assert point is not None
    assert (point.act, point.settled) == (pytest.approx(0.9), 0.5)


def test_of_labels_with_hardly_any_rows_none_may_be_lost() -> None:
    sure, right = [0.9] * 4 + [0.95] * 1000 + [0.8] * 1000, [False] + [True] * 2003
    lost, many, known = (
        choose_exit(told(sure, right, before, rare=rare))
        for before, rare in (([True] * 2004, 4), ([True] * 2004, 0), (right, 4))
    )
    assert lost is not None
    assert many is not None
    assert known is not None
    assert lost.act == pytest.approx(0.95)
    # one of two thousand rows like it, and one that neither names
    assert many.act == known.act == pytest.approx(0.8)


def test_a_class_is_rare_by_the_rows_that_count() -> None:
    truth = np.repeat(np.arange(3, dtype=np.int32), [RARE, RARE, RARE - 1])
    used = np.arange(len(truth)) != 0
    assert rare(truth, used).nonzero()[0].tolist() == [*range(1, RARE), *range(2 * RARE, 3 * RARE - 1)]
    assert not rare(truth[:0], used[:0]).any()


def test_a_text_that_only_the_first_stage_names_makes_up_for_one_that_it_loses() -> None:
    sure, right = [0.9] * 9000 + [0.6] * 1000, [True] * 9000 + [False] * 30 + [True] * 970
    alone = choose_exit(told(sure, right, [True] * 10_000))
    assert alone is not None
    assert alone.settled == 0.9
    evened = choose_exit(told(sure, right, [True] * 9970 + [False] * 30))
    assert evened is not None
    assert (evened.settled, evened.error, evened.error_before) == (1.0, 0.003, 0.003)


def test_nothing_is_settled_without_enough_to_show_it_or_a_known_word() -> None:
    assert choose_exit(told([0.9] * 400, [True] * 400, [True] * 400)) is None
    assert choose_exit(told([0.9] * 1000, [True] * 1000, [True] * 1000, known=False)) is None
    assert choose_exit(told([0.4] * 1000, [True] * 1000, [True] * 1000)) is not None  # the other class has 0.6
    assert choose_exit(told([], [], [])) is None


def test_the_least_rows_are_those_that_show_it_where_nothing_is_lost() -> None:
    assert (
        choose_exit(told([0.9] * (EXIT_LEAST_ROWS - 1), [True] * (EXIT_LEAST_ROWS - 1), [True] * (EXIT_LEAST_ROWS - 1)))
        is None
    )
    assert choose_exit(told([0.9] * EXIT_LEAST_ROWS, [True] * EXIT_LEAST_ROWS, [True] * EXIT_LEAST_ROWS)) is not None


@pytest.mark.parametrize(("rows", "error", "goal"), [(1000, 0.055, 0.05), (3000, 0.012, 0.01)])
def test_a_goal_that_no_threshold_keeps_is_held_to_be_kept_as_seldom_as_is_promised(
    rows: int, error: float, goal: float
) -> None:
    chance = np.random.default_rng(0)
    kept = 0
    for _ in range(400):
        right = (chance.random(rows) >= error).tolist()
        kept += choose_exit(told(chance.uniform(0.5, 1, rows).tolist(), right, right), max_error=goal) is not None
    # 20 of 400 are promised; 31 would be, by chance, once in a hundred times
    assert kept <= 31


def test_a_stated_goal_holds_for_what_is_settled() -> None:
    # wrong before, too: nothing is lost, but the goal would be missed
    right = [True] * 500 + [False] * 250 + [True] * 250
    sure = [0.9] * 500 + [0.6] * 500
    free = choose_exit(told(sure, right, right))
    bound = choose_exit(told(sure, right, right), max_error=0.02)
    assert free is not None
    assert bound is not None
    assert (free.settled, bound.settled) == (1.0, 0.5)
