from collections.abc import Callable

import numpy as np
import pytest

from classifiers.model.model import NEVER, Band, Threshold
from classifiers.policy import OTHER, Goal, Policy
from classifiers.training import operating_points
from classifiers.training.operating_points import (
    HeldOutScores,
    answerable,
    band_summary,
    choose_exit,
    highest_share,
    measured_on,
    of_texts,
    stricter,
)
from classifiers.training.rows import Origin, Row

SHORT, LONG = Band(above=0, up_to=40), Band(above=40, up_to=120)


def rows(wrong_short: int, *, short: int = 200, long: int = 200) -> tuple[list[Band], np.ndarray, np.ndarray]:
    """All at 0.8, but for the wrong short ones, which lie at 0.7."""
    confidences = np.full(short + long, 0.8, np.float32)
    confidences[:wrong_short] = 0.7
    correct = np.ones(short + long, bool)
    correct[:wrong_short] = False
    return [SHORT] * short + [LONG] * long, confidences, correct


def test_a_band_in_which_more_is_wrong_than_is_wanted_has_a_threshold_of_its_own() -> None:
    own = stricter(*rows(20), act=0.6, max_error=0.05)
    assert own == {SHORT: np.float32(0.8)}


def test_where_no_threshold_keeps_to_it_nothing_is_answered() -> None:
    bands, confidences, correct = rows(20)
    confidences[:200] = 1.0
    own = stricter(bands, confidences, correct, act=0.6, max_error=0.05)
    assert own == {SHORT: NEVER.act}
    short = band_summary(bands, confidences, correct, act=0.6, own=own)[0]
    assert (short["act"], short["answered"]) == (1.0, 0.0)


def test_what_is_right_below_the_common_threshold_excuses_nothing_above_it() -> None:
    confidences = np.array([0.95] * 4 + [0.85] * 2 + [0.6] * 54, np.float32)
    correct = np.ones(60, bool)
    correct[4:6] = False
    assert stricter([SHORT] * 60, confidences, correct, act=0.8, max_error=0.05) == {SHORT: np.float32(0.95)}
    correct[:4] = False
    assert stricter([SHORT] * 60, confidences, correct, act=0.8, max_error=0.05) == {SHORT: NEVER.act}


def test_languages_part_texts_only_where_the_policy_names_several(make_policy: Callable[..., Policy]) -> None:
    texts = ["where is my new card?", "wo bleibt denn meine neue Karte?"]
    assert of_texts(make_policy(), texts) == [SHORT, SHORT]
    told_apart = of_texts(make_policy(languages=["en", "de"]), texts)
    assert [band.language for band in told_apart] == ["en", "de"]


def scores_of(
    sure: list[float], right: list[bool], before: list[bool], known: bool = True, rare: int = 0
) -> HeldOutScores:
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


def test_the_threshold_stays_above_where_too_much_is_lost() -> None:
    right = [True] * 500 + [False] * 10 + [True] * 490
    point = choose_exit(scores_of([0.9] * 500 + [0.6] * 500, right, [True] * 1000))
    assert point is not None
    assert (point.act, point.settled) == (pytest.approx(0.9), 0.5)


def test_of_labels_with_hardly_any_rows_none_may_be_lost() -> None:
    sure, right = [0.9] * 4 + [0.95] * 1000 + [0.8] * 1000, [False] + [True] * 2003
    lost, many, known = (
        choose_exit(scores_of(sure, right, before, rare=rare))
        for before, rare in (([True] * 2004, 4), ([True] * 2004, 0), (right, 4))
    )
    assert lost is not None
    assert many is not None
    assert known is not None
    assert lost.act == pytest.approx(0.95)
    # one of two thousand rows like it, and one that neither names
    assert many.act == known.act == pytest.approx(0.8)


def test_a_text_that_only_the_first_stage_names_makes_up_for_one_that_it_loses() -> None:
    sure, right = [0.9] * 9000 + [0.6] * 1000, [True] * 9000 + [False] * 30 + [True] * 970
    alone = choose_exit(scores_of(sure, right, [True] * 10_000))
    assert alone is not None
    assert alone.settled == 0.9
    evened = choose_exit(scores_of(sure, right, [True] * 9970 + [False] * 30))
    assert evened is not None
    assert (evened.settled, evened.error, evened.error_before) == (1.0, 0.003, 0.003)


