"""The ledger's rows in one SQLite file with a write-ahead log, and how SQLite files are opened safely."""

import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import itemgetter
from pathlib import Path
from types import NoneType
from typing import Any, Final, Protocol, TypeVar, get_args

from msgspec import Struct, convert, structs

from gateway.ledger import hours
from gateway.ledger.hours import HOUR_S
from gateway.record import Record

BUSY_S: Final = 10
"""How long a connection waits for others that use the file."""
_VERSION: Final = 6
_RETRY_S: Final = 0.02
_PRIMARY: Final = 0xFF
"""The bits of SQLite's codes that name the error; the others say where it occurred."""


class LedgerError(Exception):
    """The ledger cannot be opened, read or written; the message says which file and why."""


class NoLedger(LedgerError):
    """There is no ledger at `path`, which is only to be read."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a folder; a ledger is a file"
            if path.is_dir()
            else f"there is no ledger at {path} yet; it is made by the first `offramp serve`"
        )


class Closes(Protocol):
    """A resource that can be closed."""

    def close(self) -> None:
        """Closes it."""


T = TypeVar("T", bound=Closes)


@contextmanager
def closed_on_failure(resource: T) -> Iterator[T]:
    """Closes the resource if the block raises; otherwise it stays open."""
    try:
        yield resource
    except BaseException:
        resource.close()
        raise


@contextmanager
def ledger_errors(what: str) -> Iterator[None]:
    """Raises LedgerError, with what failed, for SQLite's and the system's errors in the block."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"{what}: {error}") from error


def opened_to_write(path: Path) -> sqlite3.Connection:
    """Opens a database in autocommit mode, and makes it and its folder if missing. Deleted content is overwritten. For
    several threads, one at a time. Raises sqlite3.Error and OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    with closed_on_failure(db):
        # the default depends on how SQLite was built
        db.execute("PRAGMA secure_delete = ON")
    return db


def write_ahead(db: sqlite3.Connection) -> None:
    """Turns the write-ahead log on. Waits for others that write: SQLite itself does not wait in this case. Raises
    sqlite3.Error."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_RETRY_S)
        else:
            return


def opened_to_read(path: Path) -> sqlite3.Connection:
    """Opens a database that cannot be changed; an empty one if there is no file. For several threads, one at a time.
    Raises sqlite3.Error."""
    uri = f"{path.absolute().as_uri()}?mode=ro" if path.is_file() else "file::memory:"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_S)


def check_version(db: sqlite3.Connection, path: Path) -> int:
    """The version of the file's tables, 0 if it holds none yet. Raises LedgerError for that of another Offramp."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version not in (0, _VERSION):
        other = "a newer" if version > _VERSION else "an older"
        raise LedgerError(
            f"the ledger {path} was made by {other} Offramp (version {version}, not {_VERSION}); "
            "move it away, and a new one is made"
        )
    return version


def stand_in(db: sqlite3.Connection, create: Iterable[str]) -> None:
    """Makes temporary, empty tables for those that the file lacks. create: `CREATE … IF NOT EXISTS …`. Raises
    sqlite3.Error."""
    known = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    for statement in create:
        _, kind, _, _, _, name, *_ = statement.split()
        if kind != "INDEX" and name not in known:
            db.execute(statement.replace(kind, f"TEMP {kind}", 1))


def rows_of(db: sqlite3.Connection, query: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    """What a query finds, by the columns' names. Raises sqlite3.Error."""
    cursor = db.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def table(name: str, row: type[Struct], *, numbered: bool = False) -> tuple[str, str]:
    """The statements that create a table for rows of this type and insert one row. numbered: whether each has an `id`
    that rises and never comes again."""
    columns = ["id INTEGER PRIMARY KEY AUTOINCREMENT"] if numbered else []
    for column in structs.fields(row):
        kinds = (column.type, *get_args(column.type))
        sql = next((sql for kind, sql in _SQL_TYPES.items() if kind in kinds), "TEXT")
        columns.append(f"{column.name} {sql}{'' if NoneType in kinds else ' NOT NULL'}")
    names = row.__struct_fields__
    return (
        f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(columns)}) STRICT",
        f"INSERT INTO {name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",  # noqa: S608 - from code alone
    )


_SQL_TYPES: Final = {bool: "INTEGER", int: "INTEGER", float: "REAL", bytes: "BLOB"}
_CREATE, _INSERT = table("requests", Record, numbered=True)
_TOGETHER: Final = (64, 8, 1)
"""Rows of one statement. SQLite gives the interpreter back during each, and gets it late from a busy event loop."""
_INSERTS: Final = {rows: _INSERT + f", {_INSERT.partition(' VALUES ')[2]}" * (rows - 1) for rows in _TOGETHER}
_LATEST: Final = "SELECT * FROM requests WHERE decision NOT IN ('judge', 'repeat') ORDER BY at DESC, id DESC LIMIT 1"


