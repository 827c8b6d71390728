"""Contracts and their pairs in the ledger's SQLite file, in tables of their own; a pair with the state it makes.

A pair holds no text: labels, confidence, and how the reference's answer compared. Texts stand apart, where they are to
be kept for training, each with the labels that its own was chosen from (scope.among).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from gateway.contracts.contract import Contract
from gateway.contracts.scope import Scope
from gateway.contracts.tables import CREATE, Move, Statement, Tables, insert, json_of, moving

_PUT: Final = insert("contracts", "key", "rule", "model", "at", "scope", "state", replacing=True)
_SPENT: Final = (
    insert("contract_attempts", "rule", "model", "attempts")
    + " ON CONFLICT DO UPDATE SET attempts = max(attempts, excluded.attempts)"
)
_REPEAT: Final = insert("contract_repeats", "key", "at", "confidence", "result")
_TEXT: Final = insert("contract_texts", "rule", "at", "text", "label", "among")
_TRAINING: Final = insert("contract_trainings", "rule", "at", "texts", "among", "unended")
_SERVING: Final = insert("contract_serving", "since", "key")
_FORGET: Final = "DELETE FROM contract_texts WHERE rowid IN (SELECT rowid FROM contract_texts WHERE at < ? LIMIT ?)"
_AT_ONCE: Final = 10_000
_SERVED: Final = "DELETE FROM contract_serving WHERE key = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredContract:
    """A contract as it was stored. at: Unix seconds of its last change."""

    scope: Scope
    contract: Contract
    at: float


class PairRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A pair as it is stored. number: from 0; label: the local one; result: agrees, differs or missing; novelty: of the
    text, 0..1; unlabelled: calls without a label, of a trial, that the coin chose since the pair that it chose
    before."""

    number: int
    at: float
    request_id: str
    chosen: bool
    rate: float
    attempt: int
    threshold: float | None
    confidence: float
    label: str
    result: str
    novelty: float | None = None
    unlabelled: int | None = None


