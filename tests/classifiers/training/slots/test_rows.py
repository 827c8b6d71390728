"""Rows of a policy with slots."""

from typing import Any

import pytest

from classifiers.policy import Policy
from classifiers.slots.fill import slot_problems
from classifiers.training.rows import Row
from classifiers.training.slots.rows import described, pools, with_marks
from classifiers.training.write.builtin import write

POLICY: dict[str, Any] = {
    "version": 1,
    "name": "tables",
    "kind": "slots",
    "about": "booking a table",
    "slots": {
        "people": {"means": "how many", "type": "number", "examples": ["four", "2 people"]},
        "occasion": {"means": "what for", "type": "enum", "values": {"birthday": ["bday"]}},
    },
}


def policy(**changes: Any) -> Policy:
    return Policy.model_validate({**POLICY, **changes})


def row(text: str, **more: Any) -> Row:
    return Row(**{"text": text, "labels": ("tables",), "group": "g", "source": "builtin", **more})


def test_marks_are_taken_out_of_written_rows() -> None:
    rows = [row("for [four](people)"), row("booking a table"), row("hi", labels=("other",))]
    assert [(one.text, one.marks is None, len(one.marks or ())) for one in with_marks(policy(), rows)[:3]] == [
        ("for four", False, 1),
        ("booking a table", True, 0),
        ("hi", False, 0),
    ]


def test_values_by_themselves_are_marked_as_such() -> None:
    found = list(described(policy()))
    assert {(one.text, one.value(one.marks[0])) for one in found} >= {("four", "four"), ("make it bday", "bday")}
    joined = [one for one in found if len(one.marks) == 2]
    assert joined
    assert all({mark.name for mark in one.marks} == {"people", "occasion"} for one in joined)
    assert {one.value(mark) for one in joined for mark in one.marks} <= {"four", "2 people", "birthday", "bday"}


@pytest.mark.parametrize("option", ["examples", "not"])
def test_a_sentence_whose_mark_names_no_slot_does_not_fit(option: str) -> None:
    labels = {"tables": {"means": "a table", option: ["is it free", "is [the menu](https://example.com/menu) online?"]}}
    ((path, what),) = slot_problems(policy(labels=labels, other="else"))
    assert path == ("labels", "tables", option, 1)
    assert "names no slot" in what


@pytest.mark.parametrize("value", ["bolt [M8](steel)", "[nut](part)", "a]b", "{name}"])
def test_values_may_hold_brackets(value: str) -> None:
    part = {"means": "which part", "examples": [value, "nut"], "type": "money"}
    held = policy(slots={"part": part, "kind": {"means": "what sort", "type": "enum", "values": {value: [], "_": []}}})
    assert not list(slot_problems(held))
    found = list(described(held))
    assert {one.text for one in found} >= {value, f"it costs {value}", f"part {value}", f"make it {value}"}
    assert {one.value(mark) for one in found for mark in one.marks} == {value, "nut"}
    assert {one.text for one in with_marks(held, [])} >= {value, f"about {value}"}
    assert set(pools(held, [])["kind"]) == {value}


def test_values_are_exchanged_for_those_of_rows_examples_and_typical_ones() -> None:
    marked = with_marks(policy(), [row("for [nine](people)")])
    found = pools(policy(), marked)
    assert {"nine", "four", "2 people", "a dozen"} <= set(found["people"])
    assert set(found["occasion"]) == {"birthday", "bday"}
    assert "a dozen" not in pools(policy(languages=["de"]), marked)["people"]
    assert "a dozen" in pools(policy(languages=["en_US"]), marked)["people"]


BOOKING = (
    "can we come at [8](people) instead of [four](people)",
    "a table for [the two of us](people), it is a [surprise birthday party](occasion)!",
    "[table for four](people) please, thank you very much indeed",
)


def test_what_is_mistyped_leaves_marks_alone() -> None:
    held = policy(labels={"tables": {"means": "books a table", "examples": list(BOOKING)}}, other="else")
    for seed in range(100):
        rows = [one for one in write(held, seed).rows if "[" in one.text]
        found = with_marks(held, rows)[: len(rows)]
        assert [one.group for one in found] == [one.group for one in rows]
        assert not any(bracket in one.text for one in found for bracket in "[]")
