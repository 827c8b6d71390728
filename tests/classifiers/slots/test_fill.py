"""What tags make of a verdict; sentences with marks."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from classifiers.encoder.tokens import Words
from classifiers.model.model import Model, Tagger, tag_count
from classifiers.slots.fill import Tagged, parse, replaced, with_slots, words
from classifiers.verdict import Abstention, Verdict

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
SLOTS = {"people": {"means": "how many", "type": "number", "required": True}, "time": {"means": "when", "type": "time"}}
TEXT = "four at 7 pm"
WORDS = Words(ids=(1, 2, 3, 4), firsts=(0, 1, 2, 3), places=((0, 4), (5, 7), (8, 9), (10, 12)))


@pytest.fixture
def model(bare_model: Callable[..., Model]) -> Model:
    labels = {"first": {"means": "one"}, "second": {"means": "two", "slots": ["time"]}}
    made = bare_model("slots", other="else", slots=SLOTS)
    policy = type(made.policy).model_validate({**made.policy.model_dump(by_alias=True), "labels": labels})
    tagger = Tagger(
        slots=tuple(SLOTS), weights=np.zeros((tag_count(2), 2), np.float32), bias=np.zeros(tag_count(2), np.float32)
    )
    return replace(made, policy=policy, tagger=tagger)


def tagged(*tags: int) -> Tagged:
    return Tagged(text=TEXT, words=WORDS, logits=8 * np.eye(tag_count(2), dtype=np.float32)[list(tags)])


def verdict(*labels: str, **more: Any) -> Verdict:
    return Verdict(classifier="bank", version="", labels=labels, scores={}, **more)


def test_slots_are_placed_and_read_as_values(model: Model) -> None:
    found = with_slots(verdict("first"), model, [tagged(1, 0, 3, 4)], NOW)
    assert [(one.slot, one.raw, one.value, one.start, one.end) for one in found.slots] == [
        ("people", "four", 4, 0, 4),
        ("time", "7 pm", "19:00", 8, 12),
    ]
    assert all(one.confidence > 0.9 for one in found.slots)
    assert (found.missing, found.abstention) == ((), None)


def test_a_required_slot_whose_words_have_no_value_is_not_filled(model: Model) -> None:
    found = with_slots(verdict("first"), model, [tagged(0, 0, 0, 1)], NOW)
    assert [(one.slot, one.raw, one.value) for one in found.slots] == [("people", "pm", None)]
    assert (found.labels, found.missing, found.abstention) == (("first",), ("people",), Abstention.UNSURE)
    assert found.reason == "no value can be read of people"


def required(model: Model, **which: object) -> Model:
    slots = {name: {**slot, "required": which.get(name, False)} for name, slot in SLOTS.items()}
    return replace(
        model, policy=type(model.policy).model_validate({**model.policy.model_dump(by_alias=True), "slots": slots})
    )


def test_the_reason_tells_what_nothing_says_from_what_has_no_value(model: Model) -> None:
    found = with_slots(verdict("first"), required(model, people=True, time=True), [tagged(0, 0, 0, 1)], NOW)
    assert (found.missing, found.reason) == (
        ("people", "time"),
        "nothing says time, and no value can be read of people",
    )


def test_a_slot_may_be_required_of_some_labels(model: Model) -> None:
    other = required(model, people="first", time=["second"])
    found = [with_slots(verdict(label), other, [tagged(0, 0, 0, 0)], NOW) for label in ("first", "second")]
    assert [one.missing for one in found] == [("people",), ("time",)]


def test_slots_of_other_of_no_label_and_of_several_texts(model: Model) -> None:
    assert with_slots(verdict("other"), model, [tagged(1, 0, 3, 4)], NOW).slots == ()
    unsure = verdict(abstention=Abstention.UNSURE, reason="first at 0.4")
    found = with_slots(unsure, model, [tagged(0, 0, 3, 4)], NOW)
    assert ([one.slot for one in found.slots], found.missing, found.reason) == (["time"], (), "first at 0.4")
    found = with_slots(verdict("first"), model, [tagged(1, 0, 0, 0), tagged(0, 0, 3, 4)], NOW)
    assert [(one.slot, one.text) for one in found.slots] == [("people", 0), ("time", 1)]
    assert found.abstention is None


def test_marks_are_taken_out_of_the_text() -> None:
    marked = parse("a table for [four](people) at [7 pm](TIME)!", ("people", "time"))
    assert marked.text == "a table for four at 7 pm!"
    assert [(mark.name, marked.value(mark)) for mark in marked.marks] == [("people", "four"), ("time", "7 pm")]
    other = replaced(marked, ["two", "half past eight"])
    assert other.text == "a table for two at half past eight!"
    assert [other.value(mark) for mark in other.marks] == ["two", "half past eight"]


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("[7](tiem)", "names no slot; there are time"),
        ("[ ](time)", "marks nothing"),
        ("a table at [7] (time)", r"'a table at \[7\] \(time\)' holds what is no mark"),
        ("at [7](time", "holds what is no mark"),
        ("at 7](time)", "holds what is no mark"),
        ("[the menu](https://example.com/menu)", "there are time; of a link, give the words alone$"),
    ],
)
def test_a_mark_without_slot_or_value_or_with_a_slip_is_named(sentence: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(sentence, ("time",))


def test_a_mark_is_within_one_word() -> None:
    sentence = "is [next friday  evening](date)! free,  or\t[7](time)-[8 pm](time) [a] (b"
    parts = ["is", "[next friday  evening](date)!", "free,", "or", "[7](time)-[8 pm](time)", "[a]", "(b"]
    assert words(sentence) == parts
    assert words(" no \n marks\u2003here ") == ["no", "marks", "here"]
