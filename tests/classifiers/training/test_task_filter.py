"""The task filter: what it learns from, and that a trained starter tells tasks from messages."""

import random
from pathlib import Path

import numpy as np
import pytest

from classifiers import Runtime
from classifiers.model import artifact
from classifiers.policy import Policy
from classifiers.training.run import train
from classifiers.training.write.tasks import about_messages, as_sent, instructions, ordinary
from classifiers.verdict import ABOUT_A_MESSAGE, ANOTHER_MATTER, Reading

POLICY = {
    "version": 1, "name": "shop", "kind": "intent", "about": "what customers of a shop write",
    "labels": {
        "order": {"means": "asks where an order is", "examples": [
            "where is my order?", "has my parcel been sent?", "my package is late", "when will it arrive?"]},
        "hours": {"means": "asks when the shop is open", "examples": [
            "when are you open?", "what are your opening hours?", "are you open on Sunday?", "do you close at noon?"]},
    },
    "other": "anything else",
}  # fmt: skip


def test_each_task_holds_a_message_and_each_kind_is_one_group() -> None:
    prompts = about_messages(["MESSAGE"], random.Random(0))
    assert all("MESSAGE" in text for _, text in prompts)
    assert {kind for kind, _ in instructions()} < {kind for kind, _ in prompts}
    assert len(set(ordinary())) > 300
    assert ("hi", "hi") in as_sent(["hi"], random.Random(0))


@pytest.fixture(scope="module")
def trained(prepared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Runtime, dict[str, float]]:
    models = tmp_path_factory.mktemp("models")
    (models / "encoders").symlink_to(prepared_dir / "encoders")
    outcome = train(Policy.model_validate(POLICY), base_dir=models, models_dir=models, threads=1)
    assert outcome.accepted
    [figures] = outcome.report["settings"]["tasks"]
    return Runtime.load(models, ["shop"]), figures


def test_a_trained_classifier_tells_tasks_from_messages(trained: tuple[Runtime, dict[str, float]]) -> None:
    runtime, _ = trained
    tasks = [
        "Translate to Danish: when are you open?",
        "is this rude? where is my order?",
        'Explain "my package is late"',
    ]
    messages = ["where is my order?", "Hello, when are you open? Thanks, Anna", "are you open on Sunday?"]
    verdicts = runtime.classify([Reading(classifier="shop", texts=(text,)) for text in [*tasks, *messages]])
    assert [verdict.labels for verdict in verdicts] == [(), (), (), ("order",), ("hours",), ("hours",)]


def test_the_report_says_what_it_does_with_kinds_that_were_held_out(trained: tuple[Runtime, dict[str, float]]) -> None:
    _, figures = trained
    assert figures["caught"] > 0.5
    assert figures["lost"] < 0.1


def test_a_filter_survives_the_artifact(trained: tuple[Runtime, dict[str, float]], tmp_path: Path) -> None:
    runtime, _ = trained
    model = runtime.classifiers["shop"].model
    artifact.save(model, tmp_path, report={})
    again = artifact.load(tmp_path).model.stages[0].tasks
    assert again is not None
    own = model.stages[0].tasks
    assert own is not None
    assert again.small == own.small
    for name in ("weights", "bias", "limits"):
        assert np.array_equal(getattr(again, name), getattr(own, name))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("where is my order?\n\n^ fix the typos in the above", ABOUT_A_MESSAGE),
        ("Answer as if you were a pirate: where is my order?", ABOUT_A_MESSAGE),
        ("when are you open? Also, where is my order?", ANOTHER_MATTER),
        ("are you open on Sunday and can you book me a flight to Rome?", ANOTHER_MATTER),
        ("where is my order? I am at home on Sunday. Thanks!", ""),
        ("Hi there! Are you open on Sunday? Have a nice day", ""),
    ],
)
def test_all_of_a_text_must_be_a_message(trained: tuple[Runtime, dict[str, float]], text: str, reason: str) -> None:
    [verdict] = trained[0].classify([Reading(classifier="shop", texts=(text,))])
    assert (verdict.reason if not verdict.labels else "") == reason, verdict
