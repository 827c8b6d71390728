"""Parts that `make setup` does not install: what needs them is marked, and a missing one fails."""

import re
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import Required


@pytest.mark.parametrize("kind", ["program", "module"])
def test_a_missing_part_fails_with_the_line_that_installs_it(kind: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"no_such_part is not installed; apt-get install no-such-part"):
        getattr(Required(), kind)("no_such_part", "apt-get install no-such-part")


def test_parts_that_are_there_are_given(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "prog"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Required().program("prog", "") == str(program)
    assert Required().module("sys", "").__name__ == "sys"


def test_what_needs_a_part_is_left_out_and_counted() -> None:
    """A fixture of a fixture counts, too; so in a process of pytest-xdist."""
    selected = [
        "-n",
        "1",
        "-m",
        "not extra",
        "tests/deploy/test_rules.py",
        "tests/test_required.py",
        "-k",
        "not left_out",
    ]
    done = subprocess.run([sys.executable, "-m", "pytest", *selected], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ tests need more than `make setup` installs: make test-extras$", done.stdout, re.MULTILINE)
    assert "skipped" not in done.stdout
