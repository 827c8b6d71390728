import re
from dataclasses import replace

import pytest

from classifiers.errors import TrainingError
from classifiers.policy import Policy
from classifiers.training.fit.tuning_set import held_out, tuning_set_of
from classifiers.training.rows import Row


def row(group: str, *, probe: bool = True) -> Row:
    return Row(text="a", labels=("a",), group=group, source="file", probe=probe)


def test_what_stands_for_messages_is_held_out_however_much_else_there_is() -> None:
    values = [row("slot person", probe=False)] * 200
    held = held_out([*values, *(row(str(index)) for index in range(100))], seed=0)
    assert not held[:200].any()
    assert held[200:].sum() == 20


def test_of_one_group_nothing_can_be_held_out() -> None:
    with pytest.raises(TrainingError, match="fine-tuning needs rows of at least two groups"):
        held_out([row("one")] * 50, seed=0)


@pytest.mark.parametrize("seed", range(2))
def test_a_huge_group_is_learned_from(seed: int) -> None:
    huge = [row("huge")] * 600
    held = held_out([*huge, *(row(str(index)) for index in range(400))], seed)
    assert not held[:600].any()
    assert 50 < held.sum() < 200


@pytest.mark.parametrize("seed", range(4))
def test_a_label_keeps_most_of_what_it_is_learned_from(seed: int) -> None:
    rows = [replace(row(f"{name}/means"), labels=(name,)) for name in "abcdefg" for _ in range(5)]
    rows += [replace(row(f"{name}/name"), labels=(name,)) for name in "abcdefg"]
    held = held_out(rows, seed)
    assert held.any()
    assert not held[:35].any()


@pytest.mark.parametrize("seed", range(4))
def test_what_stands_beside_the_row_of_a_rare_label_is_learned_with_it(seed: int) -> None:
    rows = [replace(row(str(index)), labels=("rare" if index == 7 else "often",)) for index in range(60)]
    held = held_out([*rows, *(replace(one, labels=()) for one in rows)], seed)
    assert held.any()
    assert (held[:60] == held[60:]).all()
    assert not held[7]


def test_a_policys_own_rows_come_first_and_copies_of_them_are_never_held_out() -> None:
    described = {"version": 1, "name": "p", "kind": "safety", "about": "x", "labels": {"a": {"means": "x"}}}
    policy = Policy.model_validate({**described, "reads_system": True})
    rows = [replace(row(str(index)), text=f"text {index}", labels=("a",) * (index % 2)) for index in range(200)]
    rows = [replace(one, system=f"prompt {index}") if index % 5 == 0 else one for index, one in enumerate(rows)]
    tuning_set = tuning_set_of(policy, rows, seed=0)
    copies = tuning_set.rows[200:]
    assert copies
    assert all(before.text in after.text for after, before in zip(tuning_set.rows, rows, strict=False))
    assert len(tuning_set.rows) == len(tuning_set.targets) == len(tuning_set.held)
    assert tuning_set.held[:200].any()
    assert not tuning_set.held[200:].any()
    held = {one.text for one, out in zip(rows, tuning_set.held[:200], strict=True) if out}
    assert not held & {text for one in copies for text in re.findall(r"text \d+", one.text)}
    assert [bool(target) for target in tuning_set.targets[:, 0]] == [one.labels == ("a",) for one in tuning_set.rows]


def test_what_a_text_is_under_a_prompt_is_not_lost_by_standing_inside_another() -> None:
    described = {"version": 1, "name": "p", "kind": "safety", "about": "x", "labels": {"a": {"means": "x"}}}
    policy = Policy.model_validate({**described, "reads_system": True})
    told = [replace(row(f"t{index}"), text=f"told {index}", labels=()) for index in range(300)]
    under = [replace(one, system="be brief", labels=("a",)) for one in told]
    others = [replace(row(f"o{index}"), text=f"other {index}", labels=()) for index in range(300)]
    tuning_set = tuning_set_of(policy, [*told, *under, *others], seed=0)
    assert any(one.system and "other" in one.text for one in tuning_set.rows)
    assert not [one for one in tuning_set.rows if one.system and "told" in one.text and not one.labels]
