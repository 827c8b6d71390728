"""Which held-out rows are measured on."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from classifiers.policy import OTHER, Policy
from classifiers.training.operating_points import answerable, measured_on
from classifiers.training.rows import Origin, Row


def rows_of(**counts: tuple[int, int]) -> list[Row]:
    """counts: of a label, or `none`: how many real rows and how many that a writer wrote."""
    found: list[Row] = []
    for label, each in counts.items():
        sources: tuple[Origin, Origin] = ("data", "policy")
        for source, count in zip(sources, each, strict=True):
            held = () if label == "none" else (label,)
            found += [Row(text=f"{label} {n}", labels=held, group=str(n), source=source) for n in range(count)]
    return found


def told(policy: Policy, rows: list[Row]) -> tuple[dict[tuple[str, str], int], str]:
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


def test_where_most_real_rows_are_foreign_written_ones_say_how_sure_a_model_may_be(
    make_policy: Callable[..., Policy],
) -> None:
    rows = rows_of(card_arrival=(150, 40), exchange_rate=(150, 40), lost_card=(150, 40))
    german = [replace(row, foreign="de") if row.source == "data" and int(row.text.split()[-1]) else row for row in rows]
    counts = [int(answerable(make_policy(), one, np.arange(len(one))).sum()) for one in (rows, german)]
    assert counts == [450, 3 + 120]


def test_real_rows_alone_where_they_show_every_class(make_policy: Callable[..., Policy]) -> None:
    rows = rows_of(card_arrival=(100, 9), exchange_rate=(95, 9), lost_card=(5, 9), other=(0, 50))
    assert OTHER == "other"
    assert told(make_policy(), rows) == (
        {("card_arrival", "data"): 100, ("exchange_rate", "data"): 95, ("lost_card", "data"): 5},
        "real rows",
    )
    few = rows_of(card_arrival=(100, 9), exchange_rate=(90, 0))
    assert told(make_policy(), few)[1] == "written and real text"
    assert told(make_policy(), rows_of(card_arrival=(0, 300)))[1] == "written text"


def test_of_one_label_a_class_of_few_real_rows_is_shown_by_as_few_written_ones(
    make_policy: Callable[..., Policy],
) -> None:
    rows = rows_of(card_arrival=(300, 40), exchange_rate=(3, 40), lost_card=(0, 40))
    assert told(make_policy(), rows) == (
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
    assert told(policy, rows_of(**counts)) == (used, "real rows, with written text where those are few")


@pytest.mark.parametrize(("others", "kept"), [(19, 200), (20, 5), (43, 10), (800, 200)])
def test_of_safety_everyday_sentences_count_a_quarter_of_other_harmless_text_once_there_is_enough(
    make_policy: Callable[..., Policy], others: int, kept: int
) -> None:
    rows = rows_of(violence=(0, 30), none=(0, others))
    rows += [Row(text=f"everyday {n}", labels=(), group=f"e{n}", source="builtin") for n in range(200)]
    found, on = told(make_policy("safety", ["violence", "jailbreak"]), rows)
    assert found == {("violence", "policy"): 30, ("none", "policy"): others, ("none", "builtin"): kept}
    assert on == "written text"


def test_of_safety_everyday_sentences_count_no_more_beside_real_rows_that_are_all_harmful(
    make_policy: Callable[..., Policy],
) -> None:
    rows = rows_of(violence=(300, 0), none=(4, 36))
    rows += [Row(text=f"everyday {n}", labels=(), group=f"e{n}", source="builtin") for n in range(200)]
    found, _ = told(make_policy("safety", ["violence"]), rows)
    assert found == {
        ("violence", "data"): 300, ("none", "data"): 4, ("none", "policy"): 36, ("none", "builtin"): 10,
    }  # fmt: skip


def test_everyday_sentences_count_as_ever_where_nothing_is_guarded(make_policy: Callable[..., Policy]) -> None:
    everyday = [Row(text=f"everyday {n}", labels=("other",), group=f"e{n}", source="builtin") for n in range(200)]
    found, _ = told(make_policy(), [*rows_of(card_arrival=(0, 100)), *everyday])
    assert found == {("card_arrival", "policy"): 100, ("other", "builtin"): 200}
