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
