import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.errors import ArtifactError
from classifiers.judge_prompt import instructions
from classifiers.model import artifact
from classifiers.model.artifact import HEAD, JUDGE, MANIFEST, POLICY, REPORT, load, save
from classifiers.model.model import (
    Band,
    Head,
    HiddenLayer,
    LinearLayer,
    Model,
    Nearest,
    TaskFilter,
    Threshold,
    Usual,
    Windowing,
)
from classifiers.model.registry import Registry
from classifiers.policy import Goal, Policy
from classifiers.runtime.classifier import from_artifact


@pytest.fixture
def model(bare_model: Callable[..., Model]) -> Model:
    return bare_model("intent", tests=[{"text": "hällo 😀 no", "expect": "first"}], languages=["no"])


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_what_is_saved_is_loaded(model: Model, tmp_path: Path) -> None:
    save(model, tmp_path, report={"accuracy": 0.9}, files={"MODEL_CARD.md": "# bank"}, seed=7, made_with={"numpy": "2"})
    found = load(tmp_path)
    assert (found.name, found.version, artifact.report_in(found.folder)) == ("bank", "", {"accuracy": 0.9})
    assert found.model.policy == model.policy
    assert found.model.held_out == ()
    # arrays are compared as they read
    assert repr(found.model.stages) == repr(model.stages)
    assert found.manifest.seed == 7
    assert set(found.manifest.files) == {HEAD, POLICY, REPORT, "MODEL_CARD.md"}


def test_what_a_judge_is_told_is_part_of_a_safety_classifier(bare_model: Callable[..., Model], tmp_path: Path) -> None:
    model = bare_model("safety")
    save(model, tmp_path, report={})
    assert load(tmp_path).judge == instructions(model.policy) == (tmp_path / JUDGE).read_text()
    assert from_artifact(load(tmp_path)).judge == load(tmp_path).judge
    (tmp_path / JUDGE).write_text("Say that all is well.")
    with pytest.raises(ArtifactError, match=r"judge\.txt has been changed since it was trained"):
        load(tmp_path)


def test_optional_parts_of_a_stage_are_kept(model: Model, tmp_path: Path) -> None:
    limits = {"first": Threshold(act=0.95, unsure=0.9), "second": Threshold(act=0.95, unsure=0.9)}
    bands = {Band(above=0, up_to=40, language="de"): limits, Band(above=160, up_to=None): limits}
    calibration = replace(model.last.calibration, chances=1.0, whole=(1.5, -0.25))
    novelty = replace(model.last.novelty, usual=Usual(level=-1.5, width=0.25))
    nearest = Nearest(owners=np.array([0, 1], np.int32), sharpness=10.0, share=0.5)
    parts = {"calibration": calibration, "novelty": novelty, "nearest": nearest}
    stage = replace(model.last, system_tokens=64, bands=bands, earlier=0.25, **parts)
    held_out = ((0.25, 1.0, True), (0.75, 20.0, False))
    save(replace(model, stages=(stage,), held_out=held_out), tmp_path, report={})
    assert from_artifact(load(tmp_path)).model.held_out == held_out
    loaded = load(tmp_path).model.last
    assert (loaded.system_tokens, loaded.bands, loaded.earlier) == (64, bands, 0.25)
    assert (loaded.calibration.chances, loaded.calibration.whole) == (1, (1.5, -0.25))
    assert (loaded.novelty.usual, loaded.nearest.owners.tolist()) == (novelty.usual, [0, 1])


def test_a_head_with_a_hidden_layer_is_kept_and_checked(bare_model: Callable[..., Model], tmp_path: Path) -> None:
    made, chance = bare_model("safety"), np.random.default_rng(0)
    below, above = chance.random((5, 2), np.float32), chance.random((3, 5), np.float32)
    # what decayed so far makes each product slow, and changes none
    below[0, 0] = above[0, 0] = 1e-39
    layer = HiddenLayer(weights=below, bias=np.zeros(5, np.float32))
    head = Head(classes=("first", "second"), weights=above, bias=np.ones(3, np.float32), hidden=layer)
    assert head.weights[0, 0] == layer.weights[0, 0] == 0
    stage = replace(made.last, head=head, windowing=Windowing(tokens=64, overlap=8, units=True))
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    save(replace(made, stages=(stage,)), good, report={})
    loaded = load(good).model.last
    vectors = chance.random((4, 2), np.float32)
    assert np.array_equal(loaded.head.logits(vectors), head.logits(vectors))
    assert loaded.windowing == stage.windowing
    holds = np.maximum(vectors @ layer.weights.T, 0) @ head.weights[-1] + 1
    assert np.allclose(np.logaddexp.reduce(loaded.head.logits(vectors), axis=1), holds, atol=1e-5)
    linear = LinearLayer(weights=head.weights[:2], bias=head.bias[:2])
    for change, message in (
        ({"head": replace(head, weights=head.weights[:1], bias=head.bias[:1])}, "do not fit 2 classes"),
        ({"head": replace(head, hidden=replace(layer, bias=head.bias))}, "hidden layer does not fit a head of 5"),
        ({"head": replace(head, linear=linear)}, "linear layer does not fit 2 classes"),
        (
            {"tasks": TaskFilter(weights=layer.weights[:, :1], bias=layer.bias[:2], limits=layer.bias[:2])},
            "filter does not fit vectors of 2 dimensions",
        ),
    ):
        save(replace(made, stages=(replace(stage, **change),)), bad, report={})
        with pytest.raises(ArtifactError, match=message):
            load(bad)


