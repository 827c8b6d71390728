"""`offramp classify`: where its texts come from, and what is no text."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.cli.output import Exit

Classify = Callable[..., Any]


@pytest.fixture
def classify(publish: Callable[[datetime], str], models_dir: Path) -> Classify:
    """classify(*arguments, stdin=…): what the command came to."""
    publish(datetime(2026, 1, 1, tzinfo=UTC))

    def run(*arguments: str, stdin: bytes = b"") -> Any:
        command = ["classify", "bank", "--models", str(models_dir), "--json", *arguments]
        return CliRunner(charset="ascii").invoke(app, command, input=stdin)

    return run


@pytest.mark.parametrize(
    ("stdin", "texts"),
    [
        (b"hi\nthere", ["hi", "there"]),
        (b"hi\r\n\r\nthere\r\n", ["hi", "", "there"]),
        (b"\n \n", ["", " "]),
        (b"a\rb\x0cc\xe2\x80\xa8d\n", ["a\rb\x0cc\u2028d"]),
        ("\ufeffgrößer 😀\n\ufeffhi\n".encode(), ["größer 😀", "\ufeffhi"]),
        (b"", []),
    ],
)
def test_each_line_is_a_text_whatever_system_wrote_it(classify: Classify, stdin: bytes, texts: list[str]) -> None:
    done = classify(stdin=stdin)
    assert done.exit_code == Exit.DONE
    assert [one["text"] for one in json.loads(done.stdout)] == texts


@pytest.mark.parametrize(
    ("stdin", "line"),
    [(b"caf\xe9\nhi\n", 1), (b"hi\n\ncaf\xe9", 3), (b"\xff\xfeh\0i\0\n\0", 1), (b"\xed\xa0\xbd\n", 1)],
)
def test_a_line_that_is_not_utf_8_is_named(classify: Classify, stdin: bytes, line: int) -> None:
    done = classify(stdin=stdin)
    assert (done.exit_code, done.stdout) == (Exit.USAGE, "")
    assert done.stderr == f"stdin:{line}: not UTF-8\n"


@pytest.mark.parametrize("arguments", [["hi", "caf\udce9"], ["hi", "--system", "caf\udce9"]])
def test_an_argument_that_is_not_utf_8_is_wrong_usage(classify: Classify, arguments: list[str]) -> None:
    done = classify(*arguments)
    assert (done.exit_code, done.stdout) == (Exit.USAGE, "")
    assert "not UTF-8" in done.stderr


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_arguments_are_utf_8_whatever_the_locale(
    publish: Callable[[datetime], str], models_dir: Path, locale: str
) -> None:
    publish(datetime(2026, 1, 1, tzinfo=UTC))
    command = [sys.executable, "-m", "gateway", "classify", "bank", "--models", str(models_dir), "--json"]
    environment = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0"}

    def run(*arguments: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*command, *arguments], env=environment, capture_output=True, check=False)

    done = run("péter …".encode(), b"--system", "größer 😀".encode())
    assert (done.returncode, done.stderr) == (Exit.DONE, b"")
    assert [one["text"] for one in json.loads(done.stdout)] == ["péter …"]
    for arguments in ([b"caf\xe9"], [b"hi", b"--system", b"caf\xe9"]):
        refused = run(*arguments)
        assert (refused.returncode, refused.stdout) == (Exit.USAGE, b"")
        assert b"not UTF-8" in refused.stderr
