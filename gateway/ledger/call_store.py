"""What is kept of calls, in the ledger's file and only where the operator asks: whole calls, which `offramp discover`
reads; texts that rules blocked or were in doubt of, which are reviewed; and what rules read of the latest calls.

Stores are for several threads."""

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from gateway.ledger import store

_READERS_MS: Final = 1000
_AT_ONCE: Final = 200
_PAUSE_S: Final = 0.05
"""Rows deleted in one step, and the pause after it, in which others can write."""
MOST_TEXTS: Final = 100_000
"""Texts that are kept for review, and of the latest calls; the oldest beyond are deleted."""

KeptAs = Literal["blocked", "unsure"]
"""Why a text is kept."""


class KeptCall(msgspec.Struct, kw_only=True):
    """A forwarded call. at: Unix seconds; model: as the client asked; request: its JSON; answer: the model's body, of a
    stream all events; tokens and dollars: None where unknown."""

    request_id: str
    at: float
    model: str
    request: bytes
    answer: bytes
    input_tokens: int | None = None
    output_tokens: int | None = None
    spent_usd: float | None = None


class KeptText(msgspec.Struct, kw_only=True):
    """A text that a rule blocked or was in doubt of. at, latest: Unix seconds, of the first request that brought it and
    of the latest, whose are request_id, label, confidence (0..1) and version; times: how many did. harmful: as it was
    reviewed, None until then. judged: the labels that a judge found, parted by `|` as in rows, or `none`; None where it
    gave no verdict on this text.
    """

    request_id: str
    at: float
    latest: float
    kept_as: KeptAs
    rule: str
    label: str
    confidence: float
    classifier: str
    version: str
    text: str
    id: str = ""
    times: int = 1
    harmful: bool | None = None
    judged: str | None = None


class Review(msgspec.Struct, kw_only=True):
    """What a reviewer decided, without the text, so that it can stay. at, reviewed_at: Unix seconds, of the first
    request with the text and of the review."""

    at: float
    reviewed_at: float
    kept_as: KeptAs
    rule: str
    harmful: bool


class RecentText(msgspec.Struct, kw_only=True):
    """What rules read of one of the latest calls. at: Unix seconds; rules: their names, parted by commas."""

    request_id: str
    at: float
    rules: str
    text: str


class DifferingCall(msgspec.Struct, frozen=True, kw_only=True):
    """A kept call whose answer differs from the local one under its rule's contract. label, score: the local one's."""

    at: float
    request_id: str
    rule: str
    label: str
    score: float | None
    request: bytes
    answer: bytes


S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T", bound=msgspec.Struct)
_CREATE_CALLS, _INSERT_CALL = store.table("calls", KeptCall)
_CREATE_TEXTS, _INSERT_TEXT = store.table("kept_texts", KeptText)
_CREATE_REVIEWS, _INSERT_REVIEW = store.table("reviews", Review)
_CREATE_RECENT, _INSERT_RECENT = store.table("recent_texts", RecentText)
_FORGET_CALLS: Final = "DELETE FROM calls WHERE rowid IN (SELECT rowid FROM calls WHERE at < ? LIMIT ?)"
_FORGET_TEXTS: Final = """DELETE FROM kept_texts WHERE rowid IN
    (SELECT rowid FROM kept_texts WHERE kept_as = ? AND at < ? LIMIT ?)"""
_FORGET_OLDEST: Final = """DELETE FROM kept_texts WHERE rowid IN (SELECT rowid FROM kept_texts ORDER BY at
    LIMIT min(?2, max(0, (SELECT count(*) FROM kept_texts) - ?1)))"""
_FORGET_RECENT: Final = """DELETE FROM recent_texts WHERE rowid IN (SELECT rowid FROM recent_texts
    WHERE at < ?1 OR rowid <= (SELECT max(rowid) FROM recent_texts) - ?2 LIMIT ?3)"""
_OF_THE_LATEST: Final = ("latest", "request_id", "label", "confidence", "version")
_AGAIN: Final = " ON CONFLICT (id) DO UPDATE SET times = times + 1, " + ", ".join(
    (*(f"{name} = excluded.{name}" for name in _OF_THE_LATEST), "judged = coalesce(excluded.judged, judged)")
)
_WAITING: Final = """SELECT * FROM kept_texts WHERE latest >=
    (SELECT min(latest) FROM (SELECT latest FROM kept_texts WHERE harmful IS NULL ORDER BY latest DESC LIMIT ?))
    ORDER BY latest, rowid"""
