from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from classifiers.model.model import NEVER, Band, Threshold
from classifiers.policy import Goal, Policy
from classifiers.training import operating_points
from classifiers.training.rows import Origin, Row

SHORT, LONG = Band(above=0, up_to=40), Band(above=40, up_to=120)


def test_a_band_in_which_more_is_wrong_than_is_wanted_has_a_threshold_of_its_own() -> None:
    """All at 0.8, but for the wrong short ones, which lie at 0.7."""
    bands, wrong = [SHORT] * 200 + [LONG] * 200, np.arange(400) < 20
    confidences = np.where(wrong, 0.7, 0.8).astype(np.float32)
    assert operating_points.stricter(bands, confidences, ~wrong, np.ones(400), act=0.6, max_error=0.05) == {
        SHORT: np.float32(0.8)
    }


def test_languages_part_texts_only_where_the_policy_names_several(make_policy: Callable[..., Policy]) -> None:
    texts = ["where is my new card?", "wo bleibt denn meine neue Karte?"]
    assert operating_points.of_texts(make_policy(), texts) == [SHORT, SHORT]
    told_apart = operating_points.of_texts(make_policy(languages=["en", "de"]), texts)
    assert [band.language for band in told_apart] == ["en", "de"]


def test_a_kind_of_text_out_of_scope_with_few_rows_weighs_less() -> None:
    kinds = np.array([""] * 50 + ["everyday"] * 200 + ["services"] * 20 + ["other"] * 2)
    weights = operating_points.weights_at(kinds, 0.21)
    shares = {kind: round(float(weights[kinds == kind].sum()), 6) for kind in ("", "everyday", "services", "other")}
    assert shares == {"": 0.79, "everyday": 0.1, "services": 0.1, "other": 0.01}


def scores_of(sure: Any, right: Any, before: Any = None, known: bool = True) -> operating_points.HeldOutScores:
    likely = np.asarray(sure, np.float32)
    count = len(likely)
    return operating_points.HeldOutScores(
        probabilities=np.stack([likely, 1 - likely], axis=1),
        known=np.full(count, known),
        truth=np.zeros(count, np.int32),
        right=np.asarray(right, bool),
        before=np.asarray(right if before is None else before, bool),
        used=np.ones(count, bool),
    )


def test_the_threshold_stays_above_where_too_much_is_lost_or_wrong() -> None:
    sure, right = [0.9] * 500 + [0.6] * 500, [True] * 500 + [False] * 10 + [True] * 490
    assert operating_points.choose_exit(scores_of(sure, right, [True] * 1000)) == pytest.approx(0.9)
    # wrong before, too: nothing is lost, but the goal would be missed
    wrong = [True] * 500 + [False] * 250 + [True] * 250
    for max_error, act in ((1.0, 0.6), (0.02, 0.9)):
        assert operating_points.choose_exit(scores_of(sure, wrong), max_error=max_error) == pytest.approx(act)


def test_nothing_is_settled_without_enough_to_show_it_or_a_known_word() -> None:
    assert operating_points.choose_exit(scores_of([0.9] * 400, [True] * 400)) is None
    assert operating_points.choose_exit(scores_of([0.9] * 1000, [True] * 1000, known=False)) is None
    assert operating_points.choose_exit(scores_of([0.4] * 1000, [True] * 1000)) is not None  # the other class has 0.6
    assert operating_points.choose_exit(scores_of([], [])) is None


@pytest.mark.parametrize(("rows", "error", "goal"), [(1000, 0.055, 0.05), (3000, 0.012, 0.01)])
def test_a_goal_that_no_threshold_keeps_is_held_to_be_kept_as_seldom_as_is_promised(
    rows: int, error: float, goal: float
) -> None:
    chance = np.random.default_rng(0)
    kept = 0
    for _ in range(100):
        right, sure = chance.random(rows) >= error, chance.uniform(0.5, 1, rows)
        kept += operating_points.choose_exit(scores_of(sure, right), max_error=goal) is not None
    # 5 of 100 are promised; 11 would be, by chance, once in a hundred times
    assert kept <= 11


