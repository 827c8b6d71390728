"""Safety contracts and their judged calls in the ledger's SQLite file; a call with the state that it makes. No text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.contracts.safety_contract import SafetyCall, SafetyContract, Zone
from gateway.contracts.safety_forecast import Elsewhere
from gateway.contracts.scope import Scope
from gateway.contracts.tables import Move, Tables, insert, json_of, moving

_DAY_S: Final = 86400.0
_CREATE: Final = (
    """CREATE TABLE IF NOT EXISTS safety_contracts (
        key TEXT PRIMARY KEY, rule TEXT NOT NULL, at REAL NOT NULL, scope TEXT NOT NULL, state TEXT NOT NULL) STRICT""",
    """CREATE TABLE IF NOT EXISTS safety_pairs (
        key TEXT NOT NULL, at REAL NOT NULL, request_id TEXT NOT NULL, score REAL, zone TEXT NOT NULL,
        rate REAL NOT NULL, passes REAL, flags REAL, result TEXT NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS safety_pairs_key ON safety_pairs (key)",
    "CREATE INDEX IF NOT EXISTS safety_pairs_at ON safety_pairs (at)",
)
_PUT: Final = insert("safety_contracts", "key", "rule", "at", "scope", "state", replacing=True)
_CALL: Final = insert("safety_pairs", "key", "at", "request_id", "score", "zone", "rate", "passes", "flags", "result")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSafety:
    """A contract as it was stored. at: Unix seconds of its last change."""

    scope: Scope
    contract: SafetyContract
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyTraffic:
    """Judged calls since a time, in Unix seconds, by what the judge said. calls: how many they stand for; standing: the
    same of those under the thresholds that stand, by zone as well, and how many of those were judged."""

    since: float
    calls: Mapping[str, float]
    standing: Mapping[tuple[str, str], tuple[float, int]]

    def a_day(self, kind: str, *, now: float) -> float | None:
        """Calls of a kind; None where calls were seen for less than a day."""
        days = (now - self.since) / _DAY_S
        return self.calls.get(kind, 0.0) / days if days >= 1 else None

    def elsewhere(self, kind: str, zone: Zone) -> Elsewhere:
        """Of the calls of a kind that are put to the judge or lie in the zone, those in the zone."""
        there, judged = self.standing.get((zone.value, kind), (0.0, 0))
        asked, _ = self.standing.get((Zone.ASK.value, kind), (0.0, 0))
        return Elsewhere(share=there / (there + asked), weight=there / judged) if judged else Elsewhere()


class SafetyStore(Tables):
    """read_only: as of Tables. One thread at a time. Raises LedgerError where the file cannot be used."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        super().__init__(path, _CREATE, read_only=read_only)

    def contracts(self) -> list[StoredSafety]:
        """All contracts, the latest changed first."""
        with self._errors("read"):
            rows = self._db.execute("SELECT scope, state, at FROM safety_contracts ORDER BY at DESC").fetchall()
            return [
                StoredSafety(
                    scope=msgspec.json.decode(scope, type=Scope),
                    contract=msgspec.json.decode(state, type=SafetyContract),
                    at=at,
                )
                for scope, state, at in rows
            ]

    def counts(self, key: str) -> dict[tuple[str, str], int]:
        """Judged calls by zone and by what the judge said."""
        query = "SELECT zone, result, count(*) FROM safety_pairs WHERE key = ? GROUP BY zone, result"
        with self._errors("read"):
            return {(zone, result): count for zone, result, count in self._db.execute(query, (key,))}

    def traffic(self, key: str, contract: SafetyContract, *, since: float) -> SafetyTraffic | None:
        """Judged calls from a time on, in Unix seconds; None where there are none."""
        query = (
            "SELECT min(at), zone, result, total(1 / rate), total(CASE WHEN stands THEN 1 / rate END), total(stands) "
            "FROM (SELECT *, passes IS ? AND flags IS ? AS stands FROM safety_pairs WHERE key = ? AND at >= ?) "
            "GROUP BY zone, result"
        )
        thresholds = contract.missing.threshold, contract.flagging.threshold
        with self._errors("read"):
            rows = self._db.execute(query, (*thresholds, key, since)).fetchall()
        if not rows:
            return None
        calls: dict[str, float] = {}
        for _, _, result, count, _, _ in rows:
            calls[result] = calls.get(result, 0.0) + count
        standing = {(zone, result): (count, int(judged)) for _, zone, result, _, count, judged in rows}
        return SafetyTraffic(since=min(row[0] for row in rows), calls=calls, standing=standing)

    def forget(self, before: float) -> None:
        """Deletes judged calls from before a time, in Unix seconds; nothing is built on them any more."""
        self._write([("DELETE FROM safety_pairs WHERE at < ?", (before,))])

    def put(
        self, stored: StoredSafety, chosen: SafetyCall, *, request_id: str, result: str, moves: Sequence[Move] = ()
    ) -> None:
        """A contract's state, with the call that led to it, all or nothing. moves: of its sides, to be in its
        history."""
        scope, contract = stored.scope, stored.contract
        key = scope.key
        call = (key, stored.at, request_id, chosen.score, chosen.zone.value, chosen.rate, chosen.passes, chosen.flags)
        state = (key, scope.rule, stored.at, json_of(scope), json_of(contract))
        self._write([(_PUT, state), (_CALL, (*call, result)), *moving(key, moves)], lasting=bool(moves))
