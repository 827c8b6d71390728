import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from classifiers.errors import ArtifactError
from classifiers.model import registry as module
from classifiers.model.artifact import made_at, save
from classifiers.model.model import Model
from classifiers.model.registry import Registry

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)

Publish = Callable[..., str]


@pytest.fixture
def publish(bare_model: Callable[..., Model], tmp_path: Path) -> Publish:
    """publish(n): train nothing, publish a version n seconds past noon."""

    def made(seconds: int) -> str:
        registry = Registry(tmp_path)
        with registry.staging("bank") as folder:
            save(bare_model(), folder, report={"n": seconds})
            return registry.publish("bank", folder, NOON + timedelta(seconds=seconds))

    return made


def test_versions_sort_by_age_and_the_newest_is_in_use(publish: Publish, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    versions = [publish(n) for n in (0, 1, 70)]
    assert versions[0].startswith("20261125-120000-")
    assert registry.versions("bank") == versions
    assert registry.current("bank") == versions[-1]
    assert registry.resolve("bank") == tmp_path / "bank" / versions[-1]
    assert registry.resolve("bank", versions[0]) == tmp_path / "bank" / versions[0]
    assert registry.names() == ["bank"]
    assert sorted(path.name for path in (tmp_path / "bank").iterdir()) == [*versions, "current", "used"]


def test_rollback_goes_back_one_version_at_a_time(publish: Publish, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    versions = [publish(n) for n in (0, 1, 2)]
    assert registry.rollback("bank") == registry.current("bank") == versions[1]
    assert registry.rollback("bank") == versions[0]
    with pytest.raises(ArtifactError, match=f"no version that was in use before {versions[0]}"):
        registry.rollback("bank")
    registry.promote("bank", versions[2])
    assert registry.current("bank") == versions[2]
    assert registry.rollback("bank") == versions[0]


def test_what_is_not_there(publish: Publish, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "empty")
    assert (registry.names(), registry.versions("bank"), registry.current("bank")) == ([], [], None)
    with pytest.raises(ArtifactError, match="trained so far: none"):
        registry.resolve("bank")
    with pytest.raises(ArtifactError, match="no version in use"):
        registry.rollback("bank")
    publish(0)
    with pytest.raises(ArtifactError, match=r"no classifier 'safe' \(trained so far: bank\)"):
        Registry(tmp_path).resolve("safe")
    with pytest.raises(ArtifactError, match="version 20200101-000000-00000000 of bank"):
        Registry(tmp_path).promote("bank", "20200101-000000-00000000")


@pytest.mark.parametrize("named", [b"", b"\xff\xfe", b"20200101-000000-00000000\n"])
def test_current_names_no_version_that_is_there(publish: Publish, tmp_path: Path, named: bytes) -> None:
    registry = Registry(tmp_path)
    publish(0)
    last = publish(1)
    (tmp_path / "bank" / "current").write_bytes(named)
    for ask in (registry.current, registry.resolve):
        with pytest.raises(ArtifactError, match=r"bank/current names version .*, which is not there; roll back"):
            ask("bank")
    assert registry.rollback("bank") == registry.current("bank") == last


def test_the_version_in_use_was_removed(publish: Publish, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    versions = [publish(n) for n in (0, 1, 2)]
    shutil.rmtree(tmp_path / "bank" / versions[2])
    with pytest.raises(ArtifactError, match=f"names version '{versions[2]}', which is not there"):
        registry.resolve("bank")
    assert (registry.named("bank"), registry.versions("bank")) == (versions[2], versions[:2])
    assert registry.rollback("bank") == versions[1]
    shutil.rmtree(tmp_path / "bank" / versions[1])
    newest = publish(3)
    assert registry.resolve("bank").name == newest
    assert registry.rollback("bank") == versions[0]
    shutil.rmtree(tmp_path / "bank" / versions[0])
    with pytest.raises(ArtifactError, match=f"no version that was in use before {versions[0]}"):
        registry.rollback("bank")


def test_the_time_that_a_version_is_named_for_can_be_told(publish: Publish) -> None:
    assert made_at(publish(70)) == NOON + timedelta(seconds=70)
    assert [made_at(version) for version in ("", "v1", "20269999-120000-0123abcd")] == [None] * 3


def test_what_cannot_be_a_classifier_or_a_version_is_refused(
    publish: Publish, bare_model: Callable[..., Model], tmp_path: Path
) -> None:
    registry, made = Registry(tmp_path / "models"), tmp_path / "models"
    made.mkdir()
    save(bare_model(), made, report={})
    publish(0)
    assert registry.versions("../bank") == []
    for name in ("../bank", "encoders"):
        with pytest.raises(ArtifactError, match=f"'{name}' cannot be a classifier's name"), registry.staging(name):
            pass
    with pytest.raises(ArtifactError, match="models is not named like a version"):
        registry.install(made)


def test_what_would_fill_the_disk_is_not_unpacked(
    publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.pack(Registry(tmp_path).resolve("bank", publish(0)), tmp_path / "bank.zip")
    monkeypatch.setattr(module, "MOST_BYTES", 1_000)
    with pytest.raises(ArtifactError, match=r"bank\.zip is larger than 0 MB unpacked"):
        module.unpack(tmp_path / "bank.zip", tmp_path / "here")
    assert not (tmp_path / "here").exists()
