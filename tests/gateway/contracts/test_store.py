"""What the contracts' tables give back, and who may write to them."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest
from msgspec import structs

from gateway.contracts.contract import Contract
from gateway.contracts.scope import Scope
from gateway.contracts.store import CheckRow, ContractStore, StoredContract
from gateway.contracts.tables import sole
from gateway.ledger.store import LedgerError
from gateway.rules.rule import Terms

SCOPE = Scope(rule="r", model="m", prompt="", classifier="c", terms="t")
CONTRACT = Contract.new(Terms(target=0.05, confidence=0.95))
CHECK = CheckRow(at=1.0, request_id="r", version="v", score=0.9, zone="ask", chance=1.0, label="a", result="agrees")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "offramp.db"


@pytest.fixture
def store(file: Path) -> Iterator[ContractStore]:
    with closing(ContractStore(file)) as opened:
        yield opened


def stored(prompt: str = "", at: float = 1.0, *, checks: int = 0) -> StoredContract:
    (side,) = CONTRACT.sides
    for _ in range(checks):
        side = side.see(wrong=False, nominal=1.0, chance=1.0, predicted=0.0)
    contract = structs.replace(CONTRACT, sides=(side,))
    return StoredContract(scope=structs.replace(SCOPE, prompt=prompt), contract=contract, at=at)


def fill(store: ContractStore, count: int) -> StoredContract:
    """A contract with calls, one a second."""
    for number in range(count):
        row = structs.replace(CHECK, at=float(number), chance=0.5, result="agrees" if number % 3 else "differs")
        store.put(stored(at=row.at, checks=number + 1), row)
    return next(store.contracts())


def keep(store: ContractStore, *times: int, among: str = "ab") -> None:
    for at in times:
        store.keep("r", f"text {at}", "a", among=among, at=at)


def test_gateways_that_start_at_once_all_start(tmp_path: Path) -> None:
    waiting = Barrier(2)

    def start(file: Path) -> None:
        waiting.wait(10)
        with closing(ContractStore(file)) as opened:
            assert list(opened.contracts()) == []

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


def test_what_is_known_of_a_version_is_weighted_and_comes_from_after_the_last_alarm(store: ContractStore) -> None:
    before = fill(store, 6)
    key = before.scope.key
    assert store.known(key, "v", newest=2) == [(0.9, 2.0, False), (0.9, 2.0, False)]
    store.put(before, structs.replace(CHECK, at=7.0, version="v2", result="unsafe"))
    store.put(before, structs.replace(CHECK, at=8.0, score=None))
    assert store.known(key, "v2", newest=9) == [(0.9, 1.0, True)]
    assert len(store.known(key, "v", newest=9)) == 6
    store.put(before, moves=[(4.5, "alarm", "why")])
    assert len(store.known(key, "v", newest=9)) == 1
    assert store.calls_a_day(key, now=86400.0 * 2, lately_s=86400.0 * 3) == pytest.approx(7.0)
    assert store.calls_a_day(key, now=100.0, lately_s=1000.0) is None


def test_the_newest_calls_stay_and_so_does_whatever_was_spent(store: ContractStore) -> None:
    fill(store, 60)
    for one in (stored("idle", 5.0), stored("lately", 50.0), stored("spent", 5.0, checks=1)):
        store.put(one)
    idle = structs.replace(SCOPE, prompt="idle").key
    for result in ("agrees", "missing"):
        store.repeated(idle, 1.0, 0.9, result)
    assert store.repeats(idle, newest=9) == [(0.9, True)]
    store.thin_out(40.0, keep=10)
    assert sum(store.counts(SCOPE.key).values()) == 10
    assert {one.scope.prompt for one in store.contracts()} == {"", "lately", "spent"}
    assert store.repeats(idle, newest=9) == []
    store.thin_out(1000.0, keep=10)
    assert (store.counts(SCOPE.key), {one.scope.prompt for one in store.contracts()}) == ({}, {"", "spent"})


def test_the_latest_of_those_that_are_reached_come_first(store: ContractStore) -> None:
    for at, prompt in enumerate(("older", "newer", "past", "newest")):
        store.put(stored(prompt, at))
    assert [one.scope.prompt for one in store.newest(2, lambda one: "past" not in one.prompt)] == ["newest", "newer"]
    found = store.find(structs.replace(SCOPE, prompt="older").key)
    assert found == stored("older", 0)
    assert store.find("none") is None


def test_contracts_of_an_older_version_begin_anew_and_their_texts_go_on(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("CREATE TABLE contracts (key TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT")
        db.execute("INSERT INTO contracts VALUES ('k', '{}')")
        db.execute("CREATE TABLE contract_texts (rule TEXT, at REAL, text TEXT, label TEXT, among TEXT) STRICT")
        db.execute("INSERT INTO contract_texts VALUES ('r', 1.0, 'text 1', 'a', 'ab')")
    with closing(ContractStore(file)) as store:
        assert "contracts of an older version: each begins an account in shadow" in caplog.text
        assert list(store.contracts()) == []
        [text] = store.texts("r", "ab")
        assert (text.text, text.label, text.weight, text.vector) == ("text 1", "a", 1.0, None)
        store.put_vectors([(text.id, b"v")])
        assert store.texts("r", "ab")[0].vector == b"v"
        store.put(stored())
    caplog.clear()
    ContractStore(file).close()
    assert caplog.text == ""


def test_texts_from_before_an_alarm_train_no_more(store: ContractStore) -> None:
    keep(store, 1, 2)
    store.training("r", 3, 2, among="ab")
    # one that is cut off counts for nothing
    assert store.texts_since_training("r", "ab") == (2, 0)
    store.trained("r", 3)
    keep(store, 4)
    assert store.texts_since_training("r", "ab") == (1, 2)
    store.put(stored(at=5), moves=[(5.0, "alarm", "why")])
    assert store.texts_since_training("r", "ab") == (0, 0)
    keep(store, 6)
    assert store.texts_since_training("r", "ab") == (1, 0)
    assert [one.text for one in store.texts("r", "ab")] == ["text 6"]
    assert store.texts_since_training("another", "ab") == (0, 0)


def test_texts_are_those_of_the_same_labels_alone(store: ContractStore) -> None:
    keep(store, 1, 2)
    keep(store, 3, among="abc")
    assert [(one.text, one.label) for one in store.texts("r", "ab")] == [("text 1", "a"), ("text 2", "a")]
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


def test_a_loss_of_power_takes_back_checks_but_no_alarm(store: ContractStore) -> None:
    before = fill(store, 1)
    statements: list[str] = []
    store._db.set_trace_callback(statements.append)

    def synchronous(write: Callable[[], object]) -> bool:
        """Whether a write waits until it is on the disk."""
        statements.clear()
        write()
        return "PRAGMA synchronous = FULL" in statements[: statements.index("COMMIT")]

    assert not synchronous(lambda: store.put(before, CHECK))
    assert synchronous(lambda: store.put(before, moves=[(5.0, "alarm", "why")]))
    assert synchronous(lambda: store.pause("r", 5.0))
    assert not synchronous(lambda: store.put(before, CHECK))


def test_a_file_that_is_only_read_takes_nothing(tmp_path: Path) -> None:
    ContractStore(tmp_path / "offramp.db").close()
    for file in (tmp_path / "offramp.db", tmp_path / "none.db"):
        with closing(ContractStore(file, read_only=True)) as store, pytest.raises(LedgerError, match="readonly"):
            store.pause("r", 1.0)
    assert not (tmp_path / "none.db").exists()
