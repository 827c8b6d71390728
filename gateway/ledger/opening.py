"""What is opened in steps: a failed step closes it again. What is opened to be read alone."""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, TypeVar

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
