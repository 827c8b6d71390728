"""Marked-up sentences."""

import pytest

from classifiers.slots.fill import Marked, parse, replaced, words
from classifiers.slots.tags import SlotMark


def test_marks_are_taken_out_of_the_text() -> None:
    marked = parse("a table for [four](people) at [7 pm](TIME)!", ("people", "time"))
    assert marked.text == "a table for four at 7 pm!"
    assert [(mark.name, marked.value(mark)) for mark in marked.marks] == [("people", "four"), ("time", "7 pm")]


def test_other_brackets_stay_text() -> None:
    assert parse("see [1] or (this) [a] (b)", ("time",)).text == "see [1] or (this) [a] (b)"


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("[7](tiem)", "names no slot; there are time"),
        ("[ ](time)", "marks nothing"),
        ("a table at [7] (time)", r"'a table at \[7\] \(time\)' holds what is no mark"),
        ("at [7](time", "holds what is no mark"),
        ("at 7](time)", "holds what is no mark"),
    ],
)
def test_a_mark_without_slot_or_value_or_with_a_slip_is_named(sentence: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(sentence, ("time",))


def test_values_are_exchanged_and_marks_move() -> None:
    marked = Marked(
        text="at 7 for 4", marks=(SlotMark(name="time", start=3, end=4), SlotMark(name="people", start=9, end=10))
    )
    other = replaced(marked, ["half past eight", "two"])
    assert other.text == "at half past eight for two"
    assert [other.value(mark) for mark in other.marks] == ["half past eight", "two"]


def test_how_a_link_is_mended_is_said() -> None:
    with pytest.raises(ValueError, match=r"/menu\)' names no slot; there are time; of a link, give the words alone$"):
        parse("is [the menu](https://example.com/menu) online?", ("time",))


def test_a_mark_is_within_one_word() -> None:
    sentence = "is [next friday  evening](date)! free,  or\t[7](time)-[8 pm](time) [a] (b"
    assert words(sentence) == [
        "is",
        "[next friday  evening](date)!",
        "free,",
        "or",
        "[7](time)-[8 pm](time)",
        "[a]",
        "(b",
    ]
    assert words(" no \n marks\u2003here ") == ["no", "marks", "here"]
