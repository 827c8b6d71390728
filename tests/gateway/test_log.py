"""Lines on stderr: what they hold of a request, and that a reader who stalls, or is gone, holds up nobody."""

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.config.settings import LogSettings
from gateway.log import LineWriter, RequestLog, logging_to
from gateway.record import Record
from tests.given import table

AT = 1_700_000_000.25
LINES = table("given/gateway-log-lines.yaml")
ANSWERED = LINES[2][0]


def logged(tmp_path: Path, *records: Record, path: str = "/v1/chat/completions", **options: Any) -> list[str]:
    """The lines of requests that took 3.14 ms."""
    with (tmp_path / "log").open("wb") as out:
        lines = LineWriter(out.fileno())
        log = RequestLog(lines, **{"level": logging.INFO, **options})
        log.add([(record, 0.00314, "POST", path) for record in records])
        lines.close()
    return (tmp_path / "log").read_text("utf-8").splitlines()


def record(**fields: Any) -> Record:
    return Record(**{"request_id": "req_1", "at": AT, "endpoint": "chat.completions", **fields})


@pytest.mark.parametrize(("fields", "level", "text"), LINES)
def test_a_line_says_what_was_done(tmp_path: Path, fields: dict[str, Any], level: str, text: str) -> None:
    (line,) = logged(tmp_path, record(**fields))
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(AT))
    assert line == f"{at}.253 {level} POST /v1/chat/completions {text} req_1"


def test_json_has_the_same_and_leaves_out_what_is_not_there(tmp_path: Path) -> None:
    answered, unpriced = map(json.loads, logged(tmp_path, record(**ANSWERED), record(spent_usd=None), json=True))
    head = {"time": "2023-11-14T22:13:20.253Z", "level": "info", "request_id": "req_1", "method": "POST"}
    head |= {"path": "/v1/chat/completions", "status": 200, "ms": 3.14}
    assert answered == head | {
        "decision": "answer",
        "rule": "intents",
        "label": "greeting",
        "score": 0.971,
        "input_tokens": 12,
        "output_tokens": 5,
        "saved_usd": 0.00012,
        "notional": True,
    }
    assert unpriced == head | {"decision": "forward", "spent_usd": None}


def test_a_level_leaves_out_what_is_less(tmp_path: Path) -> None:
    """Debug has the gateway's own calls, and what probes ask."""
    rows = [record(decision="judge"), record(), record(status=429), record(status=500)]
    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
    counts = [len(logged(tmp_path, *rows, level=level)) for level in levels]
    assert counts == [4, 3, 2, 1]
    assert logged(tmp_path, record(), path="/metrics") == []


def test_a_path_is_one_word_that_no_terminal_acts_on(tmp_path: Path) -> None:
    (line,) = logged(tmp_path, record(), path="/v1/\x1b[2J\n x 200 " + "y" * 1000)
    assert f"POST /v1/\\x1b[2J\\n%20x%20200%20{'y' * 184} 200 forward" in line


def test_what_nobody_reads_is_dropped_and_counted() -> None:
    """A pipe holds 64 KiB."""
    reader, writer = os.pipe()
    text = "x" * 1023 + "\n"
    with os.fdopen(writer, "w") as stream, logging_to(stream, LogSettings()):
        (lines,) = logging.getLogger().handlers
        assert isinstance(lines, LineWriter)
        begun = time.monotonic()
        for _ in range(30_000):
            lines.put(1, lambda: text)
        assert time.monotonic() - begun < 5
        with os.fdopen(reader, "rb", closefd=False) as read:
            came = dropped = 0
            while came + dropped < 30_000:
                line = read.readline().decode()
                came += line == text
                dropped += 0 if line == text else int(line.split("WARNING ")[1].split()[0])
            assert 9_000 < dropped <= 10_000
    os.close(reader)


def test_the_programs_own_lines_are_json_too_whatever_they_hold(tmp_path: Path) -> None:
    log = logging.getLogger("gateway")
    with (tmp_path / "log").open("w") as stream, logging_to(stream, LogSettings(format="json", level="warning")):
        log.info("too little")
        log.warning("no such file: %s", "\udcff.yaml\n")
        try:
            int("why")
        except ValueError:
            log.exception("a fault")
    first, second = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (first["level"], first["message"]) == ("warning", "no such file: \udcff.yaml\n")
    assert second["traceback"].endswith("with base 10: 'why'")


def test_a_reader_that_is_gone_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, logging_to(stream, LogSettings()):
        (lines,) = logging.getLogger().handlers
        logging.getLogger("gateway").warning("nobody reads this")
    assert isinstance(lines, LineWriter)
    assert not lines._thread.is_alive()
    with logging_to(None, LogSettings()) as log:
        assert log is None
