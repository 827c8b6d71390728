"""`offramp doctor` on a gateway's file that is not there, and on its price list."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.output import Exit

GATEWAY = "version: 1\nmodels_dir: {}\nprices: prices.yaml\nupstreams: {{one: {{kind: echo}}}}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "detail"),
    [
        ([], Exit.DONE, "no config/gateway.yaml; offramp init writes one"),
        (["typo.yaml"], Exit.ENVIRONMENT, "typo.yaml: cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_named_must_be_there(
    arguments: list[str],
    code: Exit,
    detail: str,
    models_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    offramp: Callable[..., Any],
) -> None:
    monkeypatch.chdir(models_dir.parent)
    done = offramp("doctor", "--json", *arguments)
    checks = {one["check"]: one for one in json.loads(done.stdout)}
    assert done.exit_code == code
    assert checks["gateway file"] == {"check": "gateway file", "ok": code == Exit.DONE, "detail": detail}
    assert checks["encoder"]["ok"]


@pytest.mark.parametrize(
    ("prices", "ok", "detail"),
    [
        ("version: 1\nas_of: 2026-11-25\nsource: ours\nmodels: {}\n", True, "{}, as of 2026-11-25"),
        ("version: 1\nsource: ours\nmodels: {}\n", False, "{}:1:1: needs as_of:"),
    ],
)
def test_a_price_list_is_read(
    prices: str, ok: bool, detail: str, models_dir: Path, tmp_path: Path, offramp: Callable[..., Any]
) -> None:
    (tmp_path / "gateway.yaml").write_text(GATEWAY.format(models_dir))
    (tmp_path / "prices.yaml").write_text(prices)
    done = offramp("doctor", "--json", tmp_path / "gateway.yaml")
    checks = {one["check"]: one for one in json.loads(done.stdout)}
    assert checks["prices"] == {"check": "prices", "ok": ok, "detail": detail.format(tmp_path / "prices.yaml")}
