"""Where ledger rows are kept.

What is opened in steps: a failed step closes it again. What is opened to be read alone.

The ledger in one SQLite file (write-ahead log): the default.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from msgspec.structs import astuple

from gateway.ledger.record import COLUMNS, Record

BUSY_S: Final = 10
"""For so long, a connection waits for what others do with the file."""
_RETRY_S: Final = 0.02
_PRIMARY: Final = 0xFF
"""Of SQLite's codes, the bits that say what is wrong; the others say where."""


class Closes(Protocol):
    """Something open."""

    def close(self) -> None:
        """Closes it."""


T = TypeVar("T", bound=Closes)


@contextmanager
def closed_on_failure(one: T) -> Iterator[T]:
    """Closes it where the block raises; else it stays open."""
    try:
        yield one
    except BaseException:
        one.close()
        raise


def opened_to_write(path: Path) -> sqlite3.Connection:
    """A database that commits by itself, made with its folder where it is not there; what is deleted is overwritten.
    For several threads, one at a time. Raises sqlite3.Error and OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    with closed_on_failure(db):
        # some builds of SQLite do so by themselves, others do not
        db.execute("PRAGMA secure_delete = ON")
    return db


def write_ahead(db: sqlite3.Connection) -> None:
    """Turns the write-ahead log on. For this SQLite does not wait by itself while another that opened the file at the
    same time writes. Raises sqlite3.Error."""
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
    """A database that stays as it is; an empty one where there is no file. For several threads, one at a time.

    Raises sqlite3.Error.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro" if path.is_file() else "file::memory:"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_S)


def stand_in(db: sqlite3.Connection, create: Iterable[str]) -> None:
    """Empty tables of this connection alone for those that its file lacks. create: `CREATE … IF NOT EXISTS …`.

    Raises sqlite3.Error.
    """
    known = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    for statement in create:
        _, kind, _, _, _, name, *_ = statement.split()
        if kind != "INDEX" and name not in known:
            db.execute(statement.replace(kind, f"TEMP {kind}", 1))


class LedgerError(Exception):
    """The ledger cannot be opened, read or written; the message says which file and why."""


class NoLedger(LedgerError):
    """There is no ledger at `path`, for what reads one and makes none."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a folder; a ledger is a file"
            if path.is_dir()
            else f"there is no ledger at {path} yet; it is made by the first `offramp serve`"
        )


class Store(Protocol):
    """Called from one thread at a time."""

    def append(self, records: Sequence[Record]) -> None:
        """Writes rows, all or none. Raises LedgerError."""

    def summary(self, since: float, until: float) -> Sequence[dict[str, Any]]:
        """Sums by model, decision, rule, saved reason and notional, over Unix seconds [since, until)."""

    def close(self) -> None:
        """Closes the store."""


_VERSION: Final = 3
_TYPES: Final = {
    "at": "REAL NOT NULL",
    "stream": "INTEGER NOT NULL",
    "status": "INTEGER NOT NULL",
    "notional": "INTEGER NOT NULL",
    "saved_estimated": "INTEGER NOT NULL",
    "saved_reason": "TEXT",
    **dict.fromkeys(("confidence", "spent_usd", "saved_usd", "classifier_s", "provider_s", "first_token_s"), "REAL"),
    "gateway_s": "REAL NOT NULL",
    **dict.fromkeys(
        ("input_tokens", "cached_input_tokens", "output_tokens", "saved_input_tokens", "saved_output_tokens"),
        "INTEGER NOT NULL",
    ),
}
_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS requests ("
    + ", ".join(f"{name} {_TYPES.get(name, 'TEXT NOT NULL')}" for name in COLUMNS)
    + ") STRICT"
)
# by name: a newer version may add columns to the file while this one serves
_INSERT: Final = f"INSERT INTO requests ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - columns are constants
_SUMMARY: Final = """
SELECT requested_model, decision, rule, saved_reason, notional,
       count(*) AS calls,
       sum(decision IN ('forward', 'redact')) AS forwarded,
       sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
       sum(saved_input_tokens) AS saved_input_tokens, sum(saved_output_tokens) AS saved_output_tokens,
       total(spent_usd) AS spent_usd, total(saved_usd) AS saved_usd,
       sum(saved_estimated) AS estimated,
       sum(spent_usd IS NULL OR saved_usd IS NULL) AS unpriced,
       sum(usage_source = 'missing') AS usage_missing
FROM requests WHERE at >= ? AND at < ?
GROUP BY requested_model, decision, rule, saved_reason, notional
ORDER BY calls DESC
"""


class SQLiteLedger:
    """Opens or makes the file. Raises LedgerError where that cannot be done, or a newer Offramp made it.

    read_only: for `summary` alone. The file must be there, and stays of the version that made it: an older gateway may
    be serving with it.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        if read_only and not path.is_file():
            raise NoLedger(path)
        try:
            self._db = opened_to_read(path) if read_only else opened_to_write(path)
            with closed_on_failure(self._db):
                found = self._version()
                if not read_only:
                    self._prepare()
                elif not found:
                    raise NoLedger(path)
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"the ledger {path} cannot be used: {error}") from error

    def append(self, records: Sequence[Record]) -> None:
        try:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany(_INSERT, [astuple(record) for record in records])
                self._db.execute("COMMIT")
            finally:
                # also after a COMMIT that failed, or else no transaction could be begun ever again
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger {self._path} cannot be written: {error}") from error

    def summary(self, since: float, until: float) -> Sequence[dict[str, Any]]:
        try:
            cursor = self._db.execute(_SUMMARY, (since, until))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger {self._path} cannot be read: {error}") from error

    def close(self) -> None:
        self._db.close()

    def _version(self) -> int:
        """0 where the file holds no ledger yet."""
        found = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if found > _VERSION:
            raise LedgerError(f"the ledger {self._path} was made by a newer Offramp (version {found})")
        return found

    def _prepare(self) -> None:
        write_ahead(self._db)
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("BEGIN IMMEDIATE")
        # another gateway that started at the same time may have been first
        found = self._version()
        self._db.execute(_CREATE)
        if found == 1:
            self._db.execute("ALTER TABLE requests ADD COLUMN redacted TEXT NOT NULL DEFAULT ''")
        if found in (1, 2):
            self._db.execute("ALTER TABLE requests ADD COLUMN judged TEXT NOT NULL DEFAULT ''")
        self._db.execute("CREATE INDEX IF NOT EXISTS requests_at ON requests (at)")
        self._db.execute(f"PRAGMA user_version = {_VERSION}")
        self._db.execute("COMMIT")
