"""A real SQLite file: rows come back as written, failures are reported and harm nothing, other users are waited for."""

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import astuple

from gateway.contracts.store import ContractStore
from gateway.ledger.call_store import CallStore, TextStore
from gateway.ledger.store import Closes, LedgerError, SQLiteLedger, check_version, opened_to_write, write_ahead
from gateway.record import Record

MakeRecord = Callable[..., Record]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "l.db"


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT {', '.join(Record.__struct_fields__)} FROM requests ORDER BY at").fetchall()


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def test_every_field_comes_back_as_it_was(tmp_path: Path, make_record: MakeRecord) -> None:
    record = make_record(
        stream=True, status=499, label="é\n'\"", confidence=0.5, spent_usd=None, saved_usd=-0.25, input_tokens=2**40
    )
    file = tmp_path / "new" / "folder" / "l.db"
    with closing(SQLiteLedger(file)) as store:
        store.append([record, make_record(at=101.0)])
        # a newer version may add columns while this one serves
        execute(file, "ALTER TABLE requests ADD COLUMN later TEXT NOT NULL DEFAULT ''")
        store.append([make_record(at=102.0)])
    assert rows(file) == [astuple(record), astuple(make_record(at=101.0)), astuple(make_record(at=102.0))]


def test_rows_are_written_all_or_none(file: Path, make_record: MakeRecord) -> None:
    with closing(SQLiteLedger(file)) as store:
        with pytest.raises(LedgerError, match="cannot be written"):
            store.append([make_record(), make_record(endpoint=None)])
        store.append([make_record()])
    assert len(rows(file)) == 1


def test_a_ledger_that_is_only_read_is_not_made(file: Path) -> None:
    for _ in range(2):
        with pytest.raises(LedgerError, match="there is no ledger at"):
            SQLiteLedger(file, read_only=True)
        assert not file.exists() or not file.stat().st_size
        file.touch()


@pytest.mark.parametrize("content", [b"this is no database, " * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_ledger(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    for place in (file, file.parent, file / "l.db"):
        with pytest.raises(LedgerError, match="cannot be used"):
            SQLiteLedger(place)
    assert file.read_bytes() == content


@pytest.mark.parametrize(("version", "made"), [(99, "a newer"), (2, "an older")])
@pytest.mark.parametrize("late", [False, True])
def test_a_file_of_another_version_is_left_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch, version: int, made: str, *, late: bool
) -> None:
    """late: another gateway makes it between this one's opening and its preparing."""

    def version_before(db: sqlite3.Connection, path: Path) -> int:
        before = check_version(db, path)
        monkeypatch.undo()
        execute(file, f"PRAGMA user_version = {version}")
        return before

    if late:
        monkeypatch.setattr("gateway.ledger.store.check_version", version_before)
    else:
        execute(file, f"PRAGMA user_version = {version}")
    for read_only in (False, True):
        with pytest.raises(LedgerError, match=f"made by {made} Offramp \\(version {version}, not 6\\)"):
            SQLiteLedger(file, read_only=read_only)
        for opened in (ContractStore, TextStore):
            with pytest.raises(LedgerError, match=f"made by {made} Offramp"):
                opened(file, read_only=read_only)
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == []


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """As on a full disk, writing past `size` bytes of a file fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_and_then_is_not(file: Path, make_record: MakeRecord) -> None:
    with closing(SQLiteLedger(file)) as store:
        store.append([make_record()])
        with no_file_over(Path(f"{file}-wal").stat().st_size + 100):
            for _ in range(2):
                with pytest.raises(LedgerError, match="cannot be written"):
                    store.append([make_record(label="x" * 500) for _ in range(100)])
        store.append([make_record(at=102.0)])
    assert [row[Record.__struct_fields__.index("at")] for row in rows(file)] == [100.0, 102.0]


@pytest.mark.parametrize("opens", [SQLiteLedger, CallStore])
def test_another_that_makes_the_file_at_the_same_time_is_waited_for(
    opens: Callable[[Path], Closes], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE theirs (one)")
        monkeypatch.setattr("gateway.ledger.store.time.sleep", lambda _: other.execute("COMMIT"))
        opens(file).close()
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_another_that_holds_the_file_for_ever_is_not(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other, closing(opened_to_write(file)) as db:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("gateway.ledger.store.BUSY_S", 0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            write_ahead(db)