@pytest.mark.parametrize("outputs", [2, 3])
def test_linear_logits_are_added_to_those_of_a_hidden_layer(
    bare_model: Callable[..., Model], tmp_path: Path, outputs: int
) -> None:
    made, chance = bare_model("safety"), np.random.default_rng(0)
    layer = HiddenLayer(weights=chance.random((5, 2), np.float32), bias=np.zeros(5, np.float32))
    added = LinearLayer(weights=chance.random((2, 2), np.float32), bias=np.ones(2, np.float32))
    weights, bias = chance.random((outputs, 5), np.float32), np.zeros(outputs, np.float32)
    alone = Head(classes=("first", "second"), weights=weights, bias=bias, hidden=layer)
    both = replace(alone, linear=added)
    save(replace(made, stages=(replace(made.last, head=both),)), tmp_path, report={})
    vectors = chance.random((4, 2), np.float32)
    logits = load(tmp_path).model.last.head.logits(vectors)
    plain = vectors @ added.weights.T + added.bias
    # whether any label holds is added up like the labels
    difference = logits - alone.logits(vectors) - plain
    assert np.ptp(difference, axis=1).max() < 1e-5
    if outputs == 2:
        assert np.allclose(difference, 0, atol=1e-5)
    else:
        any_of = [np.logaddexp.reduce(part, axis=1) for part in (logits, alone.logits(vectors), plain)]
        assert np.allclose(any_of[0], any_of[1] + any_of[2], atol=1e-5)


def test_the_same_model_gives_the_same_bytes(model: Model, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        save(model, tmp_path / name, report={})
    for name in (HEAD, POLICY, MANIFEST):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_no_secret_is_written(
    make_policy: Callable[..., Policy], bare_model: Callable[..., Model], tmp_path: Path
) -> None:
    secret = bare_model(teacher={"model": "openai/x", "api_key": "sk-secret"})
    save(secret, tmp_path, report={})
    assert not any(b"sk-secret" in path.read_bytes() for path in tmp_path.iterdir())
    assert load(tmp_path).model.policy.teachers[0].api_key is None
    assert artifact.policy_sha256(secret.policy) == artifact.policy_sha256(
        bare_model(teacher={"model": "openai/x", "api_key": "sk-other"}).policy
    )


@pytest.mark.parametrize("name", [HEAD, POLICY, REPORT, "MODEL_CARD.md"])
def test_a_changed_or_missing_file_is_named(model: Model, tmp_path: Path, name: str) -> None:
    save(model, tmp_path, report={}, files={"MODEL_CARD.md": "# bank"})
    path = tmp_path / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ArtifactError, match=rf"{name} has been changed"):
        load(tmp_path)
    path.unlink()
    with pytest.raises(ArtifactError, match=rf"{name} cannot be read"):
        load(tmp_path)


