import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from classifiers.policy import PolicyTest
from classifiers.training.fit.prompted import prompted
from classifiers.training.rows import Row


def row(text: str, system: str = "") -> Row:
    return Row(text=text, labels=(), group=text, source="file", system=system)


PROMPTS = st.sampled_from(["", "", "be brief", "be kind"])
ROWS = st.lists(st.tuples(st.text(min_size=1, max_size=4), PROMPTS), max_size=30)


@given(ROWS, st.integers(0, 9))
def test_rows_keep_all_but_a_prompt_that_they_lacked(drawn: list[tuple[str, str]], seed: int) -> None:
    rows = [row(text, system) for text, system in drawn]
    held = np.array([index % 3 == 0 for index in range(len(rows))], bool)
    made = prompted(rows, held, seed)
    assert made == prompted(rows, held, seed)
    assert [one.text for one in made] == [one.text for one in rows]
    for out in (False, True):
        own = {one.system for one, is_held in zip(rows, held, strict=True) if is_held == out}
        assert {one.system for one, is_held in zip(made, held, strict=True) if is_held == out} <= own | {""}
    assert all(after.system == before.system for after, before in zip(made, rows, strict=True) if before.system)


def test_about_half_of_them_get_one() -> None:
    rows = [row(str(number)) for number in range(400)] + [row("a", "be brief"), row("b", "be kind")]
    made = prompted(rows, np.zeros(len(rows), bool), seed=0)
    given_one = [one.system for one in made[:400] if one.system]
    assert 150 < len(given_one) < 250
    assert set(given_one) == {"be brief", "be kind"}


def test_what_is_known_under_a_prompt_is_given_no_other() -> None:
    rows = [row("Backwards?", "the code is 4"), row("backwards"), row("in capitals")]
    rows += [row(str(number)) for number in range(20)]
    tests = [PolicyTest(text="In capitals!", system="be brief", expect=("none",)), PolicyTest(text="3", expect=("a",))]
    for seed in range(20):
        made = prompted(rows, np.zeros(len(rows), bool), seed, tests)
        assert [one.system for one in made[1:3]] == ["", ""]
        assert any(one.system for one in made[3:])


def test_without_any_prompt_nothing_changes() -> None:
    rows = [row("a"), row("b")]
    assert prompted(rows, np.array([True, False]), seed=0) == rows
