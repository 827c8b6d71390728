"""`offramp doctor` where there is no gateway file."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.cli.output import Exit


@pytest.mark.parametrize(
    ("arguments", "code", "detail"),
    [
        ([], Exit.DONE, "no config/gateway.yaml; offramp init writes one"),
        (["typo.yaml"], Exit.ENVIRONMENT, "typo.yaml: cannot be read: No such file or directory"),
        (["."], Exit.ENVIRONMENT, ".: cannot be read: Is a directory"),
    ],
)
def test_a_file_that_is_named_must_be_there(
    arguments: list[str], code: Exit, detail: str, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(models_dir.parent)
    done = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    told = {one["check"]: one for one in json.loads(done.stdout)}
    assert done.exit_code == code
    assert told["gateway file"] == {"check": "gateway file", "ok": code == Exit.DONE, "detail": detail}
    assert told["encoder"]["ok"]


@pytest.mark.parametrize(
    ("prices", "ok", "detail"),
    [
        ("version: 1\nas_of: 2026-11-25\nsource: ours\nmodels: {}\n", True, "{}, as of 2026-11-25"),
        ("version: 1\nsource: ours\nmodels: {}\n", False, "{}:1:1: needs as_of:"),
    ],
)
def test_a_price_list_is_read(prices: str, ok: bool, detail: str, models_dir: Path, tmp_path: Path) -> None:
    gateway = f"version: 1\nmodels_dir: {models_dir}\nprices: prices.yaml\nupstreams: {{one: {{kind: echo}}}}\n"
    (tmp_path / "gateway.yaml").write_text(gateway)
    (tmp_path / "prices.yaml").write_text(prices)
    done = CliRunner().invoke(app, ["doctor", "--json", str(tmp_path / "gateway.yaml")])
    told = {one["check"]: one for one in json.loads(done.stdout)}
    assert told["prices"] == {"check": "prices", "ok": ok, "detail": detail.format(tmp_path / "prices.yaml")}
