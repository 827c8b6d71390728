"""Every outcome in every wire format, whole, streamed and released by sentences: the bytes on both sides of a gateway.

tests/tables/guard.yaml has a cell for each. A real gateway process is in front of a server that speaks no format: it
sends the bytes that the cell has for it, and keeps those that it gets.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import product
from typing import Any

import pytest

from gateway.protocols.served import WIRES
from tests.given import table, table_text

from .conftest import ModelServer, Running, guarding

TABLE = table("guard.yaml")
GATEWAY = table_text("given/e2e-guard-gateway.yaml")
OUTCOMES = (
    *("answer", "block", "block as error", "redact", "redact and restore", "forward", "judge: safe", "judge: unsafe"),
    *("output block", "output redaction", "call: redact and restore", "call: output block", "call: output redaction"),
)
ID, TIME = r"(?<=[a-z][_-])[0-9a-f]{24}\b", r'(?<=ed_at":)\d{10}\b|(?<="created":)\d{10}\b'
MODES = ("whole", "streamed", "sentence")
SAME = "as it came"


class Scripted(ModelServer):
    """Sends the next of the server's replies, whatever it is asked."""

    def do_POST(self) -> None:
        self.server.calls.append(f"{self.path} {self.body().decode()}")
        self.reply(self.server.replies.pop(0))


def seen(running: Running, server: Any, cell: dict[str, Any]) -> dict[str, Any]:
    """What a cell's request gives: what the server got, and what the client, but for ids and times."""
    server.replies, server.calls = [TABLE["replies"][name].encode() for name in cell["replies"]], []
    status, headers, got = running.post(cell["path"], cell["request"].encode())
    ids: dict[str, str] = {}
    text = re.sub(ID, lambda found: ids.setdefault(found[0], f"ID{len(ids) + 1}"), re.sub(TIME, "TIME", got.decode()))
    return {"sent": server.calls, "decision": f"{status} {headers.get('x-offramp-decision', 'none')}", "got": text}


def expected(cell: dict[str, Any]) -> dict[str, Any]:
    """What a cell says, with the request, the reply and the judge's question where it refers to them."""
    sent = [one.replace(SAME, cell["request"]) for one in cell["sent"]]
    sent = [re.sub("asks: (.+)", lambda about: TABLE["question"].replace("TEXT", about[1]), one) for one in sent]
    got = TABLE["replies"][cell["replies"][-1]] if cell["got"] == SAME else cell["got"]
    return {"sent": sent, "decision": cell["decision"], "got": got}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Any]]:
    with guarding(tmp_path_factory.mktemp("guard"), Scripted, GATEWAY, ANTHROPIC_API_KEY="key") as both:
        yield both


@pytest.mark.parametrize("cell", TABLE["cells"], ids=lambda cell: cell["cell"])
def test_a_cell_has_these_bytes_on_both_sides(guarded: tuple[Running, Any], cell: dict[str, Any]) -> None:
    assert seen(*guarded, cell) == expected(cell)


def test_no_cell_is_missing() -> None:
    """A cell that cannot be is named with its reason."""
    cells = [cell["cell"] for cell in TABLE["cells"]]
    every = {", ".join(one) for one in product([wire.endpoint for wire in WIRES], MODES, OUTCOMES)}
    without = {name for name in every for pattern in TABLE["without"] if fnmatch(name, pattern)}
    assert (len(cells), set(cells), without & set(cells)) == (len(set(cells)), every - without, set())
