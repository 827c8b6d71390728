"""`offramp report` prints the same figures in each format."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.store import SQLiteLedger
from gateway.record import Record

AT = datetime(2026, 12, 3, 12, tzinfo=UTC).timestamp()
SAVED: dict[str, Any] = {"rule": "r", "saved_output_tokens": 10, "saved_usd": 0.5, "saved_estimated": True}


@pytest.fixture
def run(tmp_path: Path, offramp: Callable[..., Any]) -> Callable[..., str]:
    """run(*flags): what the command prints of a day of a ledger."""
    kinds: list[dict[str, Any]] = [
        *[
            {"requested_model": model, "spent_usd": 0.25, "at": at}
            for model in ("a", "=b()")
            for at in (AT, AT - 86400)
        ],
        {"requested_model": "gpt-99", "upstream_model": "gpt-99", "spent_usd": None},
        {"decision": "answer", "saved_reason": "local_answer", **SAVED},
        {"decision": "block", "saved_reason": "block", **SAVED},
    ]
    with closing(SQLiteLedger(tmp_path / "l.db")) as store:
        store.append([Record(**{"request_id": "r", "at": AT, "endpoint": "chat", **kind}) for kind in kinds])

    def made(*flags: str) -> str:
        done = offramp("report", "--ledger", tmp_path / "l.db", *flags)
        assert done.exit_code == 0, done.output
        return str(done.stdout)

    return made


def test_the_formats_agree(run: Callable[..., str]) -> None:
    day = ("--from", "2026-12-03", "--to", "2026-12-03", "--by", "model")
    made = json.loads(run(*day, "--format", "json"))
    total = made["total"]
    assert (total["calls"], total["spent_usd"], total["saved_usd"], total["blocked_usd"]) == (5, 0.5, 0.5, 0.5)
    assert made["timezone"] == "UTC"
    lines = list(csv.DictReader(io.StringIO(run(*day, "--format", "csv"))))
    # a spreadsheet would take `=b()` for a formula
    assert [line.pop("model") for line in lines] == ["", "'=b()", "a", "gpt-99"]
    assert {name: sum(float(line[name]) for line in lines) for name in lines[0]} == total


def test_what_is_not_known_comes_first_and_days_are_utc(run: Callable[..., str]) -> None:
    shown = run("--from", "2026-12-02", "--to", "2026-12-03", "--by", "day")
    first, second, third, *_ = shown.splitlines()
    assert first == "2026-12-02 00:00 to 2026-12-04 00:00 UTC"
    assert second == "spent $1.000000 + 1 call of unknown cost, saved $0.500000"
    assert third.startswith("not known")
    assert "    gpt-99: {input: $?, output: $?}\n" in shown
    assert shown.index("│ 2026-12-02 │") < shown.index("│ 2026-12-03 │") < shown.index("│ all")
    lines = run("--from", "2026-12-02", "--to", "2026-12-03").splitlines()
    assert any("+ 1 ? │ " in line for line in lines)
    blocked = next(line for line in lines if line.startswith("│ blocked"))
    assert blocked.endswith("│ ($0.50) │")
    assert "· output tokens of 1 local answer are from our own text, rather low" in shown


@pytest.mark.parametrize("flags", [("--from", "2026-13-01"), ("--to", "today"), ("--by", "week"), ("--since", "3")])
def test_wrong_flags_are_refused(flags: tuple[str, str], tmp_path: Path, offramp: Callable[..., Any]) -> None:
    assert offramp("report", "--ledger", tmp_path / "l.db", *flags).exit_code == 2


def test_sums_are_held_against_the_rows_and_counted_anew(run: Callable[..., str], tmp_path: Path, offramp: Any) -> None:
    assert run("--verify") == "all sums are those of the rows\n"
    with closing(sqlite3.connect(tmp_path / "l.db")) as db, db:
        db.execute("UPDATE requests SET spent_usd = 0.5 WHERE requested_model = 'a' AND at = ?", (AT,))
    found = offramp("report", "--ledger", tmp_path / "l.db", "--verify", "--json")
    assert found.exit_code == 5
    (one,) = json.loads(found.stdout)["differences"]
    assert (one["figure"], one["stored"], one["counted"], one["model"]) == ("spent_usd", 0.25, 0.5, "a")
    assert "spent_usd: 0.25, counted 0.5, of {" in run("--refill")
    assert run("--verify") == "all sums are those of the rows\n"
