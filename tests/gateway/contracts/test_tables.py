"""One process holds a ledger's contracts."""

import sqlite3
from pathlib import Path

import pytest

from gateway.contracts.tables import sole
from gateway.ledger.store import LedgerError


def test_only_one_holds_them_at_a_time(tmp_path: Path) -> None:
    ledger = tmp_path / "new" / "offramp.db"
    with sole(ledger):
        with pytest.raises(LedgerError, match=r"offramp\.db cannot be held .* needs a ledger of its own"), sole(ledger):
            pass
        with sole(tmp_path / "other.db"):
            sqlite3.connect(ledger).close()
    with sole(ledger):
        pass


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ledger = tmp_path / "file" / "offramp.db"
    with pytest.raises(LedgerError, match=r"offramp\.db-contracts cannot be opened"), sole(ledger):
        pass
