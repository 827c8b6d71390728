"""What a failed step of opening leaves behind: nothing that is open."""

import sqlite3
from contextlib import closing

import pytest

from gateway.ledger.opening import closed_on_failure


def test_it_is_closed_where_the_block_fails() -> None:
    db = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError, match="no such table"), closed_on_failure(db):
        db.execute("SELECT * FROM missing")
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        db.execute("SELECT 1")


def test_it_stays_open_where_the_block_does_not() -> None:
    with closed_on_failure(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE one (two)")
    with closing(db):
        assert db.execute("SELECT * FROM one").fetchall() == []