def test_nothing_is_settled_without_enough_to_show_it_or_a_known_word() -> None:
    assert choose_exit(scores_of([0.9] * 400, [True] * 400, [True] * 400)) is None
    assert choose_exit(scores_of([0.9] * 1000, [True] * 1000, [True] * 1000, known=False)) is None
    assert choose_exit(scores_of([0.4] * 1000, [True] * 1000, [True] * 1000)) is not None  # the other class has 0.6
    assert choose_exit(scores_of([], [], [])) is None


@pytest.mark.parametrize(("rows", "error", "goal"), [(1000, 0.055, 0.05), (3000, 0.012, 0.01)])
def test_a_goal_that_no_threshold_keeps_is_held_to_be_kept_as_seldom_as_is_promised(
    rows: int, error: float, goal: float
) -> None:
    chance = np.random.default_rng(0)
    kept = 0
    for _ in range(100):
        right = (chance.random(rows) >= error).tolist()
        kept += choose_exit(scores_of(chance.uniform(0.5, 1, rows).tolist(), right, right), max_error=goal) is not None
    # 5 of 100 are promised; 11 would be, by chance, once in a hundred times
    assert kept <= 11


def test_a_stated_goal_holds_for_what_is_settled() -> None:
    # wrong before, too: nothing is lost, but the goal would be missed
    right = [True] * 500 + [False] * 250 + [True] * 250
    sure = [0.9] * 500 + [0.6] * 500
    free = choose_exit(scores_of(sure, right, right))
    bound = choose_exit(scores_of(sure, right, right), max_error=0.02)
    assert free is not None
    assert bound is not None
    assert (free.settled, bound.settled) == (1.0, 0.5)


CHANCE = np.random.default_rng(0)


def scores(mean: float, count: int) -> np.ndarray:
    return np.clip(CHANCE.normal(mean, 0.15, (count, 2)), 0, 1).astype(np.float32)


def test_at_most_the_share_asked_for_goes_on() -> None:
    small = np.concatenate([scores(0.3, 500), scores(0.6, 300)])
    harmful = np.arange(800) >= 500
    for share in (0.0, 0.1, 0.3, 1.0):
        limits = operating_points.band(small, harmful, most_asked=share)
        way = operating_points.through(small, small, limits)
        assert way.asked[~harmful].mean() <= share
        assert 0 <= limits.unsure <= 1


def test_the_strictest_of_a_policys_goals_counts(make_policy: Callable[..., Policy]) -> None:
    assert operating_points.strictest(make_policy("safety")) == Goal().catch
    goal = {"catch": "99%", "false_alarms": "3%"}
    assert operating_points.strictest(make_policy("safety", goal=goal)) == 0.99
    larger = {"cascade": {"encoder": "package:big", "goal": {"catch": "97%"}}}
    assert operating_points.strictest(make_policy("safety", goal=goal, **larger)) == 0.97


def test_what_the_small_stage_clears_stays_clean_and_it_flags_nothing_alone() -> None:
    small = np.array([[1.0, 0.1], [0.5, 0.4], [0.1, 0.05]], np.float32)
    large = np.array([[0.1, 0.0], [0.2, 0.7], [1.0, 1.0]], np.float32)
    way = operating_points.through(small, large, Threshold(act=NEVER.act, unsure=0.3))
    assert way.asked.tolist() == [True, True, False]
    assert np.allclose(way.certain, [[0.1, 0], [0.2, 0.7], [0, 0]])
    assert np.allclose(way.probabilities, [[0.1, 0], [0.2, 0.7], [0.1, 0.05]])
    assert operating_points.band(small, np.array([True, False, False]), most_asked=0.5).act == NEVER.act


def test_where_harmless_text_is_certain_to_be_harmful_nothing_is_asked() -> None:
    scores = np.ones((40, 1), np.float32)
    limits = operating_points.band(scores, np.zeros(40, bool), most_asked=0.1)
    assert limits.unsure == NEVER.unsure