_OPEN_AGAIN: Final = "DELETE FROM reviews WHERE reviewed_at = ? AND kept_as = ? AND rule = ? AND at = ?"
_DIFFERING: Final = """SELECT checks.at, checks.request_id, accounts.rule, checks.label, checks.score, request, answer
    FROM contract_checks AS checks JOIN contract_accounts AS accounts USING (key)
    JOIN calls ON calls.request_id = checks.request_id
    WHERE checks.result = 'differs' ORDER BY checks.at DESC LIMIT ?"""
_COUNTS: Final = """
SELECT kept_as, rule, sum(kept) AS kept, sum(harmful) AS harmful, sum(harmless) AS harmless FROM (
    SELECT at, kept_as, rule, 1 AS kept, 0 AS harmful, 0 AS harmless FROM kept_texts
    UNION ALL SELECT at, kept_as, rule, 0, harmful, NOT harmful FROM reviews
) WHERE at >= ? AND at < ? GROUP BY kept_as, rule ORDER BY kept_as, rule
"""


class KeptRows(Generic[T]):
    """Tables of the ledger's file whose rows are deleted after a time. Opens the file, or makes it. create: the
    statements that make tables; indexes: on them. insert: of a row. read_only: the file is not changed. Raises
    LedgerError where it cannot be used."""

    def __init__(
        self, path: Path, create: Sequence[str], indexes: Sequence[str], insert: str, *, read_only: bool
    ) -> None:
        self._path = path
        self._insert = insert
        self._lock = threading.Lock()
        with self._using("used"):
            self._db = store.opened_to_read(path) if read_only else store.opened_to_write(path)
            with store.closed_on_failure(self._db):
                store.check_version(self._db, path)
                if read_only:
                    store.stand_in(self._db, create)
                    return
                store.write_ahead(self._db)
                self._db.execute("PRAGMA synchronous = NORMAL")
                for statement in (*create, *indexes):
                    self._db.execute(statement)

    def append(self, records: Sequence[T]) -> None:
        """Writes rows, all or none. Raises LedgerError."""
        rows = [msgspec.structs.astuple(record) for record in records]
        with self._using("written"), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(self._insert, rows)

    def empty_log(self) -> bool:
        """Empties the write-ahead log, which still holds deleted content. False while another program reads it. Raises
        LedgerError."""
        with self._using("written"):
            # nobody can write while this waits for readers
            self._db.execute(f"PRAGMA busy_timeout = {_READERS_MS}")
            try:
                busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._db.execute(f"PRAGMA busy_timeout = {store.BUSY_S * 1000}")
            return not busy

    def close(self) -> None:
        """Closes the file, once nobody uses it; later uses raise LedgerError."""
        with self._lock:
            self._db.close()

    def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        with self._using("read"):
            return store.rows_of(self._db, query, values)

    def _read(self, row: type[S], query: str, *values: Any) -> list[S]:
        try:
            return [msgspec.convert(each, row, strict=False) for each in self._rows(query, *values)]
        except msgspec.ValidationError as error:
            raise store.LedgerError(f"what is kept of calls in {self._path} cannot be read: {error}") from error

    def _delete(self, statement: str, *values: Any) -> int:
        """In steps, whose size is the statement's last parameter; how many."""
        forgotten = 0
        while True:
            with self._using("written"):
                deleted = self._db.execute(statement, (*values, _AT_ONCE)).rowcount
            forgotten += deleted
            if deleted < _AT_ONCE:
                return forgotten
            time.sleep(_PAUSE_S)

    @contextmanager
    def _using(self, what: str) -> Iterator[None]:
        with store.ledger_errors(f"what is kept of calls in {self._path} cannot be {what}"), self._lock:
            yield


class CallStore(KeptRows[KeptCall]):
    """Whole calls. read_only: for `calls` alone."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        indexes = [
            "CREATE INDEX IF NOT EXISTS calls_at ON calls (at)",
            "CREATE INDEX IF NOT EXISTS calls_request_id ON calls (request_id)",
        ]
        super().__init__(path, [_CREATE_CALLS], indexes, _INSERT_CALL, read_only=read_only)

    def calls(self, since: float = 0.0, *, most: int | None = None) -> list[KeptCall]:
        """Those that are kept since a time, in Unix seconds, or the latest of them, the oldest first. Raises
        LedgerError."""
        query = "SELECT * FROM calls WHERE at >= ? ORDER BY at DESC, rowid DESC LIMIT ?"
        return self._read(KeptCall, query, since, -1 if most is None else most)[::-1]

    def differing(self, most: int) -> list[DifferingCall]:
        """The latest of those whose check found that the answers differ, the latest first. Raises LedgerError."""
        tables = "SELECT name FROM sqlite_master WHERE name IN ('contract_checks', 'contract_accounts')"
        return self._read(DifferingCall, _DIFFERING, most) if len(self._rows(tables)) == 2 else []

    def forget(self, before: float) -> int:
        """Deletes the calls before a time, in Unix seconds; how many. Raises LedgerError, some may be deleted then."""
        return self._delete(_FORGET_CALLS, before)


class RecentStore(KeptRows[RecentText]):
    """What rules read of the latest calls. read_only: for `of_call` alone."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        indexes = [
            f"CREATE INDEX IF NOT EXISTS recent_texts_{column} ON recent_texts ({column})"
            for column in ("at", "request_id")
        ]
        super().__init__(path, [_CREATE_RECENT], indexes, _INSERT_RECENT, read_only=read_only)

    def of_call(self, request_id: str) -> list[RecentText]:
        """The texts of a request, in the order of its rules. Raises LedgerError."""
        return self._read(RecentText, "SELECT * FROM recent_texts WHERE request_id = ? ORDER BY rowid", request_id)

    def forget(self, before: float) -> int:
        """Deletes the texts before a time, in Unix seconds, and the oldest of too many; how many. Raises LedgerError,
        some may be deleted then."""
        return self._delete(_FORGET_RECENT, before, MOST_TEXTS)


