"""What the contracts' tables give back, also of a file that an earlier Offramp made."""

import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.contract.store import ContractStore

EARLIER = """CREATE TABLE contract_pairs (
    key TEXT NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL, request_id TEXT NOT NULL,
    chosen INTEGER NOT NULL, rate REAL NOT NULL, attempt INTEGER NOT NULL, threshold REAL, confidence REAL NOT NULL,
    label TEXT NOT NULL, result TEXT NOT NULL) STRICT"""


def test_pairs_of_an_earlier_file_have_no_novelty(tmp_path: Path) -> None:
    file = tmp_path / "offramp.db"
    with closing(sqlite3.connect(file)) as db, db:
        db.execute(EARLIER)
        db.execute("INSERT INTO contract_pairs VALUES ('k', 0, 1.0, 'r', 1, 0.5, 1, NULL, 0.9, 'a', 'agrees')")
    for _ in range(2):
        store = ContractStore(file)
        [row] = store.pairs("k")
        store.close()
        assert (row.novelty, row.chosen, row.result) == (None, True, "agrees")


def test_a_chosen_pair_stands_for_the_calls_that_the_coin_passed_over(tmp_path: Path) -> None:
    store = ContractStore(tmp_path / "offramp.db")
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db, db:
        for at, chosen, rate, confidence in ((1, 1, 1.0, 0.9), (20, 1, 0.5, 0.9), (30, 1, 0.1, 0.2), (40, 0, 0.1, 0.9)):
            values = (at, chosen, rate, confidence)
            db.execute("INSERT INTO contract_pairs VALUES ('k', 0, ?, 'r', ?, ?, 1, NULL, ?, 'a', 'agrees', 0)", values)
    found = store.traffic("k", since=10, confidence=0.8)
    assert found is not None
    assert (found.since, found.calls, found.surer) == (20, 12, 2)
    assert store.traffic("k", since=50, confidence=None) is None
    store.close()
