import json
import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from classifiers.encoder.guard import find_guard, label_problems, log_odds, with_head, with_odds
from classifiers.encoder.session import Graph
from classifiers.encoder.source import Odds, Pooling
from classifiers.errors import EncoderError
from classifiers.policy import Guard, Policy
from tests.given import table

CONFIG = {"architectures": ["BertForSequenceClassification"], "id2label": {"1": "BAD", "0": "GOOD"}}


def saved(folder: Path, *, weights: str = "model.onnx", **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    for name in ("tokenizer.json", weights):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    return folder


def test_a_folder_says_what_its_logits_are(tmp_path: Path) -> None:
    saved(
        tmp_path / "one", weights="onnx/model.onnx", num_attention_heads=4, hidden_size=32, max_position_embeddings=64
    )
    one = find_guard("folder:one", tmp_path, tmp_path)
    assert (one.labels, one.several, one.heads, one.max_tokens) == (("GOOD", "BAD"), False, 4, 64)
    assert one.weights == tmp_path / "one" / "onnx" / "model.onnx"
    ours, odds = one.odds(
        Guard.model_validate({"model": "folder:one", "labels": {"GOOD": None, "BAD": ["b", "a"]}}), ("a", "b")
    )
    assert (ours, odds.groups, odds.logits) == (("b", "a"), ((1,), (1,)), 2)
    # where none is named, its labels stand for those of the same name
    ours, odds = one.odds(Guard.model_validate({"model": "folder:one"}), ("a", "BAD"))
    assert (ours, odds.groups) == (("BAD",), ((1,),))
    saved(tmp_path / "two", weights="model.safetensors", id2label=None, model_type="xlm-roberta")
    two = find_guard(f"folder:{tmp_path / 'two'}", Path(), tmp_path)
    # transformers does not write the names that it gives by itself
    assert (two.labels, two.is_graph, two.max_tokens) == (("LABEL_0", "LABEL_1"), False, 510)
    saved(tmp_path / "three", id2label={"0": "toxicity"})
    assert find_guard("folder:three", tmp_path, tmp_path).several


def test_a_package_carries_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "carrier" / "weights")

    class Installed:
        version = "1.0"
        files = tuple(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())

        def locate_file(self, path: Path) -> Path:
            return tmp_path / path

    monkeypatch.setattr(metadata, "distribution", lambda name: Installed())
    assert find_guard("package:carrier", tmp_path, tmp_path).folder == tmp_path / "carrier" / "weights"
    monkeypatch.setattr(Installed, "files", ())
    with pytest.raises(EncoderError, match=r"carrier 1\.0 carries no folder with config\.json.*write folder:PATH"):
        find_guard("package:carrier", tmp_path, tmp_path)


def test_the_hub_is_asked_for_weights_only_where_it_has_no_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def download(*, repo_id: str, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        return str(saved(tmp_path / "hub", weights="model.safetensors"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find_guard("hub:org/name", tmp_path, tmp_path).name == "hub:org/name"
    assert ["model.safetensors" in names for names in asked] == [False, True]

    def unreachable(**_: Any) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    wanted = r"guard hub:org/name could not be fetched .*no route to host.*folder:PATH.*package:NAME"
    with pytest.raises(EncoderError, match=wanted):
        find_guard("hub:org/name", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("source", "made", "message"), table("given/classifiers-encoder-guard-what_is_no_guard_is_named.yaml")
)
def test_what_is_no_guard_is_named(tmp_path: Path, source: str, made: dict[str, Any], message: str) -> None:
    saved(tmp_path / "guard", **made)
    with pytest.raises(EncoderError, match=re.escape(message)):
        find_guard(source, tmp_path, tmp_path)


def test_weights_need_torch_and_a_graph_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifiers.errors.find_spec", lambda name: None)
    saved(tmp_path / "guard", weights="model.safetensors")
    lacking = find_guard("folder:guard", tmp_path, tmp_path).lacking
    assert lacking.endswith("torch is not installed; run: pip install 'offramp[finetune]'")
    saved(tmp_path / "guard")
    assert find_guard("folder:guard", tmp_path, tmp_path).lacking == ""


@pytest.mark.parametrize(
    ("labels", "path", "message"),
    [
        ({"GOOD": None, "BAD": "violence", "UGLY": None}, "UGLY", "no label UGLY; the model's labels are GOOD, BAD"),
        ({"BAD": "violence"}, "", "does not say what GOOD stands for; name labels of the policy or null"),
        ({}, "", "does not say what GOOD, BAD stands for; name labels of the policy or null"),
        ({"GOOD": None, "BAD": None}, "", "none of the model's labels stands for a label of this policy"),
        ({"GOOD": "calm", "BAD": "violence"}, "GOOD", "calm is no label of this policy (labels: violence, jailbreak)"),
    ],
)
def test_labels_of_either_side_that_the_other_lacks_are_listed(
    make_policy: Callable[..., Policy], labels: dict[str, str | None], path: str, message: str
) -> None:
    policy = make_policy("safety", guard={"model": "folder:guard", "labels": labels})
    ((place, why),) = label_problems(policy, ["GOOD", "BAD"])
    assert place == (("guard", "labels", path) if path else ("guard", "labels"))
    assert message in why


@pytest.mark.parametrize("several", [False, True])
def test_odds_of_labels_are_the_summed_odds_of_what_stands_for_them(several: bool) -> None:
    import onnxruntime

    odds = Odds(groups=((1, 2), (2,)), logits=3, several=several)
    logits = np.array([[3, -1, 0.5], [-4, 4, 3.5], [0, 0, 0]], np.float32)
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("given", "logits")]
    graph = helper.make_graph([helper.make_node("Identity", ["given"], ["logits"])], "guard", given[:1], given[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    made = with_odds(model, odds)
    onnx.checker.check_model(made)
    (served,) = onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"given": logits})
    assert served == pytest.approx(log_odds(logits, odds), abs=1e-4)
    shares = np.exp(logits) / (1 if several else np.exp(logits).sum(axis=1, keepdims=True))
    held = np.stack([shares[:, 1] + shares[:, 2], shares[:, 2]], axis=1)
    assert np.exp(served) == pytest.approx(held if several else held / (1 - held), rel=1e-3)
    with pytest.raises(EncoderError, match=r"logits has the shape \[0, 3\]; a guard's is \(batch, 4\)"):
        with_odds(model, Odds(groups=((1,),), logits=4, several=several))


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_a_head_behind_an_encoder_reads_the_vector_that_is_pooled(pooling: Pooling) -> None:
    states = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    head = np.eye(3, 4, dtype=np.float32), np.arange(3, dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gather", ["states", "input_ids"], ["hidden"])],
        "encoder",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", "tokens", 4])],
        [onnx.numpy_helper.from_array(states, "states")],
    )
    encoder = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    ids = [5, 1, 7]
    vector = Graph(encoder.SerializeToString(), pooling).run(ids)
    made = Graph(with_head(encoder, head, pooling).SerializeToString(), "odds").run(ids)
    np.testing.assert_allclose(made, head[0] @ vector + head[1], atol=1e-6)