def test_the_strictest_of_a_policys_goals_counts(make_policy: Callable[..., Policy]) -> None:
    assert operating_points.strictest(make_policy("safety")) == Goal().catch
    goal = {"catch": "99%", "false_alarms": "3%"}
    assert operating_points.strictest(make_policy("safety", goal=goal)) == 0.99
    larger = {"cascade": {"encoder": "package:big", "goal": {"catch": "97%"}}}
    assert operating_points.strictest(make_policy("safety", goal=goal, **larger)) == 0.97


def test_what_the_small_stage_clears_stays_clean_and_it_flags_nothing_alone() -> None:
    small = np.array([[1.0, 0.1], [0.5, 0.4], [0.1, 0.05]], np.float32)
    large = np.array([[0.1, 0.0], [0.2, 0.7], [1.0, 1.0]], np.float32)
    way = operating_points.cascade_path(small, large, Threshold(act=NEVER.act, unsure=0.3))
    assert way.asked.tolist() == [True, True, False]
    assert np.allclose(way.certain, [[0.1, 0], [0.2, 0.7], [0, 0]])
    assert np.allclose(way.probabilities, [[0.1, 0], [0.2, 0.7], [0.1, 0.05]])
    assert operating_points.band(small, np.array([True, False, False]), most_asked=0.5).act == NEVER.act


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
    used, on = operating_points.measured_on(policy, rows, np.arange(len(rows)))
    chosen = [row for row, one in zip(rows, used.tolist(), strict=True) if one]
    keys = [(row.labels[0] if row.labels else "none", row.source) for row in chosen]
    return {key: keys.count(key) for key in keys}, on


def test_by_foreign_rows_nothing_is_made_surer_unless_all_are(make_policy: Callable[..., Policy]) -> None:
    rows = [
        Row(text="x", labels=("card_arrival",), group="g", source="data", foreign=one) for one in ("", "de", "", "de")
    ]
    held = np.arange(4)
    assert operating_points.answerable(make_policy(), rows, held).tolist() == [True, False, True, False]
    assert operating_points.answerable(make_policy(), rows, held[[1, 3]]).tolist() == [True, True]
    assert not len(operating_points.answerable(make_policy(), rows, held[:0]))


@pytest.mark.parametrize(
    ("kind", "counts", "used"),
    [
        (
            "intent",
            {"card_arrival": (300, 40), "exchange_rate": (3, 40), "lost_card": (0, 40)},
            {"card_arrival": (300, 0), "exchange_rate": (3, 2), "lost_card": (0, 5)},
        ),
        # 300 harmless rows and no harm; 300 of a harm and nothing harmless, nor the other harm
        (
            "safety",
            {"violence": (0, 20), "jailbreak": (0, 30), "none": (300, 210)},
            {"violence": (0, 20), "jailbreak": (0, 30), "none": (300, 0)},
        ),
        (
            "safety",
            {"violence": (300, 20), "jailbreak": (4, 30), "none": (0, 210)},
            {"violence": (300, 0), "jailbreak": (4, 30), "none": (0, 210)},
        ),
    ],
)
def test_a_class_of_few_real_rows_is_shown_by_written_ones(
    make_policy: Callable[..., Policy], kind: str, counts: dict[str, tuple[int, int]], used: dict[str, tuple[int, int]]
) -> None:
    expected = {
        (label, source): count
        for label, each in used.items()
        for source, count in zip(("data", "policy"), each, strict=True)
        if count
    }
    name = "real rows, with written text where those are few"
    assert counts_of(make_policy(kind), rows_of(**counts)) == (expected, name)


@pytest.mark.parametrize(("others", "kept"), [(19, 200), (20, 5), (43, 10), (800, 200)])
def test_of_safety_everyday_sentences_count_a_quarter_of_other_harmless_text_once_there_is_enough(
    make_policy: Callable[..., Policy], others: int, kept: int
) -> None:
    rows = rows_of(violence=(0, 30), none=(0, others))
    rows += [Row(text=f"everyday {n}", labels=(), group=f"e{n}", source="builtin") for n in range(200)]
    found, on = counts_of(make_policy("safety", ["violence", "jailbreak"]), rows)
    assert found == {("violence", "policy"): 30, ("none", "policy"): others, ("none", "builtin"): kept}
    assert on == "written text"
