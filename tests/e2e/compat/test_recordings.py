"""What real clients sent (tests/tables/clients.jsonl; python -m benchmarks.clients.record), sent again.

Each reply is checked against its provider's own document and, before the model that the recordings are from, against
the answer that the client had. A scenario's later calls refer to the ids of the earlier replies.
"""

import http.client
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.clients.model import REFUSAL, Model
from benchmarks.clients.roster import CLIENTS
from tests.e2e.compat import replies
from tests.e2e.compat.documents import Documents
from tests.e2e.conftest import Running, start
from tests.given import table_text

FILE = Path(__file__).parents[2] / "tables/clients.jsonl"
ECHO = table_text("given/e2e-recordings-echo.yaml")
Line = dict[str, Any]


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents()


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    return [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]


def replay(
    port: int, lines: list[Line], documents: Documents, begin: Callable[[], None]
) -> Iterator[tuple[Line, int, Any, list[str]]]:
    """Each line with its reply's status, its text and what is wrong with it. begin: called before each scenario."""
    for _, scenario in itertools.groupby(lines, key=lambda line: (line["client"], line["scenario"])):
        renamed: dict[str, str] = {}
        begin()
        for line in scenario:
            body = json.dumps(line["body"]) if "body" in line else None
            for old, new in renamed.items():
                body = body and body.replace(f'"{old}"', f'"{new}"')
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
                connection.request(line["method"], line["path"], body, line["headers"])
                reply = connection.getresponse()
                text = reply.read().decode()
            made = replies.ids(text)
            renamed |= {old: made[kind] for old in line["ids"] if (kind := old.partition("_")[0]) in made}
            yield line, reply.status, *judged(line, reply, text, documents)


def judged(line: Line, reply: http.client.HTTPResponse, text: str, documents: Documents) -> tuple[Any, list[str]]:
    """A reply's text, and what is wrong with it."""
    path = line["path"].partition("?")[0]
    if "event-stream" not in reply.headers["content-type"]:
        answer = json.loads(text)
        wrong = documents.errors(path, answer, status=reply.status)
        return replies.whole(path, answer) if reply.status == 200 else text, wrong
    events = replies.events(text)
    wrong = [error for _, event in events for error in documents.errors(path, event, event=True)]
    return replies.streamed(path, events), replies.faults(path, events) + wrong


def due(line: Line) -> tuple[int, Any]:
    """The status and the text that the client is to get. A completion that is blocked is an error; where the model is
    not there for a moment, the gateway tries again itself."""
    blocked = line["path"] == "/v1/completions" and line.get("reply") == REFUSAL
    return (400, None) if blocked else (200 if line["status"] == 503 else line["status"], line.get("reply"))


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_each_client_gets_what_it_is_to_get(
    gateways: dict[str, Running], model: Model, lines: list[Line], documents: Documents, kind: str
) -> None:
    of_kind = [line for line in lines if {client.name: client.speaks for client in CLIENTS}[line["client"]] == kind]
    wrong = []
    for line, status, found, faults in replay(gateways[kind].port, of_kind, documents, model.tries.clear):
        expected = due(line)
        if (status, found if expected[1] else None) != expected or faults:
            wrong.append((line["client"], line["scenario"], line["path"], status, found, expected, faults))
    assert of_kind
    assert not wrong, "\n".join(map(str, wrong))


def test_the_echo_upstream_answers_each_client(tmp_path: Path, lines: list[Line], documents: Documents) -> None:
    (tmp_path / "gateway.yaml").write_text(ECHO)
    running = start(tmp_path / "gateway.yaml")
    wrong = []
    try:
        for line, status, found, faults in replay(running.port, lines, documents, lambda: None):
            if status != (426 if "upgrade" in line["headers"] else 200) or faults:
                wrong.append((line["client"], line["scenario"], line["path"], status, found, faults))
    finally:
        running.stop()
    assert not wrong, "\n".join(map(str, wrong))


def test_every_client_is_recorded_without_its_key_and_its_makers_prompts(lines: list[Line]) -> None:
    assert {line["client"] for line in lines} == {client.name for client in CLIENTS}
    for line in lines:
        assert not {"authorization", "x-api-key", "api-key"} & set(line["headers"])
        assert all(len(text) < 600 for text in texts(line.get("body"))), line["client"]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)
