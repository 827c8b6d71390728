"""What is forgotten is gone, from the file and from its log."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.config.settings import Content
from gateway.contracts.owner import Owner
from gateway.contracts.store import ContractStore
from gateway.ledger.call_store import CallStore, KeptAs, KeptCall, KeptText, RecentStore, RecentText, TextStore
from gateway.ledger.store import LedgerError
from gateway.serving.retention import Retention

DAY_S = 86400.0


def fill(contracts: ContractStore, calls: CallStore, *names: str, at: float) -> None:
    """Texts and calls that hold their names."""
    for name in names:
        contracts.keep("r", f"text of {name}", "a", among="labels", at=at)
        request = f"call of {name}".encode()
        calls.append([KeptCall(request_id=name, at=at, model="m", request=request, answer=request * 500)])


def left_of(file: Path, name: str) -> set[str]:
    """Which texts of a name are in the bytes of the ledger's file or its log, whether or not a query finds them."""
    content = b"".join(each.read_bytes() for each in (file, Path(f"{file}-wal")))
    return {kind for kind in ("text", "call") if f"{kind} of {name}".encode() in content}


@contextmanager
def retaining(
    kept: tuple[ContractStore, CallStore], keep_s: float | None, clock: Callable[[], float] = lambda: 10 * DAY_S
) -> Iterator[Retention]:
    file, content = kept[0].path, Content(keep=None if keep_s is None else f"{keep_s:.0f}s")
    stores = TextStore(file), RecentStore(file)
    with closing(Owner(kept[0], clock=clock)) as owner, closing(stores[0]), closing(stores[1]):
        yield Retention(owner, kept[1], *stores, content, clock=clock)


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
    kept: tuple[ContractStore, CallStore],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    keep_s: float | None,
    left: set[str],
) -> None:
    """A gateway that keeps nothing says what it deleted, once."""
    file, now = tmp_path / "offramp.db", [10 * DAY_S]
    assert left_of(file, "old007.") == left_of(file, "old999.") == {"text", "call"}
    with retaining(kept, keep_s, lambda: now[0]) as retention:
        for _ in range(2):
            await retention.tick()
            now[0] += 61
        assert left_of(file, "old") == set()
        assert left_of(file, "new.") == left
    assert caplog.text.count("content.keep is none: 42 texts and 42 calls") == (keep_s is None)


async def test_while_another_program_reads_the_log_it_is_tried_again(
    kept: tuple[ContractStore, CallStore],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.ledger.call_store._READERS_MS", 50)
    file, now = tmp_path / "offramp.db", [10 * DAY_S]
    with retaining(kept, None, lambda: now[0]) as retention:
        with closing(sqlite3.connect(file, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM calls").fetchall()
            for _ in range(2):
                await retention.tick()
                now[0] += 61
            assert left_of(file, "old999.") == {"text", "call"}
            assert caplog.text.count("it is tried again each") == 1
            # what comes in meanwhile is written
            fill(*kept, "late.", at=now[0])
        await retention.tick()
        assert left_of(file, "old") == left_of(file, "late.") == set()


async def test_what_a_killed_gateway_had_deleted_leaves_the_log(
    kept: tuple[ContractStore, CallStore], tmp_path: Path
) -> None:
    kept[0].forget(10 * DAY_S)
    kept[1].forget(10 * DAY_S)
    assert left_of(tmp_path / "offramp.db", "old999.") == {"text", "call"}
    with retaining(kept, None) as retention:
        await retention.tick()
        assert left_of(tmp_path / "offramp.db", "old") == set()


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


def blocked(text: str, *, at: float, kept_as: KeptAs = "blocked") -> KeptText:
    names = {"request_id": f"req_{at}", "rule": "safety", "label": "violence", "classifier": "safe", "version": "v1"}
    return KeptText(**names, at=at, latest=at, kept_as=kept_as, confidence=0.9, text=text)


async def test_texts_for_review_are_kept_for_their_own_time_and_what_was_decided_stays(tmp_path: Path) -> None:
    """Of a text that comes again, the time counts from the first request on."""
    file, now = tmp_path / "offramp.db", 10 * DAY_S
    with closing(TextStore(file)) as texts, closing(CallStore(file)) as calls:
        texts.append([blocked("old text", at=now - 3 * DAY_S), blocked("new text", at=now - DAY_S)])
        texts.append([blocked("doubtful text", at=now - DAY_S, kept_as="unsure"), blocked("old text", at=now)])
        again = texts.texts(since=now - 1)
        assert [(text.text, text.times, text.request_id) for text in again] == [("old text", 2, f"req_{now}")]
        texts.review(again, harmful=False, at=now)
        texts.review(again, harmful=True, at=now)
        with closing(Owner(ContractStore(file))) as owner, closing(RecentStore(file)) as recent:
            content = Content(blocked="2d", unsure="12h")
            await Retention(owner, calls, texts, recent, content, clock=lambda: now).tick()
        assert [text.text for text in texts.texts()] == ["new text"]
        counts = {"kept_as": "blocked", "rule": "safety", "kept": 1, "harmful": 0, "harmless": 1}
        assert texts.counts(0, now + 1) == [counts]
        left = b"".join(each.read_bytes() for each in (file, Path(f"{file}-wal")))
        assert (b"new text" in left, b"old text" in left, b"doubtful text" in left) == (True, False, False)


def test_of_too_many_texts_for_review_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.ledger.call_store.MOST_TEXTS", 300)
    with closing(TextStore(tmp_path / "offramp.db")) as texts:
        texts.append([blocked(f"text {number}", at=float(number)) for number in range(750)])
        assert texts.forget({"blocked": 0.0}) == 450
        assert [text.text for text in texts.texts()] == [f"text {number}" for number in range(450, 750)]


@pytest.mark.parametrize(("recent", "left"), [("1h", ["new text", "newer text"]), (None, [])])
async def test_texts_of_the_latest_calls_are_deleted_after_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recent: str | None, left: list[str]
) -> None:
    file, now = tmp_path / "offramp.db", 10 * DAY_S
    stores = CallStore(file), TextStore(file), RecentStore(file)
    ages_s = {"old text": 3601, "new text": 3599, "newer text": 1}
    stores[2].append(
        [RecentText(request_id="r", at=now - age_s, rules="a", text=text) for text, age_s in ages_s.items()]
    )
    with (
        closing(Owner(ContractStore(file))) as owner,
        closing(stores[0]),
        closing(stores[1]),
        closing(stores[2]) as last,
    ):
        retention = Retention(owner, *stores, Content(recent=recent), clock=lambda: now)
        await retention.tick()
        assert [kept.text for kept in last.of_call("r")] == left
        assert b"old text" not in b"".join(each.read_bytes() for each in (file, Path(f"{file}-wal")))
        monkeypatch.setattr("gateway.ledger.call_store.MOST_TEXTS", 1)
        last.forget(0.0)
        assert [kept.text for kept in last.of_call("r")] == left[-1:]
