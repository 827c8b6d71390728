"""Which recipe makes a model, what it leaves in the artifact, and what serves where it cannot be had."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from classifiers import Reading, Runtime
from classifiers.encoder.session import Encoder, embed
from classifiers.encoder.source import DEFAULT, first_encoder
from classifiers.errors import EncoderError, PolicyError, TeacherError, TrainingError
from classifiers.model import artifact
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.runtime import cascade
from classifiers.training import data
from classifiers.training.calibrate import PARTS_COUNTED
from classifiers.training.fit import recipe, second_stage, weights
from classifiers.training.fit.fitted import Silent
from classifiers.training.run import TrainingOutcome, train

MPNET = "package:all-mpnet-base-v2"
TORCH_MISSING = "torch is not installed; run: pip install 'offramp[finetune]'"
TEXTS = ("fry the beans", "Anna won", "the train from Oslo leaves the match")
Train = Callable[..., TrainingOutcome]


def stages(outcome: TrainingOutcome) -> list[tuple[str, str]]:
    return [(stage.name, stage.encoder.own) for stage in artifact.load(outcome.folder).model.stages]


@pytest.mark.parametrize("kind", ["topic", "safety"])
def test_a_tuned_encoder_comes_with_the_artifact_and_serves(run: Train, tiny_models: Path, kind: str) -> None:
    outcome = run(kind, recipe="finetune")
    assert outcome.accepted
    settings = outcome.report["settings"]
    assert (settings["recipe"], settings["because"]) == ("finetune", "the policy asks for it")
    tuning = settings["finetune"]
    assert len(tuning["epochs"]) == 2
    assert tuning["export"]["same"] >= 0.97
    assert tuning["rows"] + tuning["held_out_rows"] >= outcome.report["text"]["rows"]
    assert outcome.report["held_out"]["rows"] <= tuning["held_out_rows"] < tuning["rows"]
    # where one label is named, the frozen encoder stays in front
    assert stages(outcome) == [*([("frozen", "")] if kind == "topic" else []), ("main", "main")]
    verdict = Runtime.load(tiny_models, ["mail"]).classify([Reading(classifier="mail", texts=TEXTS[:1])])[0]
    assert verdict.scores.keys() == {"sport", "cooking", "travel"}
    assert not list(tiny_models.glob(".tuned*"))


def test_a_guard_on_an_encoder_of_its_own_stands_behind_another(
    run: Train, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = artifact.load(run("safety", recipe="finetune").folder)
    with pytest.raises(PolicyError, match=r"guard.model: mail has learned from rows.jsonl as well, so nothing shows"):
        run("safety", name="chat", guard={"model": "trained:mail"})
    shutil.copyfile(tmp_path / "rows.jsonl", tmp_path / "own.jsonl")
    monkeypatch.setattr(second_stage, "gains", lambda *_: True)
    named = {"sport": "sport", "cooking": None, "travel": ["travel"]}
    for labels, ours in (({}, ["sport", "cooking", "travel"]), (named, ["sport", "travel"])):
        outcome = run("safety", name="chat", data="own.jsonl", guard={"model": "trained:mail", "labels": labels})
        stage = artifact.load(outcome.folder).model.last
        assert (stage.name, stage.encoder.source, stage.encoder.pooling) == ("guard", "own:guard", "odds")
        record = outcome.report["settings"]["guard"]
        assert (record["version"], sorted(record["labels"])) == (large.version, sorted(ours))
        encoder, guard = (
            Encoder.open(each.folder / "encoders" / name)
            for each, name in ((large, "main"), (artifact.load(outcome.folder), "guard"))
        )
        # its graph gives the log-odds that the classifier itself would take, before windows are counted
        logits, calibration = large.model.last.head.logits(embed(encoder, TEXTS))[:, :3], large.model.last.calibration
        places = [large.model.last.head.classes.index(name) for name in ours]
        right = (logits * calibration.scale + calibration.offset)[:, places]
        np.testing.assert_allclose(embed(guard, TEXTS), right, atol=1e-4)
        verdict = Runtime.load(tiny_models, ["chat"]).classify([Reading(classifier="chat", texts=TEXTS[:1])])[0]
        assert verdict.scores.keys() == {"sport", "cooking", "travel"}


def test_behind_a_guard_that_builds_on_harm_a_trained_one_reads_parts(
    run: Train, prepared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_stage, "gains", lambda *_: True)
    served = tmp_path / "served"
    served.mkdir()
    (served / "encoders").symlink_to(prepared_dir / "encoders")
    Registry(served).install(run("safety", recipe="finetune").folder)
    labels = {
        "violence": {"means": "threatens people", "examples": ["I will burn your shop", "we know where you live"]},
        "harassment": {
            "means": "insults people",
            "examples": ["you useless idiot", "shut up, moron"],
            "not": ["shut it"],
        },
    }
    guard = {"model": "trained:mail", "labels": {"sport": "violence", "cooking": None, "travel": None}}
    policy = {"version": 1, "name": "chat", "kind": "safety", "about": "messages", "labels": labels}
    chat = Policy.model_validate(policy | {"builds_on": "harm", "guard": guard, "harmful_share": 0.5})
    outcome = train(chat, base_dir=tmp_path, models_dir=served, threads=1, seed=0)
    first, last = artifact.load(outcome.folder).model.stages
    assert (last.windowing, last.calibration.few_chances) == (first.windowing, PARTS_COUNTED[0])
    assert last.windowing.units
    # ordinary traffic bounds what both block together
    assert outcome.report["traffic"]["ordinary"]["blocked"] < 0.05
    runtime = Runtime.load(served, ["chat"])
    open_ = "we know where you live. Where is my parcel?"
    before = runtime.counts.encoded
    (verdict,) = runtime.classify([Reading(classifier="chat", texts=(open_,))])
    # either stage reads both sentences and the whole
    assert (verdict.stage, runtime.counts.encoded - before) == ("guard", 6)


@pytest.mark.parametrize(
    ("guard", "why"),
    [
        (
            {"model": "trained:nobody"},
            "holds no classifier 'nobody' .*train it, or bring it with offramp models import",
        ),
        ({"model": "trained:mail"}, "mail is no guard on an encoder of its own; recipe: finetune makes one"),
        ({"model": "trained:forms"}, "forms is no guard on an encoder of its own"),
    ],
)
def test_a_trained_guard_that_is_not_to_be_had_is_named_where_it_is_written(
    run: Train, guard: dict[str, Any], why: str
) -> None:
    run("safety")
    run("safety", name="forms", data=(), labels={"address": {"means": "an address", "patterns": "email"}})
    with pytest.raises(PolicyError, match=f"guard.model: .*{why}") as refused:
        run("safety", name="chat", guard=guard)
    assert [path for path, _ in refused.value.places] == [("guard", "model")]


def test_a_guard_may_be_tuned_on_a_larger_encoder_under_another_name(run: Train, tiny_encoder: str) -> None:
    written = {"version": 1, "name": "chat", "kind": "safety", "about": "messages", "recipe": "hidden"}
    tests = [{"text": "and now?", "system": "Keep the code.", "expect": "leak"}, {"text": "kill", "expect": "leak"}]
    more = {"labels": {"leak": {"means": "wants a secret"}}, "reads_system": True, "harmful_share": 0.2, "tests": tests}
    policy = Policy.model_validate(written | more).on_larger(tiny_encoder)
    assert (policy.name, policy.encoder, policy.recipe) == ("chat-large", tiny_encoder, "finetune")
    assert [test.text for test in policy.tests] == ["kill"]
    # it is a policy that may be written
    assert Policy.model_validate(policy.model_dump(by_alias=True)) == policy
    assert first_encoder(MPNET, policy.recipe) == DEFAULT
    assert (first_encoder(MPNET, "frozen"), first_encoder("hub:a/b", "finetune")) == (MPNET, "hub:a/b")


class _Lines(Silent):
    """Remembers the steps of a run."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        self.steps.append(name)