_PAIR: Final = PairRow.__struct_fields__
_PUT_PAIR: Final = insert("contract_pairs", "key", *_PAIR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """A contract's calls in a period, estimated from those that the coin chose: each stands for 1 / rate of them.
    since: Unix seconds of the first; surer: those at or above a confidence."""

    since: float
    calls: float
    surer: float


class ContractStore(Tables):
    """Opens or makes the tables; read_only: as of Tables. One thread at a time. Raises LedgerError where the file
    cannot be used."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        super().__init__(path, CREATE, read_only=read_only)

    def contracts(self) -> list[StoredContract]:
        """All contracts, the latest changed first."""
        with self._errors("read"):
            rows = self._db.execute("SELECT scope, state, at FROM contracts ORDER BY at DESC").fetchall()
            return [_stored(row) for row in rows]

    def newest(self, most: int, reached: Callable[[Scope], bool]) -> list[StoredContract]:
        """At most so many of the contracts that are reached: the live ones first, which change only with their audits,
        then the latest changed."""
        query = "SELECT scope, state, at FROM contracts ORDER BY json_extract(state, '$.phase') = 'live' DESC, at DESC"
        with self._errors("read"):
            every = ((msgspec.json.decode(row[0], type=Scope), row) for row in self._db.execute(query))
            return [_stored(row) for _, row in islice((one for one in every if reached(one[0])), most)]

    def attempts(self) -> dict[tuple[str, str], int]:
        """The number of the latest attempt of each rule for each model, where there was one."""
        query = "SELECT rule, model, attempts FROM contract_attempts"
        with self._errors("read"):
            return {(rule, model): attempts for rule, model, attempts in self._db.execute(query)}

    def pairs(self, key: str, *, since: int = 0, newest: int | None = None) -> list[PairRow]:
        """A contract's pairs from number `since` on, the oldest first, at most the newest so many."""
        names = ", ".join(_PAIR)
        query = f"SELECT {names} FROM contract_pairs WHERE key = ? AND number >= ? ORDER BY number DESC LIMIT ?"  # noqa: S608 - columns are constants
        with self._errors("read"):
            rows = self._db.execute(query, (key, since, -1 if newest is None else newest)).fetchall()
        return [msgspec.convert(row, PairRow, strict=False) for row in reversed(rows)]

    def counts(self, key: str) -> dict[tuple[bool, str], int]:
        """Pairs by whether the coin chose them and by result, those that are forgotten among them."""
        query = (
            "SELECT chosen, result, sum(pairs) FROM ("
            "SELECT chosen, result, count(*) AS pairs FROM contract_pairs WHERE key = ?1 GROUP BY chosen, result "
            "UNION ALL SELECT chosen, result, pairs FROM contract_forgotten WHERE key = ?1) GROUP BY chosen, result"
        )
        with self._errors("read"):
            return {(bool(chosen), result): count for chosen, result, count in self._db.execute(query, (key,))}

    def traffic(self, key: str, *, since: float, confidence: float | None) -> Traffic | None:
        """Calls from a time on, in Unix seconds; None where there are none. confidence: that `surer` is of, if any."""
        query = (
            "SELECT min(at), total(1 / rate), total(CASE WHEN confidence >= ? THEN 1 / rate END) "
            "FROM contract_pairs WHERE key = ? AND chosen AND at >= ?"
        )
        with self._errors("read"):
            first, calls, surer = self._db.execute(query, (confidence, key, since)).fetchone()
        return None if first is None else Traffic(since=first, calls=calls, surer=surer)

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

    def put(
        self,
        stored: StoredContract,
        pair: PairRow | None = None,
        *,
        moves: Sequence[Move] = (),
        interrupted: bool = False,
    ) -> None:
        """A contract's state, with the pair that led to it, all or nothing. moves: to be in its history; interrupted:
        what a gateway that never ended left of it is counted."""
        scope, contract = stored.scope, stored.contract
        key = scope.key
        state = (key, scope.rule, scope.model, stored.at, json_of(scope), json_of(contract))
        statements: list[Statement] = [(_PUT, state), *moving(key, moves)]
        if contract.attempts:
            statements.append((_SPENT, (scope.rule, scope.model, contract.attempts)))
        if pair is not None:
            statements.append((_PUT_PAIR, (key, *msgspec.structs.astuple(pair))))
        if interrupted:
            statements.append((_SERVED, (key,)))
        self._write(statements, lasting=bool(moves))

    def keep(self, rule: str, text: str, label: str, *, among: str, at: float) -> None:
        """A text of a rule's calls, with the label that the reference gave it. at: Unix seconds."""
        self._write([(_TEXT, (rule, at, text, label, among))])

    def texts(self, rule: str, among: str) -> list[tuple[str, str]]:
        """(text, label) of a rule's kept texts, the oldest first; none from before one of its contracts was withdrawn,
        for the model may answer otherwise since."""
        query = (
            "SELECT text, label FROM contract_texts WHERE rule = ?1 AND among = ?2 "
            "AND at > (SELECT coalesce(max(at), 0) FROM contract_withdrawals WHERE rule = ?1) ORDER BY at"
        )
        with self._errors("read"):
            return list(self._db.execute(query, (rule, among)))

    def texts_since_training(self, rule: str, among: str) -> tuple[int, int]:
        """How many texts of a rule were kept since a training on them began that has ended, and on how many that was
        which are kept still: none where one of its contracts was withdrawn later, and then only texts since count."""
        query = """
            WITH changed AS (SELECT coalesce(max(at), 0) AS at FROM contract_withdrawals WHERE rule = ?1),
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

    def serving(self) -> list[StoredContract]:
        """Contracts to whose running attempts calls came in a gateway that has not ended."""
        query = "SELECT scope, state, at FROM contracts WHERE key IN (SELECT key FROM contract_serving)"
        with self._errors("read"):
            return [_stored(row) for row in self._db.execute(query).fetchall()]

    def serve(self, key: str, at: float) -> None:
        """Notes that the first of them came to a contract, in Unix seconds."""
        self._write([(_SERVING, (at, key))], lasting=True)

    def ended(self, keys: Iterable[str]) -> None:
        """Notes that the gateway ended, and left nothing of these contracts under way."""
        self._write([(_SERVED, (key,)) for key in keys])

    def forget(self, before: float) -> int:
        """Deletes the texts kept before a time, in Unix seconds, at most 10,000 at once; how many."""
        return self._write([(_FORGET, (before, _AT_ONCE))])

    def forget_idle(self, before: float) -> None:
        """Deletes contracts that have not changed since a time, in Unix seconds, have no pairs any more and never began
        an attempt: nothing was certified, and nothing spent."""
        idle = (
            "SELECT key FROM contracts WHERE at < ? AND json_extract(state, '$.attempts') = 0 "
            "AND json_extract(state, '$.threshold') IS NULL AND key NOT IN (SELECT key FROM contract_moves) "
            "AND NOT EXISTS (SELECT 1 FROM contract_pairs WHERE contract_pairs.key = contracts.key)"
        )
        tables = "contract_forgotten", "contract_repeats", "contracts"
        self._write([(f"DELETE FROM {table} WHERE key IN ({idle})", (before,)) for table in tables])  # noqa: S608 - constants

    def forgettable(self, *, before: float, keep: int) -> list[tuple[str, int]]:
        """(key, how many of its newest pairs stay) of contracts that have more than `keep`, and of those that have not
        changed since `before`, in Unix seconds: of these none stays."""
        query = (
            "SELECT key, CASE WHEN at < ?1 THEN 0 ELSE ?2 END FROM contracts WHERE "
            "(at < ?1 OR json_extract(state, '$.pairs') > ?2) "
            "AND EXISTS (SELECT 1 FROM contract_pairs WHERE contract_pairs.key = contracts.key)"
        )
        with self._errors("read"):
            return list(self._db.execute(query, (before, keep)))

    def forget_pairs(self, key: str, *, keep: int, but: tuple[float, float] | None = None) -> None:
        """Deletes all pairs of a contract but its newest, and those after but[0] and until but[1], in Unix seconds. How
        many had which result stays counted."""
        since, until = but or (0.0, 0.0)
        doomed = "FROM contract_pairs WHERE key = ?1 AND rowid <= ?2 AND NOT (at > ?3 AND at <= ?4)"
        count = (
            f"INSERT INTO contract_forgotten (key, chosen, result, pairs) "
            f"SELECT key, chosen, result, count(*) {doomed} GROUP BY chosen, result "
            "ON CONFLICT DO UPDATE SET pairs = pairs + excluded.pairs"
        )
        with self._errors("read"):
            last = "SELECT rowid FROM contract_pairs WHERE key = ? ORDER BY rowid DESC LIMIT 1 OFFSET ?"
            row = self._db.execute(last, (key, keep)).fetchone()
        if row is not None:
            values = (key, row[0], since, until)
            self._write([(count, values), (f"DELETE {doomed}", values)])


def _stored(row: tuple[str, str, float]) -> StoredContract:
    scope, state, at = row
    return StoredContract(
        scope=msgspec.json.decode(scope, type=Scope), contract=msgspec.json.decode(state, type=Contract), at=at
    )
