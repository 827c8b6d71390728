"""What verdicts fill in against what rows mark."""

from collections.abc import Callable
from typing import Any

import pytest

from classifiers.policy import Policy
from classifiers.slots.fill import parse
from classifiers.training.examine import evaluate_slots
from classifiers.training.rows import Row
from classifiers.verdict import Abstention, SlotValue, Verdict

SLOTS = {"people": {"means": "how many come", "type": "number"}, "time": {"means": "when", "type": "time"}}


@pytest.fixture
def policy(make_policy: Callable[..., Policy]) -> Policy:
    return make_policy("slots", labels=["book", "cancel"], slots=SLOTS)


def row(sentence: str, label: str = "book", **more: Any) -> Row:
    marked = parse(sentence, tuple(SLOTS))
    given: dict[str, Any] = {"text": marked.text, "marks": marked.marks, "group": sentence, "source": "data", **more}
    return Row(labels=(label,), **given)


def verdict(sentence: str, label: str = "book", **more: Any) -> Verdict:
    """One that fills in what the sentence marks."""
    marked = parse(sentence, tuple(SLOTS))
    slots = tuple(
        SlotValue(slot=mark.name, start=mark.start, end=mark.end, raw=marked.value(mark), value=None, confidence=0.9)
        for mark in marked.marks
    )
    given: dict[str, Any] = {"labels": (label,), "confidence": 0.9, "scores": {}, "slots": slots, **more}
    return Verdict(classifier="bank", version="v1", **given)


def test_a_slot_is_right_where_its_name_and_place_are_whatever_it_says(policy: Policy) -> None:
    rows = [row("for [two](people) at [7 pm](time)"), row("at [8 pm](time)")]
    verdicts = [verdict("for [two](people) at [7](time) pm"), verdict("at [8 pm](time)")]
    found = evaluate_slots(policy, rows, verdicts)
    assert (found["rows"], found["support"]) == (2, 3)
    assert (found["precision"], found["recall"], found["f1"]) == (0.66667, 0.66667, 0.66667)
    assert found["slots"]["people"]["f1"] == 1.0
    assert found["slots"]["time"]["f1"] == 0.5
    assert found["whole"] == 0.5


def test_rows_of_which_nothing_is_known_are_not_counted(policy: Policy) -> None:
    rows = [row("at 8 pm", marks=None), row("at 8 pm"), row("hello", "other")]
    said = [verdict("at [8 pm](time)"), verdict("at [8 pm](time)"), verdict("hello", "other")]
    found = evaluate_slots(policy, rows, said)
    assert found["rows"] == 2
    assert (found["precision"], found["recall"], found["whole"]) == (0.0, None, 0.5)
    nothing = evaluate_slots(policy, rows[:1], said[:1])
    assert (nothing["rows"], nothing["f1"], nothing["whole"], nothing["errors"]) == (0, None, None, [])


def test_of_several_labels_a_whole_text_has_the_right_one(policy: Policy, make_policy: Callable[..., Policy]) -> None:
    rows = [row("at [8 pm](time)"), row("at [8 pm](time)")]
    unsure = verdict("at [8 pm](time)", labels=(), scores={"book": 0.6, "cancel": 0.3}, abstention=Abstention.UNSURE)
    said = [verdict("at [8 pm](time)", "cancel"), unsure]
    assert evaluate_slots(policy, rows, said)["whole"] == 0.5
    alone = make_policy("slots", labels=["book"], slots=SLOTS)
    assert evaluate_slots(alone, rows[:1], [verdict("at [8 pm](time)", "other")])["whole"] == 1.0


def test_the_worst_texts_come_first_with_what_is_marked_and_what_is_found(policy: Policy) -> None:
    rows = [row("at [8 pm](time)"), row("at [8](time)"), row("[two](people) at [7 pm](time)"), row("hello", "other")]
    said = [verdict("at [8 pm](time)"), verdict("at 8"), verdict("[two](people) at [7](time) pm"), verdict("hello")]
    worst, other = evaluate_slots(policy, rows, said)["errors"]
    assert worst == {
        "text": "two at 7 pm",
        "truth": "book",
        "said": "book",
        "wrong": 2,
        "marked": [{"slot": "time", "start": 7, "end": 11, "raw": "7 pm"}],
        "found": [{"slot": "time", "start": 7, "end": 8, "raw": "7"}],
    }
    assert (other["text"], other["found"]) == ("at 8", [])


def test_long_texts_and_many_slots_are_shown_in_part(policy: Policy) -> None:
    rows = [row("[7](time) " * 100), row(f"[{'7' * 1000}](time)"), *(row("[7](time)") for _ in range(60))]
    said = [verdict(one.text) for one in rows]
    errors = evaluate_slots(policy, rows, said)["errors"]
    assert len(errors) == 40
    assert (errors[0]["wrong"], len(errors[0]["marked"])) == (100, 20)
    assert len(errors[1]["marked"][0]["raw"]) == len(errors[1]["text"]) == 600
