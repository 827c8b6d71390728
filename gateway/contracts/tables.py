"""Tables in the ledger's SQLite file: one connection, writes all or nothing, errors in words. What all contracts share:
their moves, and the rules that are paused."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.ledger.store import (
    LedgerError,
    check_version,
    closed_on_failure,
    opened_to_read,
    opened_to_write,
    stand_in,
    write_ahead,
)

_SHARED: Final = (
    """CREATE TABLE IF NOT EXISTS contract_moves (
        key TEXT NOT NULL, at REAL NOT NULL, phase TEXT NOT NULL, reason TEXT NOT NULL) STRICT""",
    "CREATE TABLE IF NOT EXISTS contract_pauses (rule TEXT PRIMARY KEY, at REAL NOT NULL) STRICT",
)

_SOON: Final = "PRAGMA synchronous = NORMAL"
_LASTING: Final = "PRAGMA synchronous = FULL"
"""When a loss of power takes back nothing any more of what is written: pairs may be lost, a withdrawal is not."""

Statement = tuple[str, Sequence[Any]]
"""With its values."""


def insert(table: str, *columns: str, replacing: bool = False) -> str:
    """A statement by the columns' names."""
    how = "INSERT OR REPLACE" if replacing else "INSERT"
    return f"{how} INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


Move = tuple[float, str, str]
"""Unix seconds, phase and reason of a change of phase or threshold."""
_MOVE: Final = insert("contract_moves", "key", "at", "phase", "reason")
_PAUSE: Final = insert("contract_pauses", "rule", "at", replacing=True)


class Tables:
    """Opens or makes them. One thread at a time. Raises LedgerError where the file cannot be used. read_only: the file
    stays as it is, and tables that it lacks are empty. columns: of tables, that files of before lack, with their
    types."""

    def __init__(
        self,
        path: Path,
        create: Iterable[str] = (),
        *,
        columns: Mapping[str, Mapping[str, str]] | None = None,
        read_only: bool = False,
    ) -> None:
        self._path = path
        with self._errors("used"):
            self._db = opened_to_read(path) if read_only else opened_to_write(path)
            with closed_on_failure(self._db):
                check_version(self._db, path)
                if read_only:
                    stand_in(self._db, (*_SHARED, *create))
                    self._db.execute("PRAGMA query_only = ON")
                else:
                    self._make((*_SHARED, *create), columns or {})

    def moves(self, key: str) -> list[Move]:
        """A contract's, by time."""
        with self._errors("read"):
            query = "SELECT at, phase, reason FROM contract_moves WHERE key = ? ORDER BY at"
            return list(self._db.execute(query, (key,)))

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def paused(self) -> frozenset[str]:
        """The rules whose contracts answer nothing for now."""
        with self._errors("read"):
            return frozenset(rule for (rule,) in self._db.execute("SELECT rule FROM contract_pauses"))

    def pause(self, rule: str, at: float) -> None:
        """From now on, in Unix seconds, a rule's contracts answer nothing."""
        self._write([(_PAUSE, (rule, at))], lasting=True)

    def resume(self, rule: str) -> None:
        """Lets a rule's contracts answer again."""
        self._write([("DELETE FROM contract_pauses WHERE rule = ?", (rule,))], lasting=True)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def _make(self, create: Iterable[str], columns: Mapping[str, Mapping[str, str]]) -> None:
        write_ahead(self._db)
        self._db.execute(_SOON)
        # another gateway that starts at the same time waits, and then finds it done
        self._db.execute("BEGIN IMMEDIATE")
        for statement in create:
            self._db.execute(statement)
        for table, added in columns.items():
            there = {row[1] for row in self._db.execute(f"PRAGMA table_info({table})")}
            for name in added.keys() - there:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {added[name]}")
        self._db.execute("COMMIT")

    def _write(self, statements: Sequence[Statement], *, lasting: bool = False) -> int:
        """How many rows were changed. lasting: it is on the disk then, with all that was written before."""
        with self._errors("written"):
            before = self._db.total_changes
            try:
                if lasting:
                    self._db.execute(_LASTING)
                self._db.execute("BEGIN IMMEDIATE")
                for statement, values in statements:
                    self._db.execute(statement, values)
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if lasting:
                    self._db.execute(_SOON)
            return self._db.total_changes - before

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            raise LedgerError(f"the contracts in {self._path} cannot be {what}: {error}") from error


def moving(key: str, moves: Iterable[Move]) -> list[Statement]:
    """What puts a contract's moves in its history."""
    return [(_MOVE, (key, *move)) for move in moves]


def json_of(value: Any) -> str:
    """As it is stored."""
    return msgspec.json.encode(value).decode()


@contextmanager
def sole(ledger: Path) -> Iterator[None]:
    """Holds a ledger's contracts for this process: a second owner would overwrite the first one's states. Raises
    LedgerError where another process holds them."""
    # SQLite's own lock on an empty file next to the ledger: it works on all systems, and ends with the process
    file = ledger.with_name(ledger.name + "-contracts")
    try:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        held = sqlite3.connect(file, isolation_level=None, timeout=0)
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"{file} cannot be opened: {error}") from error
    with closing(held):
        try:
            held.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            raise LedgerError(
                f"the contracts in {ledger} cannot be held ({error}): is another gateway serving with this ledger? "
                "Each gateway whose rules have contracts needs a ledger of its own"
            ) from error
        yield
