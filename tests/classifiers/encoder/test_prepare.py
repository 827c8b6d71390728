import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from msgspec import structs

from classifiers.encoder.prepare import find, prepare, write_packaged
from classifiers.encoder.session import DESCRIPTION, MODEL, TOKENIZER, Description, Encoder, embed
from classifiers.encoder.source import RECIPE, EncoderSource, resolve
from classifiers.errors import EncoderError
from classifiers.model.model import EncoderId


def test_the_wheels_encoder_is_made_once_for_a_recipe_and_found_first(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = tmp_path / "data" / "encoder"
    monkeypatch.setattr("classifiers.encoder.prepare.PACKAGED", packaged)
    monkeypatch.setattr("classifiers.encoder.prepare.from_package", lambda _: resolve(f"folder:{small}"))
    write_packaged(packaged)
    made = Description.read(packaged)
    times = {path: path.stat().st_mtime_ns for path in packaged.iterdir()}
    write_packaged(packaged)
    assert times == {path: path.stat().st_mtime_ns for path in packaged.iterdir()}
    assert find(EncoderId(source="folder:/moved/away", sha256=made.id.sha256), tmp_path / "models") == packaged
    source = EncoderSource(name="", model=packaged, tokenizer=packaged, prepared=packaged)
    assert prepare(source, tmp_path / "models") == packaged
    structs.replace(made, recipe=RECIPE - 1).write(packaged)
    write_packaged(packaged)
    assert Description.read(packaged) == made
    assert not (tmp_path / "models").exists()


def test_an_encoder_of_another_family_takes_its_place(small: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    folder = prepare(resolve(f"folder:{small}"), tmp_path / "models", steps.append)
    assert len(steps) == 3
    encoder = Encoder.open(folder)
    assert (encoder.dimensions, encoder.max_tokens, encoder.specials) == (16, 64, 2)
    assert encoder.tokenize("where is my card") == [3, 4, 5, 6]
    assert embed(encoder, ["where is my card", "hi"]).shape == (2, 16)


def test_the_same_source_gives_the_same_bytes(small: Path, tmp_path: Path) -> None:
    one, other = (prepare(resolve(f"folder:{small}"), tmp_path / name) for name in ("one", "other"))
    assert one.name == other.name
    for name in (MODEL, TOKENIZER, DESCRIPTION):
        assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.parametrize("location", ["model.onnx_data", "weights/table.bin"])
@pytest.mark.parametrize("link", [Path.hardlink_to, Path.symlink_to])
def test_linked_files_of_weights_are_read(
    small: Path, tmp_path: Path, link: Callable[[Path, Path], None], location: str
) -> None:
    whole = prepare(resolve(f"folder:{small}"), tmp_path / "whole")
    (small / location).parent.mkdir(exist_ok=True)
    onnx.save(onnx.load(small / MODEL), small / MODEL, save_as_external_data=True, location=location, size_threshold=0)
    cached = (small / location).rename(tmp_path / "cached")
    link(small / location, cached)
    folder = prepare(resolve(f"folder:{small}"), tmp_path / "linked")
    assert (folder / MODEL).read_bytes() == (whole / MODEL).read_bytes()
    assert {path.name for path in folder.iterdir()} == {MODEL, TOKENIZER, DESCRIPTION}


def test_weights_outside_the_folder_are_refused(small: Path, tmp_path: Path) -> None:
    model = onnx.load(small / MODEL)
    onnx.save(model, small / MODEL, save_as_external_data=True, location="away", size_threshold=0)
    (small / "away").rename(tmp_path / "away")
    moved = onnx.load(small / MODEL, load_external_data=False)
    for tensor in moved.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../away" if entry.key == "location" else entry.value
    onnx.save(moved, small / MODEL)
    with pytest.raises(EncoderError, match=r"model\.onnx could not be fused: .*away"):
        prepare(resolve(f"folder:{small}"), tmp_path / "models")


@pytest.mark.parametrize(
    ("name", "message"),
    [(MODEL, r"model\.onnx could not be fused"), (TOKENIZER, r"tokenizer\.json is no readable tokenizer")],
)
def test_nothing_is_left_behind_when_it_fails(small: Path, tmp_path: Path, name: str, message: str) -> None:
    (small / name).write_bytes(b"{}")
    with pytest.raises(EncoderError, match=message):
        prepare(resolve(f"folder:{small}"), tmp_path / "models")
    assert list((tmp_path / "models" / "encoders").iterdir()) == []


def test_an_encoder_that_is_not_there_is_prepared_from_its_source(small: Path, tmp_path: Path) -> None:
    known = Encoder.open(prepare(resolve(f"folder:{small}"), tmp_path / "here")).id
    assert find(known, tmp_path / "there").parent == tmp_path / "there" / "encoders"
    with pytest.raises(EncoderError, match="train the classifier again"):
        find(EncoderId(source=known.source, sha256="0" * 64), tmp_path / "there")


def test_an_encoder_of_another_pooling_or_tokenizer_is_another_one(small: Path, tmp_path: Path) -> None:
    pooling, tokenizer = small / "1_Pooling" / "config.json", small / "tokenizer.json"
    pooling.parent.mkdir(exist_ok=True)
    folders = []
    for cls, more in ((False, ""), (True, ""), (True, "\n")):
        pooling.write_text(json.dumps({"pooling_mode_cls_token": cls}))
        tokenizer.write_text(tokenizer.read_text() + more)
        folders.append(prepare(resolve(f"folder:{small}"), tmp_path))
    known = [Encoder.open(folder).id for folder in folders]
    assert len({one.sha256 for one in known}) == 1
    assert [find(one, tmp_path) for one in known] == folders
    # an artifact of before says nothing of either
    assert find(replace(known[0], pooling="", tokenizer=""), tmp_path) in folders
    with pytest.raises(EncoderError, match=r"pooling='cls'.*, not .*pooling='mean'.*train the classifier again"):
        find(known[0], tmp_path / "elsewhere")


@pytest.mark.parametrize("damage", ["{", "null", '{"sha256": null}', '{"sha256": {"model.onnx": "x"}}'])
def test_a_damaged_description_is_passed_by(small: Path, tmp_path: Path, damage: str) -> None:
    folder = prepare(resolve(f"folder:{small}"), tmp_path)
    known = Encoder.open(folder).id
    other = tmp_path / "encoders" / ("0" * 16)
    other.mkdir()
    (other / DESCRIPTION).write_text(damage)
    assert find(known, tmp_path) == folder
    with pytest.raises(EncoderError, match=r"is not an encoder's description"):
        Description.read(other)
