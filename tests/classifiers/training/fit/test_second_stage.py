"""A pretrained guard behind a policy's heads: small models in the layouts that guards have, made and saved here."""

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from msgspec import structs
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from classifiers import Reading, Runtime
from classifiers.encoder.guard import find_guard, log_odds
from classifiers.encoder.prepare import find
from classifiers.encoder.session import Description, Encoder, embed
from classifiers.encoder.source import Odds, sha256_of
from classifiers.errors import ArtifactError, EncoderError, PolicyError, TrainingError
from classifiers.model import artifact
from classifiers.model.model import Threshold
from classifiers.policy import Policy
from classifiers.runtime import cascade
from classifiers.runtime.classifier import from_model
from classifiers.text.windows import cut
from classifiers.training.fit import second_stage
from classifiers.training.fit.fitted import Silent, Workbench
from classifiers.training.fit.second_stage import convert
from classifiers.training.run import TrainingOutcome, train

HARM = ["attack", "hurt", "kill", "bomb", "stab", "shoot", "poison", "burn"]
CALM = ["bake", "paint", "walk", "read", "sing", "plant", "write", "cook"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "i", "will", "my", "neighbour", "the", "we", "a", "now", *HARM, *CALM]
TEXTS = [f"{who} will {word} the {what}" for who in ("i", "we") for word in HARM + CALM for what in ("neighbour", "a")]
LABELS = ["SAFE", "ATTACK", "THREAT"]
SIZES = {"vocab_size": len(WORDS), "initializer_range": 0.3, "pad_token_id": 0}
WIDE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
BUCKETS = {"relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"], "share_att_key": True}
PLACES = {"norm_rel_ebd": "layer_norm", "position_biased_input": False, "type_vocab_size": 0}
ENDS = {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3, "local_attention": 8}
LAYOUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", WIDE),
    "distilbert": ("DistilBert", {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}),
    "deberta-v3": ("DebertaV2", {**WIDE, **BUCKETS, **PLACES}),
    "modernbert": ("ModernBert", {**WIDE, **ENDS, "initializer_cutoff_factor": 3.0}),
}


@pytest.fixture(autouse=True, scope="module")
def torch_on_one_thread(required: Any) -> Iterator[None]:
    required.module("torch", "pip install 'offramp[finetune]'")
    from classifiers.training.fit.torch_encoder import torch_threads

    with torch_threads(1, 0):
        yield


def make_guard(folder: Path, layout: str, **more: Any) -> Any:
    """A small guard with weights by chance, saved as on the hub: the torch module."""
    import torch
    import transformers

    name, sizes = LAYOUTS[layout]
    torch.manual_seed(1)
    named = {"id2label": dict(enumerate(LABELS)), "label2id": {}}
    config = getattr(transformers, f"{name}Config")(**SIZES, **sizes, **named, **more)
    module = getattr(transformers, f"{name}ForSequenceClassification")(config).eval()
    module.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return module


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Workbench(base_dir=tmp_path, models_dir=tmp_path, scratch=scratch, seed=0, threads=1, progress=Silent())


def torch_odds(module: Any, odds: Odds) -> np.ndarray[Any, Any]:
    import torch

    ids = [[2, *[WORDS.index(word) for word in text.split()], 3] for text in TEXTS]
    with torch.no_grad():
        return log_odds(module(input_ids=torch.tensor(ids)).logits.numpy(), odds)


def export(module: Any, path: Path, names: Sequence[str]) -> None:
    """As other tools write a graph: with a mask, and hidden states of no use."""
    import torch

    ids = torch.tensor([[2, 4, 5, 3]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.guard = module

        def forward(self, *given: Any) -> Any:
            return self.guard(**dict(zip(names, given, strict=True))).logits

    module.set_attn_implementation("eager")
    axes = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Whole().eval(),
            tuple(inputs[name] for name in names),
            str(path),
            dynamo=False,
            opset_version=14,
            input_names=list(names),
            output_names=["logits"],
            dynamic_axes={**dict.fromkeys(names, axes), "logits": {0: "batch"}},
        )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_guard_of_each_layout_survives_its_conversion(tmp_path: Path, bench: Workbench, layout: str) -> None:
    folder = tmp_path / "guard"
    module = make_guard(folder, layout)
    source = find_guard("folder:guard", tmp_path, tmp_path)
    assert (source.labels, source.several, source.is_graph) == (tuple(LABELS), False, False)
    encoder, made, record = convert(source, odds := Odds(groups=((1, 2), (2,)), logits=3, several=False), TEXTS, bench)
    right = torch_odds(module, odds)
    assert (record["form"], record["apart"] < 0.03) == ("fused-int8", True)
    assert np.corrcoef(right[:, 0], embed(encoder, TEXTS)[:, 0])[0, 1] > 0.97
    kinds = [node.op_type for node in onnx.load(made / "model.onnx").graph.node]
    assert kinds.count("QAttention") == (2 if layout in {"bert", "distilbert"} else 0)

    # the same as a ready-made graph, and as a model of which several labels may hold
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if layout == "bert" else [])]
    export(module, folder / "model.onnx", names)
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text()) | {"problem_type": "multi_label_classification"}
    (folder / "config.json").write_text(json.dumps(config))
    source = find_guard("folder:guard", tmp_path, tmp_path)
    assert (source.several, source.is_graph) == (True, True)
    bench = replace(bench, scratch=tmp_path / "again")
    bench.scratch.mkdir()
    encoder, made, record = convert(source, odds := Odds(groups=((0,), (1, 2)), logits=3, several=True), TEXTS, bench)
    right = torch_odds(module, odds)
    assert np.corrcoef(right.T, embed(encoder, TEXTS).T)[[0, 1], [2, 3]].min() > 0.97