def rows_of(**counts: tuple[int, int]) -> list[Row]:
    """counts: of a label, or `none`: how many real rows and how many that a writer wrote."""
    found: list[Row] = []
    for label, each in counts.items():
        sources: tuple[Origin, Origin] = ("data", "policy")
        for source, count in zip(sources, each, strict=True):
            held = () if label == "none" else (label,)
            found += [Row(text=f"{label} {n}", labels=held, group=str(n), source=source) for n in range(count)]
    return found


def counts_of(policy: Policy, rows: list[Row]) -> tuple[dict[tuple[str, str], int], str]:
    used, on = measured_on(policy, rows, np.arange(len(rows)))
    chosen = [row for row, one in zip(rows, used.tolist(), strict=True) if one]
    keys = [(row.labels[0] if row.labels else "none", row.source) for row in chosen]
    return {key: keys.count(key) for key in keys}, on


def test_by_foreign_rows_nothing_is_made_surer_unless_all_are(make_policy: Callable[..., Policy]) -> None:
    rows = [
        Row(text="x", labels=("card_arrival",), group="g", source="data", foreign=one) for one in ("", "de", "", "de")
    ]
    held = np.arange(4)
    assert answerable(make_policy(), rows, held).tolist() == [True, False, True, False]
    assert answerable(make_policy(), rows, held[[1, 3]]).tolist() == [True, True]
    assert not len(answerable(make_policy(), rows, held[:0]))


def test_real_rows_alone_where_they_show_every_class(make_policy: Callable[..., Policy]) -> None:
    rows = rows_of(card_arrival=(100, 9), exchange_rate=(95, 9), lost_card=(5, 9), other=(0, 50))
    assert OTHER == "other"
    assert counts_of(make_policy(), rows) == (
        {("card_arrival", "data"): 100, ("exchange_rate", "data"): 95, ("lost_card", "data"): 5},
        "real rows",
    )
    few = rows_of(card_arrival=(100, 9), exchange_rate=(90, 0))
    assert counts_of(make_policy(), few)[1] == "written and real text"
    assert counts_of(make_policy(), rows_of(card_arrival=(0, 300)))[1] == "written text"


def test_of_one_label_a_class_of_few_real_rows_is_shown_by_as_few_written_ones(
    make_policy: Callable[..., Policy],
) -> None:
    rows = rows_of(card_arrival=(300, 40), exchange_rate=(3, 40), lost_card=(0, 40))
    assert counts_of(make_policy(), rows) == (
        {
            ("card_arrival", "data"): 300,
            ("exchange_rate", "data"): 3,
            ("exchange_rate", "policy"): 2,
            ("lost_card", "policy"): 5,
        },
        "real rows, with written text where those are few",
    )


@pytest.mark.parametrize(
    ("counts", "used"),
    [
        # 300 harmless rows and no harm; 300 of a harm and nothing harmless, nor the other harm
        (
            {"violence": (0, 20), "jailbreak": (0, 30), "none": (300, 210)},
            {("violence", "policy"): 20, ("jailbreak", "policy"): 30, ("none", "data"): 300},
        ),
        (
            {"violence": (300, 20), "jailbreak": (4, 30), "none": (0, 210)},
            {("violence", "data"): 300, ("jailbreak", "data"): 4, ("jailbreak", "policy"): 30, ("none", "policy"): 210},
        ),
    ],
)
def test_of_safety_both_sides_and_each_label_are_measured(
    make_policy: Callable[..., Policy], counts: dict[str, tuple[int, int]], used: dict[tuple[str, str], int]
) -> None:
    policy = make_policy("safety", ["violence", "jailbreak"])
    assert counts_of(policy, rows_of(**counts)) == (used, "real rows, with written text where those are few")


@pytest.mark.parametrize(("others", "kept"), [(19, 200), (20, 5), (43, 10), (800, 200)])
def test_of_safety_everyday_sentences_count_a_quarter_of_other_harmless_text_once_there_is_enough(
    make_policy: Callable[..., Policy], others: int, kept: int
) -> None:
    rows = rows_of(violence=(0, 30), none=(0, others))
    rows += [Row(text=f"everyday {n}", labels=(), group=f"e{n}", source="builtin") for n in range(200)]
    found, on = counts_of(make_policy("safety", ["violence", "jailbreak"]), rows)
    assert found == {("violence", "policy"): 30, ("none", "policy"): others, ("none", "builtin"): kept}
    assert on == "written text"
