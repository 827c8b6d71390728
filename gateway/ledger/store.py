"""Where ledger rows are kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from gateway.ledger.record import Record


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
