"""Tasks about a message: units of a text, and verdicts that a filter checks."""

from dataclasses import replace

import numpy as np
import pytest

from classifiers import Runtime
from classifiers.encoder.session import Encoder, embed
from classifiers.model.model import Calibration, Head, Model, Novelty, Stage, TaskFilter, Threshold
from classifiers.policy import Policy
from classifiers.runtime.classifier import from_model
from classifiers.runtime.tasks import units
from classifiers.runtime.windows import DeadlinePassed
from classifiers.verdict import ABOUT_A_MESSAGE, Abstention, Reading

POLICY = Policy.model_validate({
    "version": 1, "name": "shop", "kind": "intent", "about": "tests",
    "labels": {"order": {"means": "where is my order"}, "hours": {"means": "when are you open"}},
})  # fmt: skip
TASK = "Translate the text to German"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("where is my order?", []),
        ("Is this spam? hi, you", ["Is this spam?", "hi, you"]),
        ("Translate to German: where is it?", ["Translate to German:", "where is it?"]),
        ('Say "good morning" in French', ["Say", "good morning", "in French"]),
        ("Sort it.\n---\nmy card\n---", ["Sort it.", "my card"]),
        ("<doc>my card</doc> what is it?", ["my card", "what is it?"]),
        ("", []),
    ],
)
def test_a_text_is_read_whole_and_in_its_parts(text: str, parts: list[str]) -> None:
    assert units(text) == [text, *parts]


def test_a_long_text_has_few_units() -> None:
    assert len(units("one line\n" * 10_000)) <= 65


@pytest.fixture
def runtime(encoder: Encoder) -> Runtime:
    """A classifier by class centroids, whose filter takes what is near TASK for a task."""
    order, task = embed(encoder, ["where is my order", TASK])
    stage = Stage(
        encoder=encoder.id,
        head=Head(classes=("order", "hours"), weights=np.stack([order, -order]), bias=np.zeros(2, np.float32)),
        calibration=Calibration(scale=np.full(1, 9, np.float32), offset=np.zeros(2, np.float32)),
        thresholds={name: Threshold(act=0.0, unsure=0.0) for name in ("order", "hours")},
        novelty=Novelty(prototypes=order[None], limit=2.0),
        tasks=TaskFilter(
            weights=np.stack([20 * task, 0 * task]),
            bias=np.array([-19, 60], np.float32),
            limits=np.full(2, 0.5, np.float32),
        ),
    )
    model = Model(policy=POLICY, stages=(stage,))
    return Runtime([encoder], {"shop": from_model(model)}, cache_windows=0)


@pytest.mark.parametrize("text", [TASK, f"{TASK}: where is my order?", f"where is my order?\n\n{TASK}"])
def test_a_task_about_a_message_names_no_label(runtime: Runtime, text: str) -> None:
    [verdict] = runtime.classify([Reading(classifier="shop", texts=(text,))])
    assert (verdict.labels, verdict.abstention, verdict.reason) == ((), Abstention.UNSURE, ABOUT_A_MESSAGE)


def test_the_message_itself_is_named(runtime: Runtime) -> None:
    [verdict] = runtime.classify([Reading(classifier="shop", texts=("where is my order? I have waited.",))])
    assert verdict.labels == ("order",)


def test_a_verdict_that_cannot_be_checked_in_time_is_late(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(classifier="shop", texts=("where is my order? I have waited.",))
    encode, calls = runtime._reader.encode, []

    def late(wanted: object, *more: object) -> None:
        calls.append(wanted)
        if len(calls) > 2:
            raise DeadlinePassed
        encode(wanted, *more)

    monkeypatch.setattr(runtime._reader, "encode", late)
    assert runtime.classify([reading])[0].abstention is Abstention.LATE


def test_nothing_is_read_behind_the_first_task(runtime: Runtime) -> None:
    text = f"{TASK}: where is my order? " + "I have waited for it. It is blue. My name is Kim. You know that."
    before = runtime.counts.encoded
    assert runtime.classify([Reading(classifier="shop", texts=(text,))])[0].reason == ABOUT_A_MESSAGE
    assert runtime.counts.encoded - before <= 2 < len(units(text))


def test_a_stage_without_a_filter_is_not_checked(runtime: Runtime) -> None:
    classifier = runtime.classifiers["shop"]
    plain = replace(classifier.model, stages=(replace(classifier.model.stages[0], tasks=None),))
    unfiltered = Runtime(runtime.encoders.values(), {"shop": from_model(plain)}, cache_windows=0)
    [verdict] = unfiltered.classify([Reading(classifier="shop", texts=(f"{TASK}: where is my order?",))])
    assert verdict.labels
