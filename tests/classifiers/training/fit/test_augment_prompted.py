from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from classifiers.policy import PolicyTest
from classifiers.training.fit.augment import prompted
from classifiers.training.rows import Row


def row(text: str, system: str = "") -> Row:
    return Row(text=text, labels=(), group=text, source="file", system=system)


PROMPTS = st.sampled_from(["", "", "be brief", "be kind"])
ROWS = st.lists(st.tuples(st.text(min_size=1, max_size=4), PROMPTS), max_size=30)


@given(ROWS, st.integers(0, 9))
def test_rows_stay_and_held_out_ones_get_at_most_a_prompt_that_they_lacked(
    drawn: list[tuple[str, str]], seed: int
) -> None:
    rows = [row(text, system) for text, system in drawn]
    held = np.array([index % 3 == 0 for index in range(len(rows))], bool)
    made = prompted(rows, held, seed)
    assert made == prompted(rows, held, seed)
    own, copies = made[: len(rows)], made[len(rows) :]
    assert [one.text for one in own] == [one.text for one in rows]
    assert all(after == before for after, before, out in zip(own, rows, held, strict=True) if before.system or not out)
    prompts = [{one.system for one, out in zip(rows, held, strict=True) if out == side} for side in (False, True)]
    assert {one.system for one, out in zip(own, held, strict=True) if out} <= prompts[True] | {""}
    assert {one.system for one in copies} <= prompts[False] - {""}
    learned = [one for one, out in zip(rows, held, strict=True) if not out and not one.system]
    assert all(replace(one, system="") in learned for one in copies)


def test_about_half_of_them_get_one() -> None:
    rows = [row(str(number)) for number in range(400)] + [row("a", "be brief"), row("b", "be kind")]
    made = prompted(rows, np.zeros(len(rows), bool), seed=0)
    given_one = [one.system for one in made[len(rows) :]]
    assert 150 < len(given_one) < 250
    assert set(given_one) == {"be brief", "be kind"}
    assert len(prompted(rows, np.ones(len(rows), bool), seed=0)) == len(rows)


def test_what_is_known_under_a_prompt_is_given_no_other() -> None:
    rows = [row("Backwards?", "the code is 4"), row("backwards"), row("in capitals")]
    rows += [row(str(number)) for number in range(20)]
    tests = [PolicyTest(text="In capitals!", system="be brief", expect=("none",)), PolicyTest(text="3", expect=("a",))]
    for seed in range(20):
        copies = prompted(rows, np.zeros(len(rows), bool), seed, tests)[len(rows) :]
        assert copies
        assert not {one.text for one in copies} & {"Backwards?", "backwards", "in capitals"}


def test_without_any_prompt_nothing_changes() -> None:
    rows = [row("a"), row("b")]
    assert prompted(rows, np.array([True, False]), seed=0) == rows
