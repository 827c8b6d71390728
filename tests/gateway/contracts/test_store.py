"""What the contracts' tables give back, also of a file that an earlier Offramp made."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
from msgspec import structs

from gateway.contracts.contract import Contract, Phase, Terms
from gateway.contracts.safety_contract import SafetyContract, SafetyTerms
from gateway.contracts.safety_store import SafetyStore
from gateway.contracts.safety_store import StoredSafety as SafetyStored
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore, PairRow, StoredContract
from gateway.contracts.tables import Tables
from gateway.ledger.store import LedgerError

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


def test_gateways_that_start_at_once_on_an_earlier_file_all_start(tmp_path: Path) -> None:
    waiting = Barrier(2)

    def start(file: Path) -> None:
        waiting.wait(10)
        ContractStore(file).close()

    with ThreadPoolExecutor(2) as threads:
        for number in range(30):
            file = tmp_path / f"{number}.db"
            with closing(sqlite3.connect(file)) as db, db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute(EARLIER)
            for done in [threads.submit(start, file) for _ in range(2)]:
                done.result()


def test_what_cannot_be_made_whole_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "offramp.db"
    with pytest.raises(LedgerError, match="no such table: missing"):
        Tables(file, ["CREATE TABLE IF NOT EXISTS one (a TEXT) STRICT"], [("missing", "b", "TEXT")])
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == []


def test_a_chosen_pair_stands_for_the_calls_that_the_coin_passed_over(tmp_path: Path) -> None:
    store = ContractStore(tmp_path / "offramp.db")
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db, db:
        for at, chosen, rate, confidence in ((1, 1, 1.0, 0.9), (20, 1, 0.5, 0.9), (30, 1, 0.1, 0.2), (40, 0, 0.1, 0.9)):
            values = (at, chosen, rate, confidence)
            db.execute(
                "INSERT INTO contract_pairs VALUES ('k', 0, ?, 'r', ?, ?, 1, NULL, ?, 'a', 'agrees', 0, 0)", values
            )
    found = store.traffic("k", since=10, confidence=0.8)
    assert found is not None
    assert (found.since, found.calls, found.surer) == (20, 12, 2)
    assert store.traffic("k", since=50, confidence=None) is None
    store.close()


def filled(file: Path, pairs: int) -> ContractStore:
    store = ContractStore(file)
    scope = Scope(rule="r", model="m", prompt="", labels=(), classifier="c", version="v", terms="t")
    contract = Contract(terms=Terms(target=0.05, confidence=0.95))
    for number in range(pairs):
        row = PairRow(
            number=number,
            at=float(number),
            request_id="r",
            chosen=number % 2 == 0,
            rate=0.5,
            attempt=0,
            threshold=None,
            confidence=0.9,
            label="a",
            result="agrees" if number % 3 else "differs",
        )
        store.put(StoredContract(scope=scope, contract=replace(contract, pairs=number + 1), at=row.at), row)
    return store


def test_only_the_newest_pairs_stay_and_all_stay_counted(tmp_path: Path) -> None:
    store = filled(tmp_path / "offramp.db", 60)
    [before] = store.contracts()
    key, counts = before.scope.key, store.counts(before.scope.key)
    assert store.forgettable(before=0, keep=60) == []
    assert store.forgettable(before=0, keep=20) == [(key, 20)]
    store.forget_pairs(key, keep=40)
    store.forget_pairs(key, keep=20)
    assert [row.number for row in store.pairs(key)] == list(range(40, 60))
    assert store.counts(key) == counts
    assert store.contracts() == [before]
    store.close()


def test_pairs_of_the_certificate_stay(tmp_path: Path) -> None:
    store = filled(tmp_path / "offramp.db", 60)
    [one] = store.contracts()
    counts = store.counts(one.scope.key)
    store.forget_pairs(one.scope.key, keep=20, but=(4.0, 9.0))
    assert [row.number for row in store.pairs(one.scope.key)] == [*range(5, 10), *range(40, 60)]
    assert store.counts(one.scope.key) == counts
    store.close()


def test_a_contract_that_is_idle_keeps_none(tmp_path: Path) -> None:
    store = filled(tmp_path / "offramp.db", 10)
    [one] = store.contracts()
    assert store.forgettable(before=9.0, keep=20) == []
    assert store.forgettable(before=9.1, keep=20) == [(one.scope.key, 0)]
    store.forget_pairs(one.scope.key, keep=0)
    assert store.forgettable(before=9.1, keep=20) == []
    assert (store.pairs(one.scope.key), sum(store.counts(one.scope.key).values())) == ([], 10)
    assert store.contracts() == [one]
    store.close()


def test_idle_contracts_that_never_came_to_anything_are_forgotten(tmp_path: Path) -> None:
    scope = Scope(rule="r", model="m", prompt="", labels=(), classifier="c", version="v", terms="t")
    contract = Contract(terms=Terms(target=0.05, confidence=0.95), pairs=3)
    with closing(filled(tmp_path / "offramp.db", 10)) as store:
        for prompt, at, fields in (
            ("idle", 5.0, {}),
            ("lately", 50.0, {}),
            ("tried", 5.0, {"attempts": 1}),
            ("live", 5.0, {"phase": Phase.LIVE, "attempts": 1, "threshold": 0.9}),
        ):
            store.put(StoredContract(scope=replace(scope, prompt=prompt), contract=replace(contract, **fields), at=at))
        withdrawn = StoredContract(scope=replace(scope, prompt="begun anew"), contract=contract, at=5.0)
        store.put(withdrawn, moves=[(4.0, "demoted", "why")])
        store.repeated(replace(scope, prompt="idle").key, 1.0, 0.9, "agrees")
        store.forget_idle(40.0)
        left = {one.scope.prompt for one in store.contracts()}
        assert left == {"", "lately", "tried", "live", "begun anew"}
        # the pairs go first
        store.forget_pairs(scope.key, keep=0)
        store.forget_idle(40.0)
        assert {one.scope.prompt for one in store.contracts()} == left - {""}
        assert store.counts(scope.key) == {}
        assert store.repeats(replace(scope, prompt="idle").key, newest=9) == []


def test_of_a_models_name_under_which_no_attempt_began_nothing_stays(tmp_path: Path) -> None:
    """With some routes it is whatever a client wrote."""
    scope = Scope(rule="r", model="made up", prompt="", labels=(), classifier="c", version="v", terms="t")
    contract = Contract(terms=Terms(target=0.05, confidence=0.95))
    file = tmp_path / "offramp.db"
    with closing(ContractStore(file)) as store:
        store.put(StoredContract(scope=scope, contract=contract, at=1.0))
        store.put(StoredContract(scope=replace(scope, model="m"), contract=replace(contract, attempts=2), at=1.0))
        assert store.attempts() == {("r", "m"): 2}
        with closing(sqlite3.connect(file)) as db, db:
            db.execute("INSERT INTO contract_attempts VALUES ('r', 'of an earlier Offramp', 0)")
        store.forget_idle(2.0)
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT * FROM contract_attempts").fetchall() == [("r", "m", 2)]


def test_the_live_come_first_and_then_the_latest_of_those_that_are_reached(tmp_path: Path) -> None:
    scope = Scope(rule="r", model="m", prompt="", labels=(), classifier="c", version="v", terms="t")
    contract = Contract(terms=Terms(target=0.05, confidence=0.95))
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        for at, prompt in enumerate(("live", "live, past", "older", "newer", "past", "newest")):
            phase = Phase.LIVE if prompt.startswith("live") else Phase.SHADOW
            one = StoredContract(scope=replace(scope, prompt=prompt), contract=replace(contract, phase=phase), at=at)
            store.put(one)
        found = store.newest(3, lambda one: "past" not in one.prompt)
        assert [one.scope.prompt for one in found] == ["live", "newest", "newer"]
        assert len(store.newest(99, lambda _: True)) == 6


def test_texts_from_before_a_withdrawal_train_no_more(tmp_path: Path) -> None:
    store = ContractStore(tmp_path / "offramp.db")
    scope = Scope(rule="r", model="m", prompt="", labels=(), classifier="c", version="v", terms="t")
    contract = Contract(terms=Terms(target=0.05, confidence=0.95))

    def keep(at: float, text: str, among: str = "ab") -> None:
        store.keep("r", text, "a", among=among, at=at)

    keep(1, "one")
    keep(2, "two")
    store.training("r", 3, 2, among="ab")
    store.trained("r", 3)
    keep(4, "four")
    assert store.texts_since_training("r", "ab") == (1, 2)
    withdrawn = replace(contract, phase=Phase.DEMOTED)
    store.put(StoredContract(scope=scope, contract=withdrawn, at=5), moves=[(5.0, "demoted", "why")])
    assert store.texts_since_training("r", "ab") == (0, 0)
    keep(6, "six")
    assert store.texts_since_training("r", "ab") == (1, 0)
    assert store.texts("r", "ab") == [("six", "a")]
    assert store.texts_since_training("another", "ab") == (0, 0)
    store.close()


def test_texts_are_those_of_the_same_labels_alone(tmp_path: Path) -> None:
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        for at, of in enumerate(("ab", "ab", "abc", "another's"), 1):
            store.keep("r", f"text {at}", "a", among=of, at=at)
        assert store.texts("r", "ab") == [("text 1", "a"), ("text 2", "a")]
        store.training("r", 2.5, 2, among="ab")
        store.trained("r", 2.5)
        assert store.texts_since_training("r", "ab") == (0, 2)
        assert store.texts_since_training("r", "abc") == (1, 0)


def test_a_training_that_was_cut_off_counts_as_none(tmp_path: Path) -> None:
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        for at in (1, 2, 4):
            store.keep("r", f"text {at}", "a", among="ab", at=at)
        store.training("r", 3, 2, among="ab")
        assert store.texts_since_training("r", "ab") == (3, 0)
        store.trained("r", 3)
        assert store.texts_since_training("r", "ab") == (1, 2)
        store.training("r", 5, 3, among="ab")
        assert store.texts_since_training("r", "ab") == (1, 2)


def test_of_a_training_only_what_is_still_kept_counts(tmp_path: Path) -> None:
    """Else a rule that answers most calls itself, so that fewer texts come in, would never be trained again."""
    with closing(ContractStore(tmp_path / "offramp.db")) as store:
        for at in range(1, 7):
            store.keep("r", f"text {at}", "a", among="ab", at=at)
        store.keep("r", "of other labels", "a", among="abc", at=6)
        store.training("r", 6.5, 6, among="ab")
        store.trained("r", 6.5)
        assert store.forget(6.0) == 5
        for at in (7, 8):
            store.keep("r", f"text {at}", "a", among="ab", at=at)
        assert store.texts_since_training("r", "ab") == (2, 1)


def test_texts_of_an_earlier_file_train_nothing(tmp_path: Path) -> None:
    file = tmp_path / "offramp.db"
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("CREATE TABLE contract_texts (rule TEXT NOT NULL, at REAL NOT NULL, text TEXT, label TEXT) STRICT")
        db.execute("INSERT INTO contract_texts VALUES ('r', 1.0, 'old', 'a')")
    with closing(ContractStore(file)) as store:
        store.keep("r", "new", "a", among="ab", at=2.0)
        assert store.texts("r", "ab") == [("new", "a")]
        assert store.forget(3.0) == 2


def test_pairs_are_written_after_a_newer_version_has_added_columns(tmp_path: Path) -> None:
    file = tmp_path / "offramp.db"
    store = filled(file, 2)
    safety = SafetyStore(file)
    with closing(sqlite3.connect(file)) as db, db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            db.execute(f"ALTER TABLE {table} ADD COLUMN later TEXT NOT NULL DEFAULT ''")
    [before] = store.contracts()
    key, row = before.scope.key, store.pairs(before.scope.key)[0]
    store.put(before, row, moves=[(2.0, "live", "why")])
    store.keep("r", "text", "a", among="ab", at=2.0)
    store.repeated(key, 1.0, 0.9, "agrees")
    store.training("r", 3.0, 1, among="ab")
    store.pause("r", 4.0)
    store.forget_pairs(key, keep=1)
    assert (len(store.pairs(key)), sum(store.counts(key).values()), store.paused()) == (1, 3, {"r"})
    contract = SafetyContract.new(SafetyTerms(missed=0.05, wrongly=0.05, confidence=0.95))
    chosen = contract.choose(0.5)
    safety.put(SafetyStored(scope=before.scope, contract=contract, at=5.0), chosen, request_id="r", result="safe")
    assert safety.counts(key) == {(chosen.zone.value, "safe"): 1}
    safety.close()
    store.close()


def test_a_loss_of_power_takes_back_pairs_but_no_withdrawal(tmp_path: Path) -> None:
    with closing(filled(tmp_path / "offramp.db", 1)) as store:
        [before] = store.contracts()
        said: list[str] = []
        store._db.set_trace_callback(said.append)

        def at_commit(write: Callable[[], object]) -> str:
            """How the file was written to when this was."""
            said.clear()
            write()
            assert said[-1] in ("COMMIT", "PRAGMA synchronous = NORMAL")
            return next((one for one in said[: said.index("COMMIT")] if "synchronous" in one), "as before")

        row = structs.replace(store.pairs(before.scope.key)[0], number=1)
        assert at_commit(lambda: store.put(before, row)) == "as before"
        full = "PRAGMA synchronous = FULL"
        assert at_commit(lambda: store.put(before, moves=[(5.0, "demoted", "why")])) == full
        assert at_commit(lambda: store.serve(before.scope.key, 5.0)) == full
        assert at_commit(lambda: store.pause("r", 5.0)) == full
        assert at_commit(lambda: store.put(before, structs.replace(row, number=2))) == "as before"


def test_a_file_that_is_only_read_takes_nothing(tmp_path: Path) -> None:
    filled(tmp_path / "offramp.db", 1).close()
    for file in (tmp_path / "offramp.db", tmp_path / "none.db"):
        with closing(ContractStore(file, read_only=True)) as store:
            for write in (lambda: store.pause("r", 1.0), lambda: store.training("r", 1.0, 1, among="a")):
                with pytest.raises(LedgerError, match="readonly"):
                    write()
    assert not (tmp_path / "none.db").exists()
