"""Holds a ledger's contracts for one process: a second owner would write its own state over the first one's."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.ledger.store import LedgerError


@contextmanager
def sole(ledger: Path) -> Iterator[None]:
    """Until it is left, or the process ends in whatever way. Raises LedgerError where another process holds them."""
    # SQLite's own lock on an empty file beside the ledger: it works on all systems, and ends with the process
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
