"""A real SQLite file: rows come back as written, failures are reported and harm nothing, other users are waited for."""

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import astuple

from gateway.ledger.call_store import CallStore
from gateway.ledger.record import COLUMNS, Record
from gateway.ledger.store import Closes, LedgerError, SQLiteLedger, opened_to_write, write_ahead

MakeRecord = Callable[..., Record]


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT {', '.join(COLUMNS)} FROM requests ORDER BY at").fetchall()


def test_every_field_comes_back_as_it_was(tmp_path: Path, make_record: MakeRecord) -> None:
    record = make_record(
        requested_model="gpt-4o",
        stream=True,
        status=499,
        label="é\n'\"",
        confidence=0.5,
        spent_usd=None,
        saved_usd=-0.25,
        saved_reason="cheaper_route",
        notional=True,
        input_tokens=2**40,
        classifier_s=0.001,
    )
    store = SQLiteLedger(tmp_path / "new" / "folder" / "l.db")
    store.append([record, make_record(at=101.0)])
    store.close()
    first, second = rows(tmp_path / "new" / "folder" / "l.db")
    assert first == astuple(record)
    assert second == astuple(make_record(at=101.0))


def test_rows_are_written_all_or_none(tmp_path: Path, make_record: MakeRecord) -> None:
    with closing(SQLiteLedger(tmp_path / "l.db")) as store:
        with pytest.raises(LedgerError, match="cannot be written"):
            store.append([make_record(), make_record(endpoint=None)])
        store.append([make_record()])
    assert len(rows(tmp_path / "l.db")) == 1


def test_a_ledger_that_is_only_read_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "l.db"
    for _ in range(2):
        with pytest.raises(LedgerError, match="there is no ledger at"):
            SQLiteLedger(file, read_only=True)
        assert not file.exists() or not file.stat().st_size
        file.touch()


@pytest.mark.parametrize("content", [b"this is no database, " * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_ledger(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "l.db"
    file.write_bytes(content)
    with pytest.raises(LedgerError, match="cannot be used"):
        SQLiteLedger(file)
    assert file.read_bytes() == content


def test_a_ledger_in_place_of_a_folder_or_file(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be used"):
        SQLiteLedger(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="cannot be used"):
        SQLiteLedger(tmp_path / "file" / "l.db")


OLDER = [(1, ("redacted", "judged")), (2, ("judged",))]


def make_older(file: Path, version: int, lacks: tuple[str, ...]) -> None:
    with closing(sqlite3.connect(file)) as db:
        for column in lacks:
            db.execute(f"ALTER TABLE requests DROP COLUMN {column}")
        db.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize(("version", "lacks"), OLDER)
def test_an_older_ledger_gets_the_columns_that_it_lacks(
    tmp_path: Path, make_record: MakeRecord, version: int, lacks: tuple[str, ...]
) -> None:
    file = tmp_path / "l.db"
    with closing(SQLiteLedger(file)) as store:
        store.append([make_record()])
    make_older(file, version, lacks)
    with closing(SQLiteLedger(file)) as store:
        store.append([make_record(at=101.0, judged="safety:safe")])
    first, second = rows(file)
    assert (first, second) == (astuple(make_record()), astuple(make_record(at=101.0, judged="safety:safe")))


def once_opened(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Lets another act between the next ledger's opening and its preparing."""
    read_version = SQLiteLedger._version

    def version(ledger: SQLiteLedger) -> int:
        before = read_version(ledger)
        monkeypatch.undo()
        act()
        return before

    monkeypatch.setattr(SQLiteLedger, "_version", version)


@pytest.mark.parametrize(("version", "lacks"), [(0, None), *OLDER])
def test_two_that_start_together_on_an_older_ledger(
    tmp_path: Path,
    make_record: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
    version: int,
    lacks: tuple[str, ...] | None,
) -> None:
    file = tmp_path / "l.db"
    if lacks is not None:
        SQLiteLedger(file).close()
        make_older(file, version, lacks)

    def come_first() -> None:
        with closing(SQLiteLedger(file)) as other:
            other.append([make_record()])

    once_opened(monkeypatch, come_first)
    with closing(SQLiteLedger(file)) as store:
        store.append([make_record(at=101.0)])
    assert rows(file) == [astuple(make_record()), astuple(make_record(at=101.0))]


def test_a_newer_one_that_comes_first_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "l.db"

    def come_first() -> None:
        with closing(sqlite3.connect(file)) as db:
            db.execute("PRAGMA user_version = 99")

    once_opened(monkeypatch, come_first)
    with pytest.raises(LedgerError, match="made by a newer Offramp"):
        SQLiteLedger(file)
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == []


@pytest.mark.parametrize(("version", "lacks"), OLDER)
def test_an_older_ledger_is_read_as_it_is(
    tmp_path: Path, make_record: MakeRecord, version: int, lacks: tuple[str, ...]
) -> None:
    file = tmp_path / "l.db"
    with closing(SQLiteLedger(file)) as store:
        store.append([make_record(input_tokens=3)])
    make_older(file, version, lacks)
    with closing(SQLiteLedger(file, read_only=True)) as store:
        assert store.summary(0, 1000)[0]["input_tokens"] == 3
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (version,)
        assert not {row[1] for row in db.execute("PRAGMA table_info(requests)")} & set(lacks)


def test_rows_are_written_after_a_newer_version_has_added_columns(tmp_path: Path, make_record: MakeRecord) -> None:
    file = tmp_path / "l.db"
    with closing(SQLiteLedger(file)) as store:
        store.append([make_record()])
        with closing(sqlite3.connect(file)) as db:
            db.execute("ALTER TABLE requests ADD COLUMN later TEXT NOT NULL DEFAULT ''")
            db.execute("PRAGMA user_version = 99")
        store.append([make_record(at=101.0)])
    assert rows(file) == [astuple(make_record()), astuple(make_record(at=101.0))]


def test_a_newer_ledger_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "l.db"
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA user_version = 99")
    for read_only in (False, True):
        with pytest.raises(LedgerError, match="made by a newer Offramp \\(version 99\\)"):
            SQLiteLedger(file, read_only=read_only)


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """As on a full disk, writing past `size` bytes of a file fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_and_then_is_not(tmp_path: Path, make_record: MakeRecord) -> None:
    with closing(SQLiteLedger(tmp_path / "l.db")) as store:
        store.append([make_record()])
        grown = (tmp_path / "l.db-wal").stat().st_size
        with no_file_over(grown + 100):
            for _ in range(2):
                with pytest.raises(LedgerError, match="cannot be written"):
                    store.append([make_record(label="x" * 500) for _ in range(100)])
        store.append([make_record(at=102.0)])
    assert [row[COLUMNS.index("at")] for row in rows(tmp_path / "l.db")] == [100.0, 102.0]


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
