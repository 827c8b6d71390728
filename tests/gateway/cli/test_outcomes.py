"""Outcomes of trainings as lines for people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

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
BARE: Mapping[str, Any] = {
    "patterns": {},
    "text": TEXT,
    "teachers": [],
    "goals": [],
    "incumbent": None,
    "incumbent_note": "",
    "settings": {},
}
LABELS = {
    "a": {"support": 9, "recall": 0.9},
    "b": {"support": 2, "recall": 0.0},
    "c": {"support": 0, "recall": None},
    "other": {"support": 3, "recall": 0.0},
}
NEVER = "never found in held-out text: {}; such text needs more rows, or rows that differ"


HELD = {
    "rows": 9, "accuracy": 0.9, "interval": [0.8, 1.0], "macro_f1": 0.9, "macro": {"auprc": 0.9}, "ece": 0.1,
    "answered": 0.4, "answered_interval": [0.3, 0.5], "error": 0.066, "error_interval": [0.0, 0.1],
    "labels": {"a": {"support": 9, "recall": 0.9}, "other": {"support": 3, "recall": 0.0}},
}  # fmt: skip
TRAFFIC = {"share": 0.1, "measured_on": "written text", "answered": 0.66, "error": 0.02, "outside_answered": 0.1}
TRAINED = {
    "text": {**TEXT, "rows": 9, "sources": {"policy": 8}},
    "held_out": HELD,
    "measured_on": "written text",
    "measured_real": 0,
    "out_of_scope": {**TRAFFIC, "kinds": {"other": {"answered": 1, "rows": 8}}},
}
GOAL = {
    "max_error": 0.02, "min_answered": 0.2, "measured_on": "written text", "rows": 9, "rows_of_no_label": 3,
    "met": True, "answered": 0.72, "error": 0.02, "error_interval": [0.0, 0.1],
}  # fmt: skip


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        ({"goals": [GOAL]}, "goal met: at most 2.0 % error, at least 20.0 % answered; 2.0 % (0.0 – 10.0 %) error, "),
        ({"goals": [{**GOAL, "met": False}]}, None),
        ({"aimed_error": 0.05}, "without a goal, 5.0 % wrong among answered is aimed at: reached, 2.0 % on written "),
        (
            {"aimed_error": 0.05, "out_of_scope": None},
            "without a goal, 5.0 % wrong among answered is aimed at: not reached, 6.6 % on written text",
        ),
    ],
)
def test_there_is_one_verdict_on_the_goal(report: dict[str, Any], verdict: str | None) -> None:
    lines = shown(**{**TRAINED, **report})
    assert [line for line in lines if "goal" in line and "what helps" not in line and verdict and verdict in line] == (
        [line for line in lines if line.startswith(("goal ", "without a goal"))]
    )
    assert len([line for line in lines if line.startswith(("goal ", "without"))]) == (verdict is not None)
    # figures of single rows, which weigh `not:` lines as messages, stand only where traffic was not measured
    assert ("wrong among answered: 6.6 % (95 %: 0.0 – 10.0 %)" in lines) == ("out_of_scope" in report)


@pytest.mark.parametrize(("answered", "helps"), [(0.49, True), (0.5, False)])
def test_where_over_half_is_forwarded_it_says_what_helps(answered: float, *, helps: bool) -> None:
    traffic = {**TRAFFIC, "answered": answered, "kinds": {"other": {"answered": 1, "rows": 8}}}
    lines = [line for line in shown(**{**TRAINED, "out_of_scope": traffic}) if line.startswith("it abstains")]
    assert len(lines) == helps
    assert all("(now 8 lines a label)" in line and line.endswith("or goal: {max_error: 10%}") for line in lines)


def shown(**report: Any) -> list[str]:
    """The lines of a report that is empty but for these."""
    outcome = TrainingOutcome(accepted=True, version="v", folder=Path("m"), report={**BARE, **report})
    first, *lines, last = map(str, outcomes.shown("p", outcome))
    assert (first, last) == ("p: published as v in 0.0 s", "  report: m")
    return [line.strip() for line in lines]


@pytest.mark.parametrize(
    ("report", "lines"),
    [
        (
            {
                "teachers": [
                    {
                        "writer": "small",
                        "batches": {"wanted": 10, "answered": 10, "unusable": 5},
                        "labels": {"threat": {"batches": 5, "unusable": 5, "sentences": 0}},
                    },
                    {"file": ["a.jsonl"], "sentences": 1},
                ]
            },
            ["teacher small: 5 of 10 batches brought no sentence (threat 5); it wrote nothing for threat"],
        ),
        (
            {"text": {**TEXT, "contradictions": [{"dropped": 2}], "leaks": ["x"]}},
            [
                "dropped 2 rows for several labels of one text; the report lists them",
                "dropped 1 row with the text of a test; the report lists them",
            ],
        ),
        ({"held_out": {"labels": LABELS}}, [NEVER.format("b")]),
        (
            {"held_out": {"labels": LABELS}, "goals": [{"measured_on": "written text", "never_named": ["b"]}]},
            ["never named: b; no threshold keeps to goal.max_error on written text"],
        ),
        (
            {"held_out": {"labels": {f"l{number}": {"support": 1, "recall": 0.0} for number in range(12)}}},
            [NEVER.format(", ".join(f"l{number}" for number in range(10)) + " and 2 more")],
        ),
    ],
)
def test_what_was_dropped_and_what_nobody_will_see_answered_is_said(report: dict[str, Any], lines: list[str]) -> None:
    assert shown(**report) == lines
