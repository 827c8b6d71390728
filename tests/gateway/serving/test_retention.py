"""What is forgotten is gone, from the file and from its log."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts.owner import Owner
from gateway.contracts.store import ContractStore
from gateway.ledger.call_log import CallLog
from gateway.ledger.call_store import CallStore, KeptCall
from gateway.ledger.store import LedgerError
from gateway.serving.retention import Retention

DAY_S = 86400.0


def fill(contracts: ContractStore, calls: CallStore, *names: str, at: float) -> None:
    """Texts and calls that hold their names."""
    for name in names:
        contracts.keep("r", f"text of {name}", "a", among="labels", at=at)
        request = f"call of {name}".encode()
        calls.append([KeptCall(request_id=name, at=at, model="m", request=request, answer=request * 500)])


def found(file: Path, name: str) -> set[str]:
    """Which of a name's texts stand in the ledger's file or in its log, whether a query would find them or not."""
    there = b"".join(one.read_bytes() for one in (file, Path(f"{file}-wal")))
    return {kind for kind in ("text", "call") if f"{kind} of {name}".encode() in there}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ContractStore, CallStore]]:
    """Texts of long ago, already in the file, on an SQLite that does not overwrite by itself, and new ones."""
    connect = sqlite3.connect

    def overwriting_nothing(*args: Any, **more: Any) -> sqlite3.Connection:
        db = connect(*args, **more)
        db.execute("PRAGMA secure_delete = OFF")
        return db

    monkeypatch.setattr(sqlite3, "connect", overwriting_nothing)
    file = tmp_path / "offramp.db"
    contracts, calls = ContractStore(file), CallStore(file)
    fill(contracts, calls, *(f"old{number:03}." for number in range(40)), at=8 * DAY_S)
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA wal_checkpoint")
    fill(contracts, calls, "old999.", at=8 * DAY_S)
    fill(contracts, calls, "new.", at=9.5 * DAY_S)
    yield contracts, calls
    contracts.close()
    calls.close()


@pytest.mark.parametrize(("keep_s", "left"), [(DAY_S, {"text", "call"}), (None, set())])
async def test_of_forgotten_texts_no_byte_is_left(
    kept: tuple[ContractStore, CallStore], tmp_path: Path, keep_s: float | None, left: set[str]
) -> None:
    file = tmp_path / "offramp.db"
    assert found(file, "old007.") == found(file, "old999.") == {"text", "call"}
    owner = Owner(kept[0])
    keeping = CallLog(kept[1], keeps=False, on_failure=print, on_lost=print)
    await Retention(owner, keeping, keep_s, clock=lambda: 10 * DAY_S).look()
    assert found(file, "old") == set()
    assert found(file, "new.") == left
    owner.close()


async def test_many_texts_are_deleted_some_at_a_time(
    kept: tuple[ContractStore, CallStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.contracts.store._AT_ONCE", 15)
    assert kept[0].forget(9 * DAY_S) == 15
    owner = Owner(kept[0])
    keeping = CallLog(kept[1], keeps=False, on_failure=print, on_lost=print)
    await Retention(owner, keeping, DAY_S, clock=lambda: 10 * DAY_S).look()
    assert await owner.ask(lambda store: store.texts("r", "labels")) == [("text of new.", "a")]
    owner.close()


@pytest.mark.parametrize(("keep_s", "told"), [(DAY_S, False), (None, True)])
async def test_a_gateway_that_keeps_nothing_says_what_it_deleted(
    kept: tuple[ContractStore, CallStore], caplog: pytest.LogCaptureFixture, keep_s: float | None, *, told: bool
) -> None:
    owner, now = Owner(kept[0]), [10 * DAY_S]
    keeping = CallLog(kept[1], keeps=False, on_failure=print, on_lost=print)
    forgetting = Retention(owner, keeping, keep_s, clock=lambda: now[0])
    for _ in range(2):
        await forgetting.look()
        now[0] += 61
    assert caplog.text.count("content.keep is none: 42 texts and 42 calls") == told
    assert caplog.text.count("content.keep is none") == told
    owner.close()


async def test_while_another_program_reads_the_log_it_is_tried_again(
    kept: tuple[ContractStore, CallStore], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, now = tmp_path / "offramp.db", [10 * DAY_S]
    owner = Owner(kept[0])
    keeping = CallLog(kept[1], keeps=False, on_failure=print, on_lost=print)
    forgetting = Retention(owner, keeping, None, clock=lambda: now[0])
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM calls").fetchall()
        for _ in range(2):
            await forgetting.look()
            now[0] += 61
        assert found(file, "old999.") == {"text", "call"}
        assert caplog.text.count("it is tried again each") == 1
        # what comes in meanwhile is written
        fill(*kept, "late.", at=now[0])
    await forgetting.look()
    assert found(file, "old") == found(file, "late.") == set()
    owner.close()


async def test_what_a_killed_gateway_had_deleted_leaves_the_log(
    kept: tuple[ContractStore, CallStore], tmp_path: Path
) -> None:
    kept[0].forget(10 * DAY_S)
    kept[1].forget(10 * DAY_S)
    assert found(tmp_path / "offramp.db", "old999.") == {"text", "call"}
    owner = Owner(kept[0])
    keeping = CallLog(kept[1], keeps=False, on_failure=print, on_lost=print)
    await Retention(owner, keeping, None, clock=lambda: 10 * DAY_S).look()
    assert found(tmp_path / "offramp.db", "old") == set()
    owner.close()


async def test_a_clock_that_was_set_back_holds_nothing_up(kept: tuple[ContractStore, CallStore]) -> None:
    now = [5.0 * DAY_S]
    owner = Owner(kept[0], clock=lambda: now[0])
    keeping = CallLog(kept[1], keeps=False, on_failure=print, on_lost=print)
    forgetting = Retention(owner, keeping, None, clock=lambda: now[0])
    hourly: list[float] = []

    async def forget() -> None:
        hourly.append(now[0])

    for then, left in ((5.0, 0), (3.0, 0), (3.0 + 30 / DAY_S, 1), (3.0 + 61 / DAY_S, 0)):
        fill(*kept, "late.", at=DAY_S)
        now[0] = then * DAY_S
        await forgetting.look()
        assert len(kept[1].calls()) == left
        await owner._writer.look(forget)
        kept[1].forget(10 * DAY_S)
    assert hourly == [5 * DAY_S, 3 * DAY_S]
    owner.close()


def test_closing_waits_for_what_is_deleted_and_ends_the_rest(tmp_path: Path) -> None:
    calls = CallStore(tmp_path / "offramp.db")
    one = KeptCall(request_id="r", at=1.0, model="m", request=b"x" * 4000, answer=b"x")
    calls.append([one] * 3000)
    begun = calls.forget(0.5)
    with ThreadPoolExecutor(1) as threads:
        forgetting = threads.submit(calls.forget, 2.0)
        time.sleep(0.02)
        calls.close()
        with pytest.raises(LedgerError, match="closed database"):
            forgetting.result(30)
    with closing(CallStore(tmp_path / "offramp.db")) as again:
        assert begun == 0
        assert 0 < len(again.calls()) < 3000
        again.forget(2.0)
        assert again.calls() == []