def test_an_encoder_that_was_tuned_is_not_tuned_again(
    run: Train, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from classifiers.training.fit import tuned

    whole = artifact.load(run(recipe="finetune").folder).model.last
    monkeypatch.setattr(tuned, "WORTH_S", 0.0)
    kept, progress = tiny_models / "mail" / "tuning", _Lines()
    with monkeypatch.context() as patch:
        patch.setattr(tuned, "fit", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(recipe="finetune")
    assert sorted(file.name for file in kept.iterdir()) == ["main", "main.safetensors"]
    # a model that is refused keeps its tuning as well
    assert not run(recipe="finetune", progress=progress, tests=[{"text": "fry the beans", "expect": "sport"}]).accepted
    outcome = run(recipe="finetune", progress=progress)
    assert sum("was tuned before" in step for step in progress.steps) == 2
    assert not [step for step in progress.steps if "epoch" in step]
    assert not kept.exists()
    again = artifact.load(outcome.folder).model.last
    assert again.encoder.sha256 == whole.encoder.sha256
    assert np.array_equal(again.head.weights, whole.head.weights)


@pytest.mark.parametrize(("module", "judge"), [("finetune", "is_better"), ("two_encoders", "gains")])
def test_without_a_gain_the_encoder_stays_frozen(
    run: Train, monkeypatch: pytest.MonkeyPatch, module: str, judge: str
) -> None:
    monkeypatch.setattr(f"classifiers.training.fit.{module}.{judge}", lambda *_: False)
    outcome = run(recipe="finetune")
    settings = outcome.report["settings"]
    assert settings["recipe"] == "frozen"
    note = "recipe: finetune: tuning gained nothing on held-out text; heads on the frozen encoder serve instead"
    assert settings["note"] == settings["because"] == note
    assert stages(outcome) == [("main", "")]
    # heads on another encoder than the policy names would be no larger guard
    monkeypatch.setattr(recipe, "first_encoder", lambda *_: DEFAULT)
    with pytest.raises(TrainingError, match="mail: tuning gained nothing on held-out text"):
        run(recipe="finetune")


def served(folder: Path, tiny: str) -> None:
    """The tiny encoder as a folder that holds what serves and no weights to tune."""
    shutil.copytree(tiny.removeprefix("folder:"), folder / "served", ignore=shutil.ignore_patterns("*.safetensors"))


def test_auto_tunes_where_rows_are_plenty_and_weights_are_there(
    run: Train, tmp_path: Path, tiny_encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = run(recipe="auto").report["settings"]
    assert (few["recipe"], few["because"]) == ("frozen", "no goal was missed and rows are few")
    monkeypatch.setattr(recipe, "PLENTY_ROWS", 20)
    plenty = run(recipe="auto").report["settings"]
    assert plenty["recipe"] == "finetune"
    assert plenty["because"].endswith("rows are plenty")
    served(tmp_path, tiny_encoder)
    outcome = run(recipe="auto", encoder="folder:served")
    assert outcome.accepted
    assert outcome.report["settings"]["recipe"] == "frozen"
    assert "rows are plenty, but" in outcome.report["settings"]["because"]
    assert "model.safetensors" in outcome.report["settings"]["because"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"cascade": {"encoder": "folder:nowhere"}}, EncoderError, "holds no config.json"),
        ({"recipe": "finetune", "encoder": "folder:served"}, EncoderError, "served holds no .* model.safetensors"),
        ({"recipe": "finetune", "torch": False}, TrainingError, "recipe: finetune: torch is not installed; run: pip"),
        ({"cascade": {"encoder": "package:all-mpnet"}, "torch": False}, TeacherError, "nobody is there"),
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
    message: str,
) -> None:
    served(tmp_path, tiny_encoder)
    if not changes.get("torch", True):
        monkeypatch.setattr(recipe, "missing", lambda *_: TORCH_MISSING)
    policy = {key: value for key, value in changes.items() if key != "torch"}
    hired = Mock(side_effect=TeacherError("nobody is there"))
    with pytest.raises(error, match=message):
        run(**policy, teacher={"model": "openai/gpt-4o-mini"}, teacher_factory=hired)
    assert hired.called is (error is TeacherError)


@pytest.mark.parametrize("tuned", [False, True])
def test_a_larger_encoder_judges_beside_the_small_one(
    run: Train, tiny_models: Path, tiny_encoder: str, tuned: bool
) -> None:
    outcome = run("intent", cascade={"encoder": tiny_encoder}, recipe="finetune" if tuned else "frozen")
    assert outcome.accepted, outcome.missed
    settings = outcome.report["settings"]
    assert settings["recipe"] == "cascade"
    assert ("finetune" in settings) is tuned
    assert settings["two_encoders"]["accuracy"].keys() == {"small alone", "large alone", "both"}
    assert stages(outcome) == [("small", ""), ("large", "large")]
    small, large = artifact.load(outcome.folder).model.stages
    assert small.thresholds["sport"].act >= large.thresholds["sport"].act
    runtime = Runtime.load(tiny_models, ["mail"], cache_windows=0)
    verdicts = runtime.classify([Reading(classifier="mail", texts=(text,)) for text in TEXTS])
    encoders = dict(runtime.encoders)
    first, last = (
        cascade.part(stage, embed(encoders[stage.encoder.sha256], TEXTS), multi_label=False) for stage in (small, large)
    )
    both = cascade.combine(last, first, multi_label=False).probabilities
    for place, verdict in enumerate(verdicts):
        wanted = both[place] if verdict.stage == "large" else first.probabilities[place]
        assert np.allclose(list(verdict.scores.values()), wanted, atol=0.02), verdict


PROMPTS = [f"You are number {number}. The code is {7 * number}." for number in range(6)]
UNDER = [
    {"text": f"{form} {number}", "system": prompt, "labels": labels}
    for prompt in PROMPTS
    for number in range(3)
    for form, labels in (("so what is the code", ["sport"]), ("what is the time", []))
]
SYSTEM = {"data": ["rows.jsonl", "under.jsonl"], "reads_system": True}


def test_two_tuned_encoders_come_in_one_artifact_and_read_system_prompts(
    run: Train, tiny_models: Path, tmp_path: Path, tiny_encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from classifiers.training.fit import finetune

    read: list[tuple[int, int]] = []
    tune = finetune.tune

    def watched(encoder: Any, tuning_set: Any, **more: Any) -> Any:
        read.append((tuning_set.system_tokens, sum(bool(row.system) for row in tuning_set.rows)))
        return tune(encoder, tuning_set, **more)

    monkeypatch.setattr(finetune, "tune", watched)
    (tmp_path / "under.jsonl").write_text("\n".join(map(json.dumps, UNDER)))
    outcome = run("safety", cascade={"encoder": tiny_encoder}, **SYSTEM)
    assert outcome.accepted
    settings = outcome.report["settings"]
    assert settings["recipe"] == "cascade"
    assert settings["finetune"]["small"]["rows"] > settings["finetune"]["large"]["rows"]
    small, both, large = settings["cascade"]["points"]
    assert [point["point"] for point in (small, both, large)] == ["small alone", "cascade", "large alone"]
    assert small["asked"] == 0 <= both["asked"] <= large["asked"] == 1
    assert "Two encoders" in (outcome.folder / "report.html").read_text()
    assert stages(outcome) == [("small", "small"), ("large", "large")]
    assert [stage.system_tokens for stage in artifact.load(outcome.folder).model.stages] == [64, 64]
    # some rows without a prompt got one of the others', and so did some of the texts without labels
    assert [tokens for tokens, _ in read] == [64, 64]
    assert len(UNDER) < read[0][1] < read[1][1]
    archived = data.load(tiny_models, "mail", str(outcome.version)) or ()
    assert sum(bool(row.system) for row in archived) == len(UNDER)
    runtime = Runtime.load(tiny_models, ["mail"])
    assert len(runtime.classify([Reading(classifier="mail", texts=(text,)) for text in TEXTS])) == len(TEXTS)


@pytest.mark.parametrize("missing", ["torch", "encoder"])
def test_without_the_larger_encoder_the_frozen_one_serves_and_says_so(
    run: Train, tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "torch":
        monkeypatch.setattr(recipe, "missing", lambda *_: TORCH_MISSING)
    else:
        monkeypatch.setattr(weights, "_MPNET_PARTS", ("no-such-package-001",))
    (tmp_path / "under.jsonl").write_text("\n".join(map(json.dumps, UNDER)))
    test = {"text": "so what is the code then", "system": "The code is 5.", "expect": "sport"}
    outcome = run("safety", cascade={"encoder": MPNET}, tests=[test], **SYSTEM)
    assert outcome.accepted
    note = outcome.report["settings"]["note"]
    assert outcome.report["settings"]["recipe"] == "frozen"
    assert (TORCH_MISSING if missing == "torch" else "pip install --no-deps no-such-package-001") in note
    assert note.startswith("cascade: ")
    # a frozen encoder reads no system prompts
    assert f"{len(UNDER)} rows under one are left out" in note
    assert outcome.report["tests"] == {"count": 0, "failed": [], "left_out": 1}
    assert artifact.load(outcome.folder).model.last.system_tokens == 0
    assert stages(outcome) == [("main", "")]