class TextStore(KeptRows[KeptText]):
    """Texts for review, once for a rule and a reason, with decisions. read_only: to read alone."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        indexes = [
            "CREATE UNIQUE INDEX IF NOT EXISTS kept_texts_id ON kept_texts (id)",
            "CREATE INDEX IF NOT EXISTS kept_texts_at ON kept_texts (at)",
            "CREATE INDEX IF NOT EXISTS kept_texts_latest ON kept_texts (latest)",
        ]
        create = [_CREATE_TEXTS, _CREATE_REVIEWS]
        super().__init__(path, create, indexes, _INSERT_TEXT + _AGAIN, read_only=read_only)

    def append(self, records: Sequence[KeptText]) -> None:
        """Writes texts; of one that is kept already, that it came again. Raises LedgerError."""
        super().append([msgspec.structs.replace(record, id=_id(record)) for record in records])

    def texts(self, since: float = 0.0) -> list[KeptText]:
        """Those that came since a time, in Unix seconds, the latest last. Raises LedgerError."""
        return self._read(KeptText, "SELECT * FROM kept_texts WHERE latest >= ? ORDER BY latest, rowid", since)

    def waiting(self, most: int) -> list[KeptText]:
        """So many of the latest that nobody has reviewed, among those that were meanwhile, the latest last. Raises
        LedgerError."""
        return self._read(KeptText, _WAITING, most)

    def reviewed(self, rule: str) -> dict[str, str]:
        """Texts of a rule that were decided on, by the latest request that brought each. Raises LedgerError."""
        query = "SELECT request_id, text FROM kept_texts WHERE rule = ? AND harmful IS NOT NULL"
        return {row["request_id"]: row["text"] for row in self._rows(query, rule)}

    def review(self, texts: Sequence[KeptText], *, harmful: bool, at: float) -> None:
        """Notes the decision on texts that are equal but for the rule or the reason. Raises LedgerError."""
        with self._using("written"), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for text in texts:
                changed = self._db.execute(
                    "UPDATE kept_texts SET harmful = ? WHERE id = ? AND harmful IS NULL", (harmful, text.id)
                )
                # another reviewer may have been first
                if changed.rowcount:
                    review = Review(at=text.at, reviewed_at=at, kept_as=text.kept_as, rule=text.rule, harmful=harmful)
                    self._db.execute(_INSERT_REVIEW, msgspec.structs.astuple(review))

    def open_again(self, texts: Sequence[KeptText], *, at: float) -> None:
        """Takes back the decision of that time on texts. Raises LedgerError."""
        with self._using("written"), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for text in texts:
                if self._db.execute(_OPEN_AGAIN, (at, text.kept_as, text.rule, text.at)).rowcount:
                    self._db.execute("UPDATE kept_texts SET harmful = NULL WHERE id = ?", (text.id,))

    def counts(self, since: float, until: float) -> list[dict[str, Any]]:
        """Of the texts that first came in Unix seconds [since, until), by reason and rule, how many are kept, and how
        many were reviewed as harmful and harmless, whether or not they are still kept. Raises LedgerError."""
        return self._rows(_COUNTS, since, until)

    def forget(self, before: Mapping[KeptAs, float]) -> int:
        """Deletes texts before a time of each reason, in Unix seconds, and the oldest of too many; how many. What
        reviewers decided stays. Raises LedgerError, some may be deleted then."""
        due = sum(self._delete(_FORGET_TEXTS, kept_as, time_) for kept_as, time_ in before.items())
        return due + self._delete(_FORGET_OLDEST, MOST_TEXTS)


def _id(text: KeptText) -> str:
    return hashlib.sha256("\0".join((text.kept_as, text.rule, text.classifier, text.text)).encode()).hexdigest()[:12]
