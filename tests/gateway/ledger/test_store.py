"""What a failed step of opening leaves behind: nothing that is open. What others do with the file is waited for."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.ledger.call_store import CallStore
from gateway.ledger.store import Closes, SQLiteLedger, closed_on_failure, opened_to_write, write_ahead


def test_it_is_closed_where_the_block_fails() -> None:
    db = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError, match="no such table"), closed_on_failure(db):
        db.execute("SELECT * FROM missing")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        db.execute("SELECT 1")


def test_it_stays_open_where_the_block_does_not() -> None:
    with closed_on_failure(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE one (two)")
    with closing(db):
        assert db.execute("SELECT * FROM one").fetchall() == []


@pytest.mark.parametrize("opens", [SQLiteLedger, CallStore])
def test_another_that_makes_the_file_at_the_same_time_is_waited_for(
    opens: Callable[[Path], Closes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "offramp.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE theirs (one)")
        monkeypatch.setattr("gateway.ledger.store.time.sleep", lambda _: other.execute("COMMIT"))
        opens(file).close()
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_another_that_holds_the_file_for_ever_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "offramp.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other, closing(opened_to_write(file)) as db:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("gateway.ledger.store.BUSY_S", 0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            write_ahead(db)
