"""Rows are written off the loop; none is lost on a clean stop, however the store fails in between."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger import writer as writing
from gateway.ledger.store import LedgerError, SQLiteLedger
from gateway.ledger.writer import Appends, LedgerWriter
from gateway.record import Record

MakeRecord = Callable[..., Record]


class Counts:
    def __init__(self, store: Appends[Record], most: int = 200_000) -> None:
        self.failures: list[int] = []
        self.lost: list[int] = []
        self.writer = LedgerWriter(store, on_failure=self.failures.append, on_lost=self.lost.append, most=most)


def until(holds: Callable[[], bool]) -> None:
    for _ in range(1000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to hold")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_EVERY_S", 0.01)
    monkeypatch.setattr(writing, "_RETRY_S", 0.01)


def test_all_rows_are_there_after_a_clean_stop_but_those_that_no_store_takes(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    counts = Counts(SQLiteLedger(tmp_path / "l.db"))
    counts.writer.add(make_record(input_tokens=2**70))
    until(lambda: counts.lost == [1])
    for number in range(5000):
        counts.writer.add(make_record(request_id=f"req_{number}"))
    counts.writer.close()
    with closing(SQLiteLedger(tmp_path / "l.db")) as store:
        assert store.sums(0, 1000)[0]["calls"] == 5000
    assert (counts.failures, counts.lost, counts.writer.pending) == ([1], [1], 0)


def test_rows_wait_while_the_store_fails_and_keep_their_order(
    memory_store: Any, make_record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    memory_store.fail = LedgerError("the ledger x cannot be written: disk full")
    counts = Counts(memory_store)
    for number in range(10):
        counts.writer.add(make_record(request_id=str(number)))
    until(lambda: len(counts.failures) >= 3)
    assert (counts.writer.healthy, counts.writer.pending) == (False, 10)
    memory_store.fail = None
    until(lambda: counts.writer.pending == 0)
    assert counts.writer.healthy
    counts.writer.close()
    assert [record.request_id for record in memory_store.records] == [str(number) for number in range(10)]
    assert counts.lost == []
    assert caplog.text.count("disk full") == 1


@pytest.mark.parametrize("most", [50, 4000])
def test_the_newest_wait_while_the_store_fails(
    memory_store: Any, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Whether the rows that are given up are more or fewer than one batch. All are, if it fails to the end."""
    monkeypatch.setattr(writing, "_EVERY_S", 60)
    memory_store.fail = LedgerError("no")
    counts = Counts(memory_store, most=most)
    for number in range(5000):
        counts.writer.add(make_record(request_id=str(number)))
    counts.writer._write_all()
    assert (counts.failures, counts.lost, counts.writer.pending) == ([1], [5000 - most], most)
    if most == 50:
        memory_store.fail = None
    counts.writer.close()
    assert [int(record.request_id) for record in memory_store.records] == ([*range(4950, 5000)] if most == 50 else [])
    assert sum(counts.lost) + len(memory_store.records) == 5000
    assert memory_store.closed


def test_a_slow_store_never_holds_up_who_adds(memory_store: Any, make_record: MakeRecord) -> None:
    let_go = threading.Event()

    class Slow(type(memory_store)):  # type: ignore[misc]
        def append(self, records: Sequence[Record]) -> None:
            let_go.wait(10)
            super().append(records)

    store = Slow()
    counts = Counts(store)
    for _ in range(101):
        counts.writer.add(make_record())
    until(lambda: counts.writer.pending == 101)
    assert not store.records
    let_go.set()
    counts.writer.close()
    assert len(store.records) == 101
