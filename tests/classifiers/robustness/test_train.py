"""Whatever rows come, training ends in a model that serves, or in an error that says what to mend."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from classifiers import Reading, Runtime
from classifiers.errors import TrainingError
from classifiers.training.run import TrainingOutcome

KINDS = ("intent", "safety")
Train = Callable[..., TrainingOutcome]
Labels = Callable[..., dict[str, Any]]


@pytest.fixture
def served(models_dir: Path) -> Callable[[TrainingOutcome, str], Any]:
    """served(outcome, text): the verdict of the model that was published, as it was loaded from disk."""

    def classify(outcome: TrainingOutcome, text: str) -> Any:
        assert outcome.accepted, outcome.missed
        json.loads((outcome.folder / "report.json").read_text(encoding="utf-8"))
        return Runtime.load(models_dir, ["odd"]).classify([Reading(classifier="odd", texts=(text,))])[0]

    return classify


@pytest.mark.parametrize("kind", ["intent", "safety"])
def test_odd_texts_as_training_rows(
    run: Train, served: Callable[..., Any], labels: Labels, odd_texts: Mapping[str, str], kind: str
) -> None:
    # long enough for many windows; texts of a megabyte are the business of test_classify
    texts = [text[:1_000] for text in odd_texts.values() if text.strip()]
    rows = [(text, f"label {index % 3}") for index, text in enumerate(texts)]
    outcome = run(kind, labels(3), rows)
    assert served(outcome, "where is my refund 1").scores
    assert outcome.report["text"]["empty"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_with_one_row_in_hundreds(run: Train, served: Callable[..., Any], labels: Labels, kind: str) -> None:
    rows = [(f"my card number {index} has not come", "label 0") for index in range(100)]
    rows.append(("I want my money back for this jumper", "label 1"))
    # by the real encoder, since the little one reads these rows as the same
    verdict = served(run(kind, labels(2, examples=0), rows, encoder=None), "my card has not come yet")
    assert max(verdict.scores, key=lambda label: verdict.scores[label]) == "label 0"


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_without_examples_or_rows_has_its_description(
    run: Train, served: Callable[..., Any], labels: Labels, kind: str
) -> None:
    rows = [(f"question {index} about my card", f"label {index % 2}") for index in range(40)]
    verdict = served(run(kind, labels(3, examples=0), rows), "asks about the exchange rate")
    assert set(verdict.scores) == {"label 0", "label 1", "label 2"}


def test_a_label_of_which_nothing_is_left_is_named(run: Train) -> None:
    with pytest.raises(TrainingError, match="odd: no training text is left for b; add examples"):
        run("safety", {"card": {"means": "asks about a card", "examples": "my card"}, "b": {"means": "."}})


def test_rows_that_contradict_each_other_are_left_out_and_listed(run: Train, labels: Labels) -> None:
    rows = [(f"message {index} about it", f"label {label}") for index in range(20) for label in range(2)]
    outcome = run("intent", labels(2), rows)
    assert outcome.accepted
    assert len(outcome.report["text"]["contradictions"]) == 20
    assert outcome.report["text"]["contradictions"][0] == {
        "text": "message 0 about it",
        "labels": ("label 0", "label 1"),
        "kept": (),
        "dropped": 2,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_cannot_be_told_apart_name_no_label_with_confidence(
    run: Train, served: Callable[..., Any], labels: Labels, kind: str
) -> None:
    rows = [(f"message about my card thing {index}", f"label {index % 2}") for index in range(80)]
    verdict = served(run(kind, labels(2, examples=0), rows), "message about my card thing")
    # safety is sure that something holds, and must not say which one alone
    assert len(verdict.labels) != 1 or verdict.confidence < 0.9


def test_labels_with_odd_names(run: Train, served: Callable[..., Any]) -> None:
    names = ["a/b", "null", "😀", "كم سعر", "<b>", "x" * 300, " spaced  out "]
    verdict = served(run("intent", {name: {"means": f"asks about thing {name}"} for name in names}), "thing a/b")
    assert set(verdict.scores) == {name.strip() for name in names}


@pytest.mark.parametrize("kind", ["intent", "safety"])
def test_hundreds_of_labels(run: Train, served: Callable[..., Any], labels: Labels, kind: str) -> None:
    """benchmarks.robustness has thousands."""
    count = 60
    rows = [(f"my card the {index}", f"label {index}") for index in range(count) for _ in range(2)]
    outcome = run(kind, labels(count, examples=1), rows)
    assert len(served(outcome, "where is my card").scores) == count
    assert outcome.report["held_out"]["rows"] <= 4_000_000 / count