def test_what_int8_blurs_stays_in_32_bits_and_another_guard_is_refused(
    tmp_path: Path, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_guard(tmp_path / "guard", "distilbert")
    source, odds = find_guard("folder:guard", tmp_path, tmp_path), Odds(groups=((1, 2),), logits=3, several=False)
    monkeypatch.setattr(second_stage, "MEAN_APART", 1e-4)
    assert convert(source, odds, TEXTS, bench)[2]["form"] == "plain-fp32"
    monkeypatch.setattr(second_stage, "MEAN_APART", -1.0)
    bench = replace(bench, scratch=tmp_path / "again")
    bench.scratch.mkdir()
    with pytest.raises(TrainingError, match=r"guard folder:guard does not survive its conversion: as plain-fp32 its"):
        convert(source, odds, TEXTS, bench)
    # a processor that computes int8 wrongly is found when the stage is loaded
    monkeypatch.undo()
    _, made, _ = convert(source, odds, TEXTS, replace(bench, scratch=tmp_path))
    known = Description.read(made)
    structs.replace(known, vectors=tuple((value + 3,) for (value,) in known.vectors)).write(made)
    with pytest.raises(EncoderError, match="is wrong on this processor: probabilities differ by"):
        Encoder.open(made)


@pytest.fixture(scope="module")
def trained_guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guard that has learned which words are an attack and which a threat."""
    folder = tmp_path_factory.mktemp("learned") / "guard"
    module = make_guard(folder, "distilbert", dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)
    import torch

    ids = torch.tensor([[2, *[WORDS.index(word) for word in text.split()], 3] for text in TEXTS])
    truth = torch.tensor([1 + HARM.index(text.split()[2]) // 4 if text.split()[2] in HARM else 0 for text in TEXTS])
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(input_ids=ids).logits, truth).backward()
        optimizer.step()
    module.save_pretrained(folder)
    return folder


@pytest.fixture
def run(tiny_encoder: str, tiny_models: Path, tmp_path: Path) -> Callable[..., TrainingOutcome]:
    """run(guard, **policy): a policy with one label that a guard knows, and one that none does."""

    def make(guard: Path, labels: Mapping[str, Any] | None = None, **more: Any) -> TrainingOutcome:
        rows = [{"text": text, "label": "none" if text.split()[2] in CALM else "violence"} for text in TEXTS]
        # held out together, so that the heads meet words that they do not know
        rows = [row | {"group": row["text"].split()[2]} for row in rows]
        rows += [
            {"text": f"buy {word}s at half the price", "label": "advert"} for word in ("hat", "shoe", "pan", "lamp")
        ]
        (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        policy = {
            "version": 1,
            "name": "chat",
            "kind": "safety",
            "about": "messages",
            "labels": {"violence": {"means": "wants to hurt somebody"}, "advert": {"means": "praises goods"}},
            "data": "rows.jsonl",
            "encoder": tiny_encoder,
            "guard": {
                "model": f"folder:{guard}",
                "labels": labels or {"SAFE": None, "ATTACK": "violence", "THREAT": ["violence"]},
            },
            **more,
        }
        return train(Policy.model_validate(policy), base_dir=tmp_path, models_dir=tiny_models, threads=1, seed=0)

    return make


def test_a_guard_decides_where_the_heads_are_not_sure(
    run: Callable[..., TrainingOutcome], trained_guard: Path, tiny_models: Path
) -> None:
    outcome = run(trained_guard)
    record = outcome.report["settings"]["guard"]
    assert record["loss"]["both"] < record["loss"]["alone"] / 2
    heads, both, _ = record["points"]
    assert both["auprc"] > heads["auprc"] + 0.1
    assert record["sha256"] == sha256_of(trained_guard / "model.safetensors")
    stage = artifact.load(outcome.folder).model.last
    assert (stage.name, stage.encoder.source, stage.encoder.pooling) == ("guard", "own:guard", "odds")
    assert isinstance(stage.earlier, tuple)
    # no label of the guard's stands for the second one, so that the heads decide
    assert stage.earlier[0] < stage.earlier[1] == 1

    # it serves without torch, and is not asked about what the heads clear
    code = f"""
import sys
sys.modules["torch"] = sys.modules["transformers"] = sys.modules["onnx"] = None
from pathlib import Path
from classifiers import Reading, Runtime
runtime = Runtime.load(Path({str(tiny_models)!r}), ["chat"])
for text in ("we will poison the neighbour", "thanks"):
    before = runtime.counts.encoded
    (verdict,) = runtime.classify([Reading(classifier="chat", texts=(text,))])
    print(*verdict.labels, verdict.stage, runtime.counts.encoded - before)
"""
    served = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert served.stdout.splitlines() == ["violence guard 2", "main 1"]

    (model,) = outcome.folder.glob("encoders/guard/model.onnx")
    model.write_bytes(model.read_bytes() + b"x")
    with pytest.raises(ArtifactError, match=r"encoders/guard/model\.onnx has been changed since it was trained"):
        artifact.load(outcome.folder)


def test_a_guard_that_tells_nothing_is_left_out(run: Callable[..., TrainingOutcome], trained_guard: Path) -> None:
    outcome = run(trained_guard, {"SAFE": "violence", "ATTACK": None, "THREAT": None})
    assert outcome.report["settings"]["note"].startswith("guard: it gained nothing on held-out text")
    assert [stage.name for stage in artifact.load(outcome.folder).model.stages] == ["main"]


def test_a_guard_reads_the_whole_of_a_text_that_the_heads_leave_open(
    run: Callable[..., TrainingOutcome], trained_guard: Path, tiny_models: Path
) -> None:
    kinds = ["violence", "advert"]
    outcome = run(trained_guard, {"SAFE": None, "ATTACK": kinds, "THREAT": kinds})
    model = artifact.load(outcome.folder).model
    # what the guard does not part has one regression
    assert len({*np.array(model.last.earlier)}) == len({*model.last.calibration.scale}) == 1
    open_ = Threshold(act=2, unsure=0.0)
    first, last = model.stages
    first = replace(first, thresholds=dict.fromkeys(first.thresholds, open_))
    heads, guard = Encoder.open(find(first.encoder, tiny_models)), Encoder.open(outcome.folder / "encoders" / "guard")
    runtime = Runtime([heads, guard], {"chat": from_model(replace(model, stages=(first, last)))})
    text = " ".join(TEXTS[:10])
    (verdict,) = runtime.classify([Reading(classifier="chat", texts=(text, "walk"))])
    # of the first text two windows by the heads and one by the guard; of the second one each
    assert runtime.counts.encoded == 5

    windows = cut(heads.tokenize(text), 30, 8)
    own = cascade.part(first, heads.encode(windows), multi_label=True, among=np.full(2, 2))
    read = cascade.part(last, guard.encode([guard.tokenize(text)]), multi_label=True)
    both = cascade.combine(
        read, replace(own.only(np.zeros(1, int)), probabilities=own.probabilities.max(axis=0)[None]), multi_label=True
    )
    assert verdict.scores["violence"] == pytest.approx(float(both.probabilities[0, 0]), abs=1e-6)


def test_a_graph_without_a_head_is_named_where_it_is_written(
    run: Callable[..., TrainingOutcome], trained_guard: Path, tiny_encoder: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(trained_guard, tmp_path / "guard")
    for content, why in (
        (Path(tiny_encoder.partition(":")[2], "model.onnx").read_bytes(), "output last_hidden_state has the shape"),
        (b"{}", r"model\.onnx is no ONNX graph: DecodeError"),
    ):
        (folder / "model.onnx").write_bytes(content)
        with pytest.raises(PolicyError, match=f"chat: guard.model: .*{why}") as refused:
            run(folder)
        assert [path for path, _ in refused.value.places] == [("guard", "model")]
    (folder / "model.onnx").unlink()
    save_file({"elsewhere": np.zeros(1, np.float32)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(PolicyError, match=r"guard holds no whole guard; its weights lack classifier\.bias"):
        run(folder)
