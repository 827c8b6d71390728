"""Text on the terminal stands as it is, in lines and in tables."""

import pytest
from rich.table import Table

from gateway.cli.output import stderr, stdout


@pytest.mark.parametrize("text", ["prices [/all]", "x [urgent]", "[red]red", ":tada:"])
def test_labels_and_messages_are_no_mark_up(capsys: pytest.CaptureFixture[str], text: str) -> None:
    table = Table("label", title=text)
    table.add_row(text)
    for console in (stdout(), stderr()):
        console.print(table)
        console.print(text)
    told = capsys.readouterr()
    assert told.out.count(text) == told.err.count(text) == 3