_COUNTED: Final = 2_000
"""Rows that are counted in one step."""
_HIGHEST: Final = 2**63 - 1
_LAST: Final = "SELECT coalesce(max(id), 0) FROM requests"
_LONGEST_S: Final = 1.0
_INSTRUCTIONS: Final = 10_000
"""So long may a page's query take; the clock is asked again after so many steps of SQLite's."""
WITHOUT: Final = "-"
"""As a filter: rows whose key is empty."""


class RowFilters(Struct, frozen=True, kw_only=True):
    """What rows are chosen by, as `hourly` has it; empty where by nothing, WITHOUT for rows that have none. decision,
    reason: one, or several parted by commas. model: as the client asked; sent_model: as it was sent; since, until: Unix
    seconds."""

    decision: str = ""
    rule: str = ""
    label: str = ""
    model: str = ""
    sent_model: str = ""
    endpoint: str = ""
    reason: str = ""
    abstentions: str = ""
    since: float | None = None
    until: float | None = None

    @property
    def wanted(self) -> hours.Wanted:
        """The values that fit, of each key that has any."""
        return {
            name: [""] if value == WITHOUT else value.split(",") if name in ("decision", "reason") else [value]
            for name in hours.KEYS
            if (value := getattr(self, name, ""))
        }


class StoredRow(Struct, frozen=True):
    """A row with its number, which rises. reason: as `hourly` has it."""

    id: int
    record: Record
    reason: str = ""


_JUDGED: Final = (
    "SELECT request_id, at, decision, rule, verdicts, spent_usd, saved_usd, notional FROM requests "
    "WHERE id > (SELECT max(id) FROM requests) - ? AND instr(',' || verdicts, ?) AND NOT instr(',' || verdicts, ?)"
)


