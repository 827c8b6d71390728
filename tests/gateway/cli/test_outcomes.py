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
