"""`offramp explain` for what the gateway refuses, before any classifier is loaded."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.cli.output import Exit, problems_as_exit_codes

JUDGE = "version: 1\nupstreams: {one: {kind: echo}}\nmodels: {judge: {upstream: one, internal: true}, "
NAMED = JUDGE + "dear: one, other: deny}\n"
ANY = JUDGE + "other: one}\n"


def explained(tmp_path: Path, text: str, *arguments: str) -> Any:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    with problems_as_exit_codes():
        return CliRunner().invoke(app, ["explain", "--gateway", str(file), *arguments])


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (NAMED, ["--model", "nope", "hi"]),
        (NAMED, ["--model", "judge", "hi"]),
        (ANY, ["--model", "judge", "hi"]),
        (NAMED, [json.dumps({"model": "nope", "messages": [{"role": "user", "content": "hi"}]})]),
    ],
)
def test_a_model_that_no_client_may_ask_for_is_an_error(tmp_path: Path, text: str, arguments: list[str]) -> None:
    done = explained(tmp_path, text, *arguments)
    assert done.exit_code == Exit.USAGE
    assert "does not exist here, or is not open to clients" in done.output
    assert "decision" not in done.output


@pytest.mark.parametrize(("text", "arguments"), [(NAMED, []), (ANY, []), (ANY, ["--model", "nope"])])
def test_others_and_the_default_are_explained(tmp_path: Path, text: str, arguments: list[str]) -> None:
    assert "has no rules; every request is forwarded" in explained(tmp_path, text, *arguments, "hi").output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (['{"model": "dear"}'], "messages"),
        (
            ['{"model": "dear", "messages": [{"role": "user", "content": "hi \\ud83d"}]}'],
            "unexpected end of hex escape",
        ),
        (['{"model": "dear", "messages": ['], "truncated"),
        (["caf\udce9"], "not UTF-8"),
        (["hi", "--model", "caf\udce9"], "not UTF-8"),
    ],
)
def test_a_request_that_is_none_is_wrong_usage(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = explained(tmp_path, NAMED, *arguments)
    assert done.exit_code == Exit.USAGE
    assert told in done.output


def test_a_text_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(NAMED)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "explain", "--gateway", "gateway.yaml", "péter …".encode()],
        cwd=tmp_path,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert b"has no rules; every request is forwarded" in done.stderr
