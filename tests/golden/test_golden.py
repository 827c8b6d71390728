"""The behaviour that was recorded is the behaviour now: requests, the command line's JSON.

A difference that is meant is recorded anew with `python -m tests.golden.record`.
"""

import difflib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden import commands, driver, record

SHOWN = 8


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, prepared_dir: Path) -> driver.Workspace:
    return driver.Workspace(tmp_path_factory.mktemp("golden"), prepared_dir / "encoders")


@pytest.fixture(scope="module")
def replayed(workspace: driver.Workspace) -> list[dict[str, Any]]:
    return record.replies(workspace)


def test_replies(replayed: list[dict[str, Any]]) -> None:
    compare("replies", replayed)


def test_commands(workspace: driver.Workspace, replayed: list[dict[str, Any]]) -> None:
    compare("commands", commands.outputs(workspace))


def compare(kind: str, now: list[dict[str, Any]]) -> None:
    """Fails with the first differences, line by line."""
    recorded = (Path(__file__).parent / f"{kind}.jsonl").read_text("utf-8").splitlines()
    before = {one["name"]: one for one in map(json.loads, recorded)}
    found = {one["name"]: json.loads(json.dumps(one)) for one in now}
    differing = [name for name in {**before, **found} if before.get(name) != found.get(name)]
    shown = "\n".join("\n".join(difference(before.get(name), found.get(name))) for name in differing[:SHOWN])
    assert not differing, f"{len(differing)} of {len(before)} {kind} differ, such as\n{shown}"


def difference(before: Any, now: Any) -> list[str]:
    texts = [json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (before, now)]
    return list(difflib.unified_diff(*texts, "recorded", "now", lineterm="", n=1))
