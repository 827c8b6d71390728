"""Contracts and their checked calls in the ledger's SQLite file, in tables of their own; a call with the state that it
makes. No statement reads into a state, so that its fields may change.

A call's row holds no text: label, score, and how the right answer compared. Texts stand apart, where they are to be
kept for training, each with the labels that its own was chosen from (scope.among).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from gateway.contracts.contract import Contract
from gateway.contracts.scope import Scope
from gateway.contracts.tables import Move, Statement, Tables, insert, json_of, moving
from gateway.contracts.threshold import ScoreRow

_log = logging.getLogger(__name__)
_CREATE: Final = (
    """CREATE TABLE IF NOT EXISTS contract_accounts (
        key TEXT PRIMARY KEY, rule TEXT NOT NULL, at REAL NOT NULL, spent INTEGER NOT NULL, pending INTEGER NOT NULL,
        scope TEXT NOT NULL, state TEXT NOT NULL) STRICT""",
    """CREATE TABLE IF NOT EXISTS contract_checks (
        key TEXT NOT NULL, at REAL NOT NULL, request_id TEXT NOT NULL, version TEXT NOT NULL, score REAL,
        zone TEXT NOT NULL, chance REAL NOT NULL, label TEXT NOT NULL, result TEXT NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS contract_checks_key ON contract_checks (key)",
    "CREATE INDEX IF NOT EXISTS contract_checks_at ON contract_checks (at)",
    """CREATE TABLE IF NOT EXISTS contract_repeats (
        key TEXT NOT NULL, at REAL NOT NULL, confidence REAL NOT NULL, result TEXT NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS contract_repeats_key ON contract_repeats (key)",
    """CREATE VIEW IF NOT EXISTS contract_alarms AS SELECT rule, contract_moves.at FROM contract_moves
        JOIN contract_accounts USING (key) WHERE phase = 'alarm'""",
    """CREATE TABLE IF NOT EXISTS contract_texts (
        rule TEXT NOT NULL, at REAL NOT NULL, text TEXT NOT NULL, label TEXT NOT NULL, among TEXT NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS contract_texts_at ON contract_texts (at)",
    """CREATE TABLE IF NOT EXISTS contract_trainings (
        rule TEXT NOT NULL, at REAL NOT NULL, texts INTEGER NOT NULL, among TEXT NOT NULL,
        unended INTEGER NOT NULL) STRICT""",
)
_COLUMNS: Final = {
    "contract_texts": {"weight": "REAL NOT NULL DEFAULT 1", "vector": "BLOB"},
    "contract_checks": {"bounds": "TEXT NOT NULL DEFAULT ''"},
}
"""Columns which files of before lack. bounds: as of `Contract.bounds`, once the call was counted, as JSON."""
_PUT: Final = insert("contract_accounts", "key", "rule", "at", "spent", "pending", "scope", "state", replacing=True)
_TEXT: Final = insert("contract_texts", "rule", "at", "text", "label", "among", "weight")
_REPEAT: Final = insert("contract_repeats", "key", "at", "confidence", "result")
_TRAINING: Final = insert("contract_trainings", "rule", "at", "texts", "among", "unended")
_FORGET: Final = "DELETE FROM contract_texts WHERE rowid IN (SELECT rowid FROM contract_texts WHERE at < ? LIMIT ?)"
_FORGET_CHECKS: Final = (
    "DELETE FROM contract_checks WHERE rowid IN (SELECT rowid FROM contract_checks WHERE at < ? LIMIT ?)"
)
_THIN_OUT: Final = (
    "DELETE FROM contract_checks WHERE key = ?1 AND rowid <= "
    "(SELECT rowid FROM contract_checks WHERE key = ?1 ORDER BY rowid DESC LIMIT 1 OFFSET ?2)"
)
_AT_ONCE: Final = 10_000
_RIGHT: Final = ("agrees", "safe")


class StoredContract(msgspec.Struct, frozen=True, kw_only=True):
    """A contract as it was stored. at: Unix seconds of its last change."""

    scope: Scope
    contract: Contract
    at: float


class CheckRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A call whose right answer is known, as it is stored. score, zone, chance: of its coin; label: the local one;
    result: agrees, differs or missing, of a judge safe, unsafe or missing."""

    at: float
    request_id: str
    version: str
    score: float | None
    zone: str
    chance: float
    label: str
    result: str


_CHECK: Final = insert("contract_checks", "key", *CheckRow.__struct_fields__, "bounds")


class CallText(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A text to train on. weight: one over its chance of being seen; vector: as training left it, if it has read it."""

    id: int
    text: str
    label: str
    weight: float
    vector: bytes | None


class ContractStore(Tables):
    """Opens or makes the tables; read_only: as of Tables. One thread at a time. Raises LedgerError where the file
    cannot be used."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        super().__init__(path, _CREATE, columns=_COLUMNS, read_only=read_only)
        if not read_only and self._older():
            _log.warning("%s has contracts of an older version: each begins an account in shadow", path)

    def _older(self) -> bool:
        """Whether there are contracts of a version before accounts, and none since."""
        with self._errors("read"):
            names = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            older = names & {"contracts", "safety_contracts"}
            tables = [table for table in older if self._db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()]  # noqa: S608 - constants
            return bool(tables) and not self._db.execute("SELECT 1 FROM contract_accounts LIMIT 1").fetchone()

    def contracts(self) -> Iterator[StoredContract]:
        """All contracts, the latest changed first."""
        with self._errors("read"):
            for row in self._db.execute("SELECT scope, state, at FROM contract_accounts ORDER BY at DESC"):
                yield _stored(row)

    def newest(self, most: int, reached: Callable[[Scope], bool]) -> list[StoredContract]:
        """At most so many of the contracts that are reached, the latest changed first."""
        return list(islice((one for one in self.contracts() if reached(one.scope)), most))

    def find(self, key: str) -> StoredContract | None:
        """A contract; None where there is none."""
        with self._errors("read"):
            row = self._db.execute("SELECT scope, state, at FROM contract_accounts WHERE key = ?", (key,)).fetchone()
            return None if row is None else _stored(row)

    def interrupted(self) -> list[StoredContract]:
        """Contracts that had checks under way in a gateway that never ended."""
        with self._errors("read"):
            rows = self._db.execute("SELECT scope, state, at FROM contract_accounts WHERE pending > 0").fetchall()
            return [_stored(row) for row in rows]

    def known(self, key: str, version: str, *, newest: int) -> list[ScoreRow]:
        """(score, weight, wrong or unsafe) of a version's latest calls since the contract's last alarm, the oldest
        first."""
        query = (
            "SELECT score, 1 / chance, result FROM contract_checks WHERE key = ?1 AND version = ?2 "
            "AND score IS NOT NULL AND at > (SELECT coalesce(max(at), -1) FROM contract_moves "
            "WHERE key = ?1 AND phase = 'alarm') ORDER BY rowid DESC LIMIT ?3"
        )
        with self._errors("read"):
            rows = self._db.execute(query, (key, version, newest)).fetchall()
        return [(score, weight, result not in _RIGHT) for score, weight, result in reversed(rows)]

    def counts(self, key: str) -> dict[tuple[str, str], int]:
        """Calls that are still stored, by zone and result."""
        query = "SELECT zone, result, count(*) FROM contract_checks WHERE key = ? GROUP BY zone, result"
        with self._errors("read"):
            return {(zone, result): count for zone, result, count in self._db.execute(query, (key,))}

    def days(self, key: str) -> list[tuple[int, int, int, Sequence[float | None]]]:
        """Of each UTC day, by its begin in Unix seconds: calls that are still stored, how many of them are wrong,
        unsafe or without a verdict, and the bounds after the last; the oldest first."""
        # SQLite takes `bounds` of the row with the highest number
        query = (
            "SELECT CAST(at AS INTEGER) / 86400 * 86400, count(*), sum(result NOT IN (?, ?)), bounds, max(rowid) "
            "FROM contract_checks WHERE key = ? GROUP BY 1 ORDER BY 1"
        )
        with self._errors("read"):
            rows = self._db.execute(query, (*_RIGHT, key))
            return [(day, checks, bad, msgspec.json.decode(bounds or "[]")) for day, checks, bad, bounds, _ in rows]

    def calls_a_day(self, key: str, *, now: float, lately_s: float) -> float | None:
        """Calls with a right answer, each for as many as its coin stands for; None where they were seen for less than
        a day. now: Unix seconds."""
        query = "SELECT min(at), total(1 / chance) FROM contract_checks WHERE key = ? AND at >= ?"
        with self._errors("read"):
            first, calls = self._db.execute(query, (key, now - lately_s)).fetchone()
        days = 0.0 if first is None else (now - first) / 86400
        return calls / days if days >= 1 else None

    def put(self, stored: StoredContract, check: CheckRow | None = None, *, moves: Sequence[Move] = ()) -> None:
        """A contract's state, with the call that led to it, all or nothing. moves: to be in its history."""
        scope, contract = stored.scope, stored.contract
        state = (scope.key, scope.rule, stored.at, contract.spent, any(contract.pending))
        statements: list[Statement] = [(_PUT, (*state, json_of(scope), json_of(contract)))]
        if check is not None:
            statements.append((_CHECK, (scope.key, *msgspec.structs.astuple(check), json_of(contract.bounds))))
        self._write([*statements, *moving(scope.key, moves)], lasting=bool(moves))

    def repeats(self, key: str, *, newest: int) -> list[tuple[float, bool]]:
        """(confidence, whether both answers agree) of calls that were asked again and answered, the oldest first."""
        query = (
            "SELECT confidence, result = 'agrees' FROM contract_repeats "
            "WHERE key = ? AND result != 'missing' ORDER BY rowid DESC LIMIT ?"
        )
        with self._errors("read"):
            rows = self._db.execute(query, (key, newest)).fetchall()
        return [(confidence, bool(agrees)) for confidence, agrees in reversed(rows)]

    def repeated(self, key: str, at: float, confidence: float, result: str) -> None:
        """Keeps how a second answer to the same call compared to the first."""
        self._write([(_REPEAT, (key, at, confidence, result))])

    def keep(self, rule: str, text: str, label: str, *, among: str, at: float, weight: float = 1.0) -> None:
        """A text of a rule's calls, with the label that the model gave it. at: Unix seconds."""
        self._write([(_TEXT, (rule, at, text, label, among, weight))])

    def texts(self, rule: str, among: str) -> list[CallText]:
        """A rule's kept texts, the oldest first; none from before an alarm of one of its contracts, for the model may
        answer otherwise since."""
        query = (
            "SELECT rowid, text, label, weight, vector FROM contract_texts WHERE rule = ?1 AND among = ?2 "
            "AND at > (SELECT coalesce(max(at), 0) FROM contract_alarms WHERE rule = ?1) ORDER BY at"
        )
        with self._errors("read"):
            return [msgspec.convert(row, CallText) for row in self._db.execute(query, (rule, among))]

    def put_vectors(self, vectors: Sequence[tuple[int, bytes]]) -> None:
        """Keeps what training made of texts, with them. vectors: (id, vector) each."""
        statement = "UPDATE contract_texts SET vector = ?2 WHERE rowid = ?1"
        self._write([(statement, one) for one in vectors])

    def texts_since_training(self, rule: str, among: str) -> tuple[int, int]:
        """How many texts of a rule were kept since a training on them began that has ended, and on how many that was
        which are kept still: none where one of its contracts had an alarm later, and then only texts since count."""
        query = """
            WITH changed AS (SELECT coalesce(max(at), 0) AS at FROM contract_alarms WHERE rule = ?1),
            last AS (SELECT at, texts FROM contract_trainings
                WHERE rule = ?1 AND among = ?2 AND unended = 0 ORDER BY at DESC LIMIT 1),
            kept AS (SELECT at FROM contract_texts
                WHERE rule = ?1 AND among = ?2 AND at > (SELECT at FROM changed))
            SELECT (SELECT count(*) FROM kept WHERE at > coalesce((SELECT at FROM last), 0)),
                coalesce((SELECT min(texts, (SELECT count(*) FROM kept WHERE kept.at <= last.at)) FROM last), 0)"""
        with self._errors("read"):
            since, texts = self._db.execute(query, (rule, among)).fetchone()
            return int(since), int(texts)

    def training(self, rule: str, at: float, texts: int, *, among: str) -> None:
        """Notes that a training on a rule's texts begins."""
        self._write([(_TRAINING, (rule, at, texts, among, 1))])

    def trained(self, rule: str, at: float) -> None:
        """Notes that the one which began then has ended, whatever became of its version."""
        self._write([("UPDATE contract_trainings SET unended = 0 WHERE rule = ? AND at = ?", (rule, at))])

    def forget(self, before: float) -> int:
        """Deletes the texts kept before a time, in Unix seconds, at most 10,000 at once; how many."""
        return self._write([(_FORGET, (before, _AT_ONCE))])

    def thin_out(self, before: float, *, keep: int) -> None:
        """Deletes calls from before a time, in Unix seconds, and of each contract all but the newest; then contracts
        that have not changed since and hold nothing: no evidence, and no part of alpha was spent."""
        while self._write([(_FORGET_CHECKS, (before, _AT_ONCE))]) == _AT_ONCE:
            pass
        with self._errors("read"):
            keys = [key for (key,) in self._db.execute("SELECT key FROM contract_accounts")]
        for key in keys:
            self._write([(_THIN_OUT, (key, keep))])
        orphans = "DELETE FROM contract_repeats WHERE key NOT IN (SELECT key FROM contract_accounts)"
        self._write([("DELETE FROM contract_accounts WHERE at < ? AND NOT spent", (before,)), (orphans, ())])


def _stored(row: tuple[str, str, float]) -> StoredContract:
    scope, state, at = row
    return StoredContract(
        scope=msgspec.json.decode(scope, type=Scope), contract=msgspec.json.decode(state, type=Contract), at=at
    )
