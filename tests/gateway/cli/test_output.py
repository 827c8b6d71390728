"""Text on the terminal stands as it is, in lines and in tables."""

import pytest
from rich.table import Table

from gateway.cli.evaluate import _lines
from gateway.cli.output import quoted, stderr, stdout


@pytest.mark.parametrize("text", ["prices [/all]", "x [urgent]", "[red]red", ":tada:"])
def test_labels_and_messages_are_no_mark_up(capsys: pytest.CaptureFixture[str], text: str) -> None:
    table = Table("label", title=text)
    table.add_row(text)
    for console in (stdout(), stderr()):
        console.print(table)
        console.print(text)
    told = capsys.readouterr()
    assert told.out.count(text) == told.err.count(text) == 3


def test_text_of_others_cannot_steer_the_terminal() -> None:
    assert quoted("a\x1b[2Jb\nc\x9b\u202ed\u2028\U000e0041") == r"a\x1b[2Jb\nc\x9b\u202ed\u2028\U000e0041"
    assert quoted("größer, 東京 😀 [red] \\") == "größer, 東京 😀 [red] \\"


def test_an_evaluation_quotes_texts_so() -> None:
    found = {
        **dict.fromkeys(("rows", "accuracy", "repeated"), 1),
        "interval": (0, 1),
        "trained_on": {"rows": 1, "accuracy": 1.0, "texts": ["\x1b[31mseen"]},
        "kind": "topic",
        "ece": None,
        "latency": None,
        "labels": {},
        "errors": [{"truth": "a", "said": "b", "confidence": 1.0, "text": "\x1b[31mwrong\nline"}],
    }
    told = list(_lines(found))
    assert r"  trained on: \x1b[31mseen" in told
    assert r"  wrong: a, said b at 1.00: \x1b[31mwrong\nline" in told
