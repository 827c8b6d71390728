import sys
from typing import Any

import pytest


@pytest.mark.parametrize("kind", ["program", "module"])
@pytest.mark.parametrize(("value", "outcome"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_part_skips_here_and_fails_in_ci(
    required: Any, monkeypatch: pytest.MonkeyPatch, kind: str, value: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("OFFRAMP_CI", value)
    with pytest.raises(outcome, match=r"no_such_part is not installed; apt-get install no-such-part"):
        getattr(required, kind)("no_such_part", "apt-get install no-such-part")


def test_parts_that_are_there_are_given(required: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "prog"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert required.program("prog", "") == str(program)
    assert required.module("sys", "") is sys
