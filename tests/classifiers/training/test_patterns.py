"""Policies whose labels are told by patterns, trained and loaded again."""

import json
from pathlib import Path
from typing import Any

import pytest

from classifiers import Reading, Runtime
from classifiers.errors import PolicyError
from classifiers.model import artifact
from classifiers.policy import Policy
from classifiers.training.run import train

PAYMENT = {"means": "a card number", "patterns": ["card"]}
THREAT = {"means": "threatens to hurt someone", "examples": ["I will hurt you", "I am going to kill you"]}
TESTS = [{"text": "my card is 4111 1111 1111 1111", "expect": "payment"}, {"text": "my card is lost", "expect": "none"}]


def policy(**changes: Any) -> Policy:
    given = {"version": 1, "name": "data", "kind": "safety", "about": "messages", "labels": {"payment": PAYMENT}}
    return Policy.model_validate({**given, "tests": TESTS, **changes})


def test_a_policy_all_by_pattern_is_published_without_encoder_or_text(tmp_path: Path) -> None:
    outcome = train(policy(), base_dir=tmp_path, models_dir=tmp_path)
    assert (outcome.accepted, outcome.report["encoder"], outcome.report["text"]["rows"]) == (True, None, 0)
    assert outcome.report["patterns"] == {"card": "payment"}
    assert not (tmp_path / "encoders").exists()
    runtime = Runtime.load(tmp_path, ["data"])
    assert runtime.encoders == {}
    (verdict,) = runtime.classify([Reading(classifier="data", texts=("4111 1111 1111 1111",))])
    assert (verdict.labels, verdict.version) == (("payment",), outcome.version)
    assert "card</td><td>payment" in (outcome.folder / "report.html").read_text()
    assert "payment" in (outcome.folder / "MODEL_CARD.md").read_text()


def test_a_mixed_policy_learns_what_is_not_told(models_dir: Path, tmp_path: Path) -> None:
    rows = [
        {"text": "my card is 5555 5555 5555 4444", "label": "payment"},
        {"text": "you will bleed, 4111111111111111", "label": "payment|threat"},
    ]
    files: dict[str, Any] = {"data": "data.jsonl", "teacher": {"file": "written.jsonl"}}
    for name, row in zip(("data.jsonl", "written.jsonl"), rows, strict=True):
        (tmp_path / name).write_text(json.dumps(row))
    outcome = train(
        policy(labels={"payment": PAYMENT, "threat": THREAT}, **files), base_dir=tmp_path, models_dir=models_dir
    )
    assert outcome.missed == ()
    assert list(outcome.report["held_out"]["labels"]) == ["threat"]
    assert outcome.report["text"]["labels"].keys() == {"threat", "none"}
    loaded = artifact.load(outcome.folder).model
    assert (loaded.last.head.classes, tuple(loaded.policy.labels)) == (("threat",), ("payment", "threat"))
    runtime = Runtime.load(models_dir, ["data"])
    (verdict,) = runtime.classify([Reading(classifier="data", texts=("I am going to kill you! 4111111111111111",))])
    assert verdict.labels == ("payment", "threat")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "topic", "other": "x", "tests": []}, "patterns: are for policies of kind safety"),
        ({"labels": {"payment": PAYMENT, "number": PAYMENT}}, "a pattern can stand for one label only"),
    ],
)
def test_what_patterns_cannot_do_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        train(policy(**changes), base_dir=tmp_path, models_dir=tmp_path)
