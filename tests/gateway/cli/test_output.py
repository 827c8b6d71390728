"""Text on the terminal stands as it is; SIGTERM ends a command."""

import io
import json
import os
import signal
import sys
import time

import pytest

from gateway.cli.output import print_json, quoted, sigterm_as_ctrl_c, stderr, stdout, table


@pytest.mark.parametrize("text", ["prices [/all]", "x [urgent]", "[red]red", ":tada:"])
def test_labels_and_messages_are_no_mark_up(capsys: pytest.CaptureFixture[str], text: str) -> None:
    shown = table(text, ["label"], [[text]])
    for console in (stdout(), stderr()):
        console.print(shown)
        console.print(text)
    printed = capsys.readouterr()
    assert printed.out.count(text) == printed.err.count(text) == 3


@pytest.mark.parametrize(
    ("text", "encoding", "written"),
    [
        ("größer 😀", "utf-8", "größer 😀"),
        ("größer", "latin-1", "größer"),
        ("größer 😀", "latin-1", r"gr\u00f6\u00dfer \ud83d\ude00"),
        ("caf\udce9", "utf-8", r"caf\udce9"),
    ],
)
@pytest.mark.parametrize("errors", ["strict", "backslashreplace"])
def test_json_is_json_in_any_encoding(
    text: str, encoding: str, written: str, errors: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding, errors))
    print_json(text)
    assert out.getvalue().decode(encoding) == f'"{written}"\n'
    assert json.loads(out.getvalue().decode(encoding)) == text


def test_text_of_others_cannot_steer_the_terminal() -> None:
    assert quoted("a\x1b[2Jb\nc\x9b\u202ed\u2028\U000e0041") == r"a\x1b[2Jb\nc\x9b\u202ed\u2028\U000e0041"
    assert quoted("größer, 東京 😀 [red] \\") == "größer, 東京 😀 [red] \\"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_stop_within_a_finalizer_is_raised_again() -> None:
    class Dropping:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    def work() -> None:
        Dropping()
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt), sigterm_as_ctrl_c():
        work()