class SQLiteLedger:
    """Opens the file, or makes it. Raises LedgerError if that fails, or if another version of Offramp made the file.
    read_only: all but `append`. The file must exist. Called from one thread at a time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        if read_only and not path.is_file():
            raise NoLedger(path)
        with ledger_errors(f"the ledger {path} cannot be used"):
            self._db = opened_to_read(path) if read_only else opened_to_write(path)
            with closed_on_failure(self._db):
                version = check_version(self._db, path)
                if not read_only:
                    self._prepare()
                elif not version:
                    raise NoLedger(path)

    def append(self, records: Sequence[Record]) -> None:
        """Writes rows, all or none. Raises LedgerError."""
        with ledger_errors(f"the ledger {self._path} cannot be written"), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            last = self._db.execute(_LAST).fetchone()[0]
            begin = 0
            for rows, insert in _INSERTS.items():
                while len(records) - begin >= rows:
                    part = records[begin : begin + rows]
                    self._db.execute(insert, tuple(chain.from_iterable(map(structs.astuple, part))))
                    begin += rows
            self._db.execute(hours.ADD, (last, _HIGHEST))

    def sums(self, since: float, until: float) -> Sequence[dict[str, Any]]:
        """Counts, tokens and dollars of Unix seconds [since, until), by hour or day and what reports group by; of whole
        hours from `hourly`. Raises LedgerError."""
        first, last = (
            self._rows(f"SELECT {end}(hour) AS hour FROM hourly")[0]["hour"]  # noqa: S608 - constants
            for end in ("min", "max")
        )
        if first is None:
            return []
        begin, end = max(math.ceil(since / HOUR_S) * HOUR_S, first), min(until // HOUR_S * HOUR_S, last + HOUR_S)
        parts = [(since, begin), (end, until)] if begin < end else [(since, until)]
        sums = [row for part in parts if part[0] < part[1] for row in self._rows(hours.BETWEEN, *part)]
        return [*sums, *self._rows(hours.DAILY, begin, end)]

    def days(self, since: float, until: float) -> Sequence[dict[str, Any]]:
        """Dollars spent by day, over hours that begin at Unix seconds [since, until). Raises LedgerError."""
        return self._rows(hours.DAYS, since, until)

    def audits(self, since: float, until: float) -> Sequence[dict[str, Any]]:
        """Output tokens of audited calls, of whole hours, by model and abstentions. Raises LedgerError."""
        return self._rows(hours.AUDITS, since - HOUR_S, until)

    def unpriced_names(self, since: float, until: float) -> Sequence[str]:
        """Of models that are neither configured nor priced, the latest names. Raises LedgerError."""
        return [str(row["name"]) for row in self._rows(hours.NAMES, since - HOUR_S, until)]

    def latest(self) -> dict[str, Any] | None:
        """The columns of the latest request of a client's; None where there is none. Raises LedgerError."""
        return next(iter(self._rows(_LATEST)), None)

    def page(self, filters: RowFilters, *, before: int | None = None, most: int = 100) -> Sequence[StoredRow]:
        """The newest rows that fit, the newest first: those before a number, if one is given. Raises LedgerError, also
        where that takes over a second."""
        with self.at_most(_LONGEST_S):
            found = self._search(filters, _HIGHEST if before is None else before, most)
        return [StoredRow(row.pop("id"), convert(row, Record, strict=False), row["reason"]) for row in found]

    def _search(self, filters: RowFilters, below: int, most: int) -> list[dict[str, Any]]:
        """The highest rows that fit below a number, the highest first. Reads only hours that have some."""
        since = -math.inf if filters.since is None else filters.since
        until = math.inf if filters.until is None else filters.until
        wanted = filters.wanted
        values, query = [*chain.from_iterable(wanted.values())], hours.rows(wanted)
        if filters == RowFilters():
            return self._rows(query, 0, below, since, until, most)
        found: list[dict[str, Any]] = []
        spans = self._rows(hours.spans(wanted), below, since - HOUR_S, until, *values)
        for hour, first, last in map(dict.values, spans):
            if len(found) == most and last < found[-1]["id"]:
                break
            times = max(since, hour), min(until, hour + HOUR_S)
            found += self._rows(query, first - 1, min(below, last + 1), *values, *times, most)
            found.sort(key=itemgetter("id"), reverse=True)
            del found[most:]
        return found

    def row(self, number: int) -> StoredRow | None:
        """One row; None where there is none. Raises LedgerError."""
        found = next(iter(self.page(RowFilters(), before=min(number, _HIGHEST - 1) + 1, most=1)), None)
        return found if found is not None and found.id == number else None

    def judged(self, rule: str, most: int) -> Sequence[dict[str, Any]]:
        """Of so many of the latest rows, those of calls that a rule has read: what was made of them, done, and spent or
        saved. Raises LedgerError."""
        return self._rows(_JUDGED, most, f",{rule}:", f",{rule}:!")

    def verify(self) -> Sequence[hours.Difference]:
        """The figures of `hourly` that are not the sums of their rows. Of hours before the oldest row nothing is known.
        Raises LedgerError."""
        with ledger_errors(f"the ledger {self._path} cannot be read"):
            self._db.execute(hours.CREATE_RECOUNT)
            try:
                with self._db:
                    self._db.execute("BEGIN")
                    self._count(hours.add("recount"))
                    stored, counted = (self._db.execute(query).fetchall() for query in hours.DIFFERING)
            finally:
                self._db.execute("DROP TABLE recount")
        return list(hours.differences(stored, counted))

    def refill(self) -> None:
        """Counts `hourly` anew, but for hours before the oldest row. Raises LedgerError."""
        with ledger_errors(f"the ledger {self._path} cannot be written"), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(f"DELETE FROM hourly WHERE hour >= ({hours.FIRST_HOUR})")  # noqa: S608 - constants
            self._count(hours.ADD)

    def _count(self, add: str) -> None:
        """Adds all rows."""
        first, last = self._db.execute("SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM requests").fetchone()
        for above in range(first - 1, last, _COUNTED):
            self._db.execute(add, (above, above + _COUNTED))

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Ends what takes longer, with LedgerError."""
        until = time.monotonic() + seconds
        self._db.set_progress_handler(lambda: time.monotonic() > until, _INSTRUCTIONS)
        try:
            yield
        finally:
            self._db.set_progress_handler(None, 0)

    def _rows(self, query: str, *values: str | float) -> list[dict[str, Any]]:
        with ledger_errors(f"the ledger {self._path} cannot be read"):
            return rows_of(self._db, query, values)

    def close(self) -> None:
        self._db.close()

    def _prepare(self) -> None:
        write_ahead(self._db)
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            # another gateway that started at the same time may have been first
            check_version(self._db, self._path)
            self._db.execute(_CREATE)
            self._db.execute(hours.CREATE)
            self._db.execute("CREATE INDEX IF NOT EXISTS requests_at ON requests (at)")
            self._db.execute(f"PRAGMA user_version = {_VERSION}")
