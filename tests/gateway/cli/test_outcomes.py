"""What is told on the command line of what a training came to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from classifiers.policy import Policy
from classifiers.training.run import TrainingOutcome
from gateway.cli import outcomes

TEXT: Mapping[str, Any] = {
    "sources": {},
    "rows": 0,
    "unread_calls": 0,
    "contradictions": [],
    "leaks": [],
    "doubts": {"rows": 0},
}


def shown(capsys: pytest.CaptureFixture[str], **report: Any) -> list[str]:
    """The lines of a report that is empty but for these."""
    bare: Mapping[str, Any] = {
        "patterns": {},
        "text": TEXT,
        "teachers": [],
        "goals": [],
        "incumbent": None,
        "incumbent_note": "",
        "settings": {},
    }
    labels = {"a": {"means": "asks for a"}, "b": {"means": "asks for b"}}
    policy = Policy.model_validate({"version": 1, "name": "p", "kind": "intent", "about": "x", "labels": labels})
    outcomes.show(policy, TrainingOutcome(accepted=True, version="v", folder=Path("m"), report={**bare, **report}))
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert (first, last) == ("p: published as v in 0.0 s", "  report: m")
    return [line.strip() for line in lines]


@pytest.mark.parametrize(
    ("aimed", "error", "told"), [(0.05, 0.121, 1), (0.05, 0.034, 0), (0.05, None, 0), (None, 0.121, 0)]
)
def test_more_errors_than_were_aimed_at_are_told(
    capsys: pytest.CaptureFixture[str], aimed: float | None, error: float | None, told: int
) -> None:
    some = (0.1, 0.9)
    held = {"rows": 9, "accuracy": 0.5, "interval": some, "answered": 0.5, "answered_interval": some}
    held |= {"error": error, "error_interval": some if error else None}
    text = {**TEXT, "rows": 9}
    measured = {"kind": "intent", "held_out": held, "measured_on": "real rows", "measured_real": 9}
    lines = shown(capsys, text=text, aimed_error=aimed, **measured)
    assert lines.count("without a goal, 5.0% wrong is aimed at, not demanded") == told


@pytest.mark.parametrize(("several", "wrong"), [({}, "wrong"), ({"flagged": {}}, "with a label wrong or missed")])
def test_an_answer_that_misses_a_label_is_not_called_wrong_as_a_goal_calls_it(
    capsys: pytest.CaptureFixture[str], several: dict[str, Any], wrong: str
) -> None:
    some = (0.1, 0.9)
    held = {"rows": 9, **dict.fromkeys(("accuracy", "answered", "error"), 0.5), "interval": some, **several}
    held |= {"answered_interval": some, "error_interval": some}
    text = {**TEXT, "rows": 9}
    measured = {"kind": "topic", "held_out": held, "measured_on": "real rows", "measured_real": 9, "aimed_error": None}
    told = "; 50.0% (10.0% to 90.0%) answered, of which 50.0% (10.0% to 90.0%) "
    assert [line.partition(told)[2] for line in shown(capsys, text=text, **measured) if told in line] == [wrong]


def test_what_a_teacher_was_asked_for_in_vain_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {"threat": {"batches": 5, "unusable": 5, "sentences": 0}}
    batches = {"wanted": 10, "answered": 10, "unusable": 5}
    teachers = [{"writer": "small", "batches": batches, "labels": counts}, {"file": ["a.jsonl"], "sentences": 1}]
    line = "teacher small: 5 of 10 batches brought no sentence (threat 5); it wrote nothing for threat"
    assert shown(capsys, teachers=teachers) == [line]


def test_labels_of_which_no_held_out_row_is_found_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    labels = {
        "a": {"support": 9, "recall": 0.9},
        "b": {"support": 2, "recall": 0.0},
        "c": {"support": 0, "recall": None},
        "other": {"support": 3, "recall": 0.0},
    }
    line = "never found in held-out text: {}; such text needs more rows, or rows that differ"
    assert shown(capsys, held_out={"labels": labels}) == [line.format("b")]
    # of a label that is never named it is no news that none of its rows is found
    goal = {"measured_on": "written text", "never_named": ["b"]}
    never = "never named: b; no threshold keeps to goal.max_error on written text"
    assert shown(capsys, held_out={"labels": labels}, goals=[goal]) == [never]
    many = {f"l{number}": {"support": 1, "recall": 0.0} for number in range(12)}
    named = ", ".join(f"l{number}" for number in range(10))
    assert shown(capsys, held_out={"labels": many}) == [line.format(f"{named} and 2 more")]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (1, "1 row reads like another label (1 kept); the report lists it"),
        (2, "2 rows read like another label (2 kept); the report lists them"),
    ],
)
def test_how_many_rows_read_like_another_label_is_told(
    capsys: pytest.CaptureFixture[str], rows: int, told: str
) -> None:
    assert shown(capsys, text={**TEXT, "doubts": {"rows": rows, "done": {"kept": rows}}}) == [told]


def test_slots_have_an_interval(capsys: pytest.CaptureFixture[str]) -> None:
    some = (0.1, 0.9)
    held = {"rows": 1, **dict.fromkeys(("accuracy", "answered", "error"), 0.5)}
    held |= dict.fromkeys(("interval", "answered_interval", "error_interval"), some)
    text = {**TEXT, "rows": 9}
    measured = {"kind": "slots", "held_out": held, "measured_on": "real rows", "measured_real": 9, "aimed_error": None}
    slots = {"f1": 0.5, "f1_interval": some, "support": 1, "rows": 2}
    lines = shown(capsys, text=text, settings={"slots": slots}, **measured)
    assert lines[-1] == "slots: F1 50.0% (95 %: 10.0% to 90.0%) on 1 value in 2 held-out sentences"
