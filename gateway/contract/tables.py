"""Tables in the ledger's SQLite file: one connection, writes all or nothing, errors in words. What all contracts share:
their moves, and the rules that are paused."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.ledger.opening import closed_on_failure
from gateway.ledger.store import LedgerError

_SHARED: Final = (
    """CREATE TABLE IF NOT EXISTS contract_moves (
        key TEXT NOT NULL, at REAL NOT NULL, phase TEXT NOT NULL, reason TEXT NOT NULL) STRICT""",
    "CREATE TABLE IF NOT EXISTS contract_pauses (rule TEXT PRIMARY KEY, at REAL NOT NULL) STRICT",
)
MOVE: Final = "INSERT INTO contract_moves VALUES (?, ?, ?, ?)"
"""(key, Unix seconds, phase, reason)."""


class Tables:
    """Opens or makes them. One thread at a time. Raises LedgerError where the file cannot be used.

    added: (table, column, type) of columns that a table which an earlier Offramp made may lack.
    """

    def __init__(self, path: Path, create: Iterable[str], added: Iterable[tuple[str, str, str]] = ()) -> None:
        self._path = path
        with self._errors("used"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            with closed_on_failure(self._db):
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
                for statement in (*_SHARED, *create):
                    self._db.execute(statement)
                for table, column, kind in added:
                    if not any(known[1] == column for known in self._db.execute(f"PRAGMA table_info({table})")):
                        self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")

    def moves(self, key: str) -> list[tuple[float, str, str]]:
        """(Unix seconds, phase, reason) of each change of phase or threshold."""
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

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def _write(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        with self._errors("written"):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                for statement, values in statements:
                    self._db.execute(statement, values)
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            raise LedgerError(f"the contracts in {self._path} cannot be {what}: {error}") from error


def json_of(value: Any) -> str:
    """As it is stored."""
    return msgspec.json.encode(value).decode()
