"""What the contracts' tables give back, and who may write to them."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from msgspec import structs

from gateway.contracts.contract import Contract, Phase
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore, PairRow, StoredContract
from gateway.contracts.tables import sole
from gateway.ledger.store import LedgerError
from gateway.rules.terms import Terms

SCOPE = Scope(rule="r", model="m", prompt="", labels=(), classifier="c", version="v", terms="t")
CONTRACT = Contract(terms=Terms(target=0.05, confidence=0.95))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "offramp.db"


@pytest.fixture
def store(file: Path) -> Iterator[ContractStore]:
    with closing(ContractStore(file)) as opened:
        yield opened


def stored(prompt: str = "", at: float = 1.0, model: str = "m", **fields: Any) -> StoredContract:
    return StoredContract(scope=replace(SCOPE, prompt=prompt, model=model), contract=replace(CONTRACT, **fields), at=at)


def fill(store: ContractStore, pairs: int) -> StoredContract:
    """A contract with pairs, one a second."""
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
        store.put(stored(at=row.at, pairs=number + 1), row)
    return store.contracts()[0]


def keep(store: ContractStore, *times: int, among: str = "ab") -> None:
    for at in times:
        store.keep("r", f"text {at}", "a", among=among, at=at)


def test_gateways_that_start_at_once_all_start(tmp_path: Path) -> None:
    waiting = Barrier(2)

    def start(file: Path) -> None:
        waiting.wait(10)
        with closing(ContractStore(file)) as opened:
            assert opened.contracts() == []

    with ThreadPoolExecutor(2) as threads:
        for number in range(10):
            for done in [threads.submit(start, tmp_path / f"{number}.db") for _ in range(2)]:
                done.result()


def test_only_one_process_holds_contracts_at_a_time(tmp_path: Path) -> None:
    ledger = tmp_path / "new" / "offramp.db"
    with sole(ledger):
        with pytest.raises(LedgerError, match=r"offramp\.db cannot be held .* needs a ledger of its own"), sole(ledger):
            pass
        with sole(tmp_path / "other.db"):
            sqlite3.connect(ledger).close()
    with sole(ledger):
        pass
    (tmp_path / "file").write_text("")
    refused = pytest.raises(LedgerError, match=r"offramp\.db-contracts cannot be opened")
    with refused, sole(tmp_path / "file" / "offramp.db"):
        pass


def test_a_chosen_pair_stands_for_the_calls_that_the_coin_passed_over(store: ContractStore, file: Path) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        for values in ((1, 1, 1.0, 0.9), (20, 1, 0.5, 0.9), (30, 1, 0.1, 0.2), (40, 0, 0.1, 0.9)):
            db.execute(
                "INSERT INTO contract_pairs VALUES ('k', 0, ?, 'r', ?, ?, 1, NULL, ?, 'a', 'agrees', 0, 0)", values
            )
    found = store.traffic("k", since=10, confidence=0.8)
    assert found is not None
    assert (found.since, found.calls, found.surer) == (20, 12, 2)
    assert store.traffic("k", since=50, confidence=None) is None


def test_only_the_newest_pairs_and_those_of_the_certificate_stay_and_all_stay_counted(store: ContractStore) -> None:
    before = fill(store, 60)
    key, counts = before.scope.key, store.counts(before.scope.key)
    assert store.forgettable(before=0, keep=60) == []
    assert store.forgettable(before=0, keep=20) == [(key, 20)]
    for but, left in (((4.0, 9.0), [*range(5, 10), *range(40, 60)]), (None, list(range(40, 60)))):
        store.forget_pairs(key, keep=20, **({"but": but} if but else {}))
        assert [row.number for row in store.pairs(key)] == left
    # of an idle contract none stay
    assert store.forgettable(before=59.1, keep=20) == [(key, 0)]
    store.forget_pairs(key, keep=0)
    assert store.forgettable(before=59.1, keep=20) == []
    assert (store.pairs(key), store.counts(key), store.contracts()) == ([], counts, [before])


def test_idle_contracts_that_never_came_to_anything_are_forgotten(store: ContractStore) -> None:
    fill(store, 10)
    for one in (
        stored("idle", 5.0, pairs=3),
        stored("lately", 50.0, pairs=3),
        stored("tried", 5.0, attempts=1),
        stored("live", 5.0, phase=Phase.LIVE, attempts=1, threshold=0.9),
    ):
        store.put(one)
    store.put(stored("begun anew", 5.0), moves=[(4.0, "demoted", "why")])
    idle = replace(SCOPE, prompt="idle").key
    store.repeated(idle, 1.0, 0.9, "agrees")
    store.forget_idle(40.0)
    left = {one.scope.prompt for one in store.contracts()}
    assert left == {"", "lately", "tried", "live", "begun anew"}
    # the pairs go first
    store.forget_pairs(SCOPE.key, keep=0)
    store.forget_idle(40.0)
    assert {one.scope.prompt for one in store.contracts()} == left - {""}
    assert (store.counts(SCOPE.key), store.repeats(idle, newest=9)) == ({}, [])


def test_of_a_models_name_under_which_no_attempt_began_nothing_stays(store: ContractStore, file: Path) -> None:
    """With some routes it is whatever a client wrote."""
    store.put(stored(model="made up"))
    store.put(stored(attempts=2))
    assert store.attempts() == {("r", "m"): 2}
    store.forget_idle(2.0)
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT * FROM contract_attempts").fetchall() == [("r", "m", 2)]


def test_the_live_come_first_and_then_the_latest_of_those_that_are_reached(store: ContractStore) -> None:
    for at, prompt in enumerate(("live", "live, past", "older", "newer", "past", "newest")):
        store.put(stored(prompt, at, phase=Phase.LIVE if prompt.startswith("live") else Phase.SHADOW))
    found = store.newest(3, lambda one: "past" not in one.prompt)
    assert [one.scope.prompt for one in found] == ["live", "newest", "newer"]
    assert len(store.newest(99, lambda _: True)) == 6


def test_texts_from_before_a_withdrawal_train_no_more(store: ContractStore) -> None:
    keep(store, 1, 2)
    store.training("r", 3, 2, among="ab")
    # one that is cut off counts for nothing
    assert store.texts_since_training("r", "ab") == (2, 0)
    store.trained("r", 3)
    keep(store, 4)
    assert store.texts_since_training("r", "ab") == (1, 2)
    store.put(stored(at=5, phase=Phase.DEMOTED), moves=[(5.0, "demoted", "why")])
    assert store.texts_since_training("r", "ab") == (0, 0)
    keep(store, 6)
    assert store.texts_since_training("r", "ab") == (1, 0)
    assert store.texts("r", "ab") == [("text 6", "a")]
    assert store.texts_since_training("another", "ab") == (0, 0)


def test_texts_are_those_of_the_same_labels_alone(store: ContractStore) -> None:
    keep(store, 1, 2)
    keep(store, 3, among="abc")
    assert store.texts("r", "ab") == [("text 1", "a"), ("text 2", "a")]
    store.training("r", 2.5, 2, among="ab")
    store.trained("r", 2.5)
    assert store.texts_since_training("r", "ab") == (0, 2)
    assert store.texts_since_training("r", "abc") == (1, 0)


def test_of_a_training_only_what_is_still_kept_counts(store: ContractStore) -> None:
    """Else a rule that answers most calls itself, so that fewer texts come in, would never be trained again."""
    keep(store, *range(1, 7))
    store.training("r", 6.5, 6, among="ab")
    store.trained("r", 6.5)
    assert store.forget(6.0) == 5
    keep(store, 7, 8)
    assert store.texts_since_training("r", "ab") == (2, 1)


def test_a_loss_of_power_takes_back_pairs_but_no_withdrawal(store: ContractStore) -> None:
    before = fill(store, 1)
    statements: list[str] = []
    store._db.set_trace_callback(statements.append)

    def synchronous(write: Callable[[], object]) -> bool:
        """Whether a write waits until it is on the disk."""
        statements.clear()
        write()
        return "PRAGMA synchronous = FULL" in statements[: statements.index("COMMIT")]

    row = structs.replace(store.pairs(before.scope.key)[0], number=1)
    assert not synchronous(lambda: store.put(before, row))
    assert synchronous(lambda: store.put(before, moves=[(5.0, "demoted", "why")]))
    assert synchronous(lambda: store.serve(before.scope.key, 5.0))
    assert synchronous(lambda: store.pause("r", 5.0))
    assert not synchronous(lambda: store.put(before, structs.replace(row, number=2)))


def test_a_file_that_is_only_read_takes_nothing(tmp_path: Path) -> None:
    ContractStore(tmp_path / "offramp.db").close()
    for file in (tmp_path / "offramp.db", tmp_path / "none.db"):
        with closing(ContractStore(file, read_only=True)) as store, pytest.raises(LedgerError, match="readonly"):
            store.pause("r", 1.0)
    assert not (tmp_path / "none.db").exists()
