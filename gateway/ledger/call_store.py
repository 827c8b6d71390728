"""Whole calls in the ledger's file, which `offramp discover` reads; kept only where the operator asks."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from gateway.ledger.store import (
    BUSY_S,
    closed_on_failure,
    ledger_errors,
    opened_to_read,
    opened_to_write,
    stand_in,
    table,
    write_ahead,
)

_READERS_MS: Final = 1000
_AT_ONCE: Final = 200
_PAUSE_S: Final = 0.05
"""Calls deleted in one step, and the pause after it, in which others can write."""
_FORGET: Final = "DELETE FROM calls WHERE rowid IN (SELECT rowid FROM calls WHERE at < ? LIMIT ?)"


class KeptCall(msgspec.Struct, kw_only=True):
    """A forwarded call. at: Unix seconds; model: as the client asked; request: its JSON; answer: the model's body, of a
    stream all events; tokens and dollars: None where unknown.
    """

    request_id: str
    at: float
    model: str
    request: bytes
    answer: bytes
    input_tokens: int | None = None
    output_tokens: int | None = None
    spent_usd: float | None = None


_CREATE, _INSERT = table("calls", KeptCall)
_STATEMENTS: Final = (_CREATE, "CREATE INDEX IF NOT EXISTS calls_at ON calls (at)")
_NAMES: Final = KeptCall.__struct_fields__
_SELECT: Final = f"SELECT {', '.join(_NAMES)} FROM calls ORDER BY at"  # noqa: S608 - columns are constants


class CallStore:
    """Opens the file, or makes it. For several threads. Raises LedgerError where it cannot be used.

    read_only: for `calls` alone. The file is not changed: an older gateway may serve with it.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._using("used"):
            if read_only:
                self._db = opened_to_read(path)
                with closed_on_failure(self._db):
                    stand_in(self._db, _STATEMENTS)
                return
            self._db = opened_to_write(path)
            with closed_on_failure(self._db):
                write_ahead(self._db)
                self._db.execute("PRAGMA synchronous = NORMAL")
                for statement in _STATEMENTS:
                    self._db.execute(statement)

    def append(self, records: Sequence[KeptCall]) -> None:
        """Writes calls, all or none. Raises LedgerError."""
        rows = [msgspec.structs.astuple(call) for call in records]
        with self._using("written"), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(_INSERT, rows)

    def calls(self) -> list[KeptCall]:
        """All that are kept, the oldest first. Raises LedgerError."""
        with self._using("read"):
            rows = self._db.execute(_SELECT).fetchall()
        return [KeptCall(**dict(zip(_NAMES, row, strict=True))) for row in rows]

    def forget(self, before: float) -> int:
        """Deletes the calls before a time, in Unix seconds; how many. Raises LedgerError, some may be deleted then."""
        forgotten = 0
        while True:
            with self._using("written"):
                deleted = self._db.execute(_FORGET, (before, _AT_ONCE)).rowcount
            forgotten += deleted
            if deleted < _AT_ONCE:
                return forgotten
            time.sleep(_PAUSE_S)

    def empty_log(self) -> bool:
        """Empties the write-ahead log, which still holds deleted content. False while another program reads it.

        Raises LedgerError.
        """
        with self._using("written"):
            # nobody can write while this waits for readers
            self._db.execute(f"PRAGMA busy_timeout = {_READERS_MS}")
            try:
                busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._db.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000}")
            return not busy

    def close(self) -> None:
        """Closes the file, once nobody uses it; later uses raise LedgerError."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _using(self, what: str) -> Iterator[None]:
        with ledger_errors(f"the calls kept in {self._path} cannot be {what}"), self._lock:
            yield
