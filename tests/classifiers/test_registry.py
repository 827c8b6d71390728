from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from classifiers.artifact import save
from classifiers.errors import ArtifactError
from classifiers.model import Model
from classifiers.registry import Registry

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def publish(bare_model: Callable[..., Model], tmp_path: Path) -> Callable[[int], str]:
    """publish(n): train nothing, publish a version n seconds past noon."""

    def made(seconds: int) -> str:
        registry = Registry(tmp_path)
        with registry.staging("bank") as folder:
            save(bare_model(), folder, report={"n": seconds})
            return registry.publish("bank", folder, NOON + timedelta(seconds=seconds))

    return made


def test_versions_sort_by_age_and_the_newest_is_in_use(publish: Callable[[int], str], tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    versions = [publish(n) for n in (0, 1, 70)]
    assert versions[0].startswith("20261125-120000-")
    assert registry.versions("bank") == versions
    assert registry.current("bank") == versions[-1]
    assert registry.resolve("bank") == tmp_path / "bank" / versions[-1]
    assert registry.resolve("bank", versions[0]) == tmp_path / "bank" / versions[0]
    assert registry.names() == ["bank"]
    assert sorted(path.name for path in (tmp_path / "bank").iterdir()) == [*versions, "current"]


def test_rollback_goes_back_one_version_at_a_time(publish: Callable[[int], str], tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    versions = [publish(n) for n in (0, 1, 2)]
    assert registry.rollback("bank") == registry.current("bank") == versions[1]
    assert registry.rollback("bank") == versions[0]
    with pytest.raises(ArtifactError, match="no version older"):
        registry.rollback("bank")
    registry.promote("bank", versions[2])
    assert registry.current("bank") == versions[2]


def test_the_same_artifact_twice_is_one_version(publish: Callable[[int], str], tmp_path: Path) -> None:
    assert publish(0) == publish(0)
    assert len(Registry(tmp_path).versions("bank")) == 1


def test_what_is_not_there(publish: Callable[[int], str], tmp_path: Path) -> None:
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


def test_current_names_a_version_that_is_gone(publish: Callable[[int], str], tmp_path: Path) -> None:
    publish(0)
    (tmp_path / "bank" / "current").write_text("20200101-000000-00000000\n")
    with pytest.raises(ArtifactError, match="which is not there"):
        Registry(tmp_path).current("bank")


def test_a_staged_folder_that_is_not_published_leaves_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "file").write_text("x")
        raise KeyError

    with registry.staging("bank") as folder, pytest.raises(KeyError):
        fail(folder)
    assert list((tmp_path / "bank").iterdir()) == []
    assert registry.names() == []


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", "encoders", "A", ".hidden"])
def test_names_that_no_classifier_can_have(name: str, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    assert registry.versions(name) == []
    with pytest.raises(ArtifactError, match="cannot be a classifier's name"):
        registry.current(name)
