"""`offramp check` on a gateway's file and the policies beside it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app

GATEWAY = """\
version: 1
upstreams:
  demo:
    kind: echo
rules:
  - name: hours
    classifier: shop
    then:
      hours: {answer: "9 to 18"}
"""
POLICY = """\
version: 1
name: shop
kind: intent
about: Messages to a shop.
labels:
  hours:
    means: asks when the shop is open
other: anything else
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    (tmp_path / "policies" / "shop.yaml").write_text(POLICY)
    return tmp_path


def checked(folder: Path, *files: str) -> tuple[int, dict]:
    done = CliRunner().invoke(app, ["check", *(str(folder / file) for file in files), "--json"], standalone_mode=False)
    return done.return_value or getattr(done.exception, "exit_code", 0), json.loads(done.stdout)


def test_all_is_well(folder: Path) -> None:
    code, told = checked(folder, "gateway.yaml", "policies/shop.yaml")
    assert (code, told["problems"], told["notes"]) == (0, [], [])


def test_a_rules_labels_are_held_against_the_policy(folder: Path) -> None:
    (folder / "policies/shop.yaml").write_text(POLICY.replace("  hours:", "  house:"))
    code, told = checked(folder, "gateway.yaml")
    assert code == 2
    assert "no such label" in told["problems"][0]["message"]


def test_what_could_not_be_checked_is_said(folder: Path) -> None:
    (folder / "policies/shop.yaml").unlink()
    code, told = checked(folder, "gateway.yaml")
    assert (code, told["problems"]) == (0, [])
    assert "gateway.yaml:7:5: rules[0].classifier: no policy named shop can be read" in told["notes"][0]