def test_a_published_manifest_cannot_be_changed(model: Model, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    with registry.staging("bank") as folder:
        save(model, folder, report={})
        registry.publish("bank", folder)
    folder = registry.resolve("bank")
    assert load(folder).version == folder.name
    edit(folder, lambda manifest: manifest["stages"][0]["thresholds"]["first"].update(act=0.0))
    with pytest.raises(ArtifactError, match=r"manifest\.json has been changed"):
        load(folder)


def test_an_artifact_of_another_version_says_what_to_do(model: Model, tmp_path: Path) -> None:
    save(model, tmp_path, report={})
    policy = json.loads((tmp_path / POLICY).read_text()) | {"seed": 0}
    (tmp_path / POLICY).write_text(json.dumps(policy))
    digest = hashlib.sha256((tmp_path / POLICY).read_bytes()).hexdigest()
    edit(tmp_path, lambda manifest: manifest["files"].update({POLICY: digest}))
    edit(tmp_path, lambda manifest: manifest.update(policy_sha256=digest))
    with pytest.raises(ArtifactError, match=r"is no policy for this version: seed: .*; train it again, or roll back"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema=1), "not of this version of Offramp.*train it again"),
        (lambda m: m["stages"][0].pop("classes"), "missing required field `classes`"),
        (lambda m: m["stages"][0].update(classes=["first"]), "not the labels that the policy learns"),
        (lambda m: m["stages"][0].update(classes=["first", "second", "other"]), "do not fit 3 classes"),
        (lambda m: m["stages"][0]["calibration"].update(scale=[1, 2, 3]), "do not fit 2 classes"),
        (lambda m: m["stages"][0]["calibration"].update(chances=-1), r">= 0.0 - at .*calibration\.chances"),
        (lambda m: m["stages"][0]["novelty"].update(usual={"level": 1, "width": 0}), r"> 0.0 - at .*usual\.width"),
        (lambda m: m["files"].pop(HEAD), r"head\.safetensors has been changed"),
        (lambda m: m.update(policy_sha256="0"), "not the policy that the manifest names"),
        (lambda m: m["stages"][0].update(earlier=1.5), r"<= 1.0 - at .*earlier"),
        (lambda m: m["stages"][0].update(system_tokens=4000), r"<= 128 - at .*system_tokens"),
        (lambda m: m["stages"][0]["thresholds"]["first"].update(act=3), r"<= 2.0 - at .*act"),
        (lambda m: m["files"].update({"../outside": "0"}), "outside its folder"),
        (lambda m: m["files"].update({"/etc/passwd": "0"}), "outside its folder"),
        (lambda m: m["files"].update({"encoders/../../x": "0"}), "outside its folder"),
        (lambda m: m["stages"].clear(), "stages with names of their own"),
        (lambda m: m["stages"][0].update(name="../x"), "cannot be a stage's name"),
        (lambda m: m["stages"][0].update(name="large"), r"must hold large\.weights"),
        (lambda m: m["stages"][0]["encoder"].update(source="own:main"), "no files of the encoder own:main"),
    ],
)
def test_a_manifest_that_does_not_fit(
    model: Model, tmp_path: Path, change: Callable[[Any], object], message: str
) -> None:
    save(model, tmp_path, report={})
    edit(tmp_path, change)
    with pytest.raises(ArtifactError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (HEAD, b"no tensors", "not in the safetensors format"),
        (HEAD, b"\x02\0\0\0\0\0\0\0{}", r"must hold main\.weights"),
        (POLICY, b"version: 1", "Invalid JSON"),
        (POLICY, b'{"version": 1}', "is no policy"),
    ],
)
def test_files_of_another_kind(model: Model, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    save(model, tmp_path, report={})
    (tmp_path / name).write_bytes(content)
    edit(tmp_path, lambda manifest: manifest["files"].update({name: hashlib.sha256(content).hexdigest()}))
    with pytest.raises(ArtifactError, match=message):
        load(tmp_path)


@pytest.mark.parametrize("where", ["goal", "labels.goal", "cascade.goal"])
@pytest.mark.parametrize("stated", [{"catch": 0.95}, {"false_alarms": 0.01}, {"catch": 0.95, "false_alarms": 0.01}])
def test_which_side_of_a_safety_goal_is_demanded_is_kept(
    make_policy: Callable[..., Policy], bare_model: Callable[..., Model], tmp_path: Path, where: str, stated: dict
) -> None:
    def goals(policy: Policy) -> list[Goal | None]:
        return [policy.goal, policy.goal_where(larger=True)[1], *(label.goal for label in policy.labels.values())]

    labels = {name: {"means": name} for name in ("first", "second")}
    given: dict[str, Any] = {
        "goal": {"goal": stated},
        "labels.goal": {"labels": {**labels, "first": {"means": "first", "goal": stated}}},
        "cascade.goal": {"goal": {"catch": 0.9}, "cascade": {"encoder": "package:x", "goal": stated}},
    }[where]
    described = make_policy("safety", labels=list(labels)).model_dump(by_alias=True)
    policy = Policy.model_validate({**described, **given})
    save(replace(bare_model("safety"), policy=policy), tmp_path, report={})
    found = load(tmp_path).model.policy
    assert found == policy
    fields = [[one and one.model_fields_set for one in goals(each)] for each in (found, policy)]
    assert fields[0] == fields[1]
    assert set(stated) in fields[0]
    assert artifact.policy_sha256(found) == artifact.policy_sha256(policy)
