"""The one owner of all safety contracts: knows where each stands, chooses which calls are judged, and stores each of
them before it counts."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from gateway.contracts.bound import Side
from gateway.contracts.contract import Phase
from gateway.contracts.safety_contract import SafetyCall, SafetyContract, Zone
from gateway.contracts.safety_store import SafetyStore, StoredSafety
from gateway.contracts.scope import Scope
from gateway.contracts.writer import SingleWriter
from gateway.ledger.store import closed_on_failure
from gateway.rules.terms import SafetyTerms

_log = logging.getLogger(__name__)
_SIDES: Final = ("missing", "flagging")
_DAY_S: Final = 86400.0
_KEPT_S: Final = 90 * _DAY_S
"""For so long judged calls stay stored: to be looked at, for the contract's state has what it needs of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandPlacement:
    """A call under a contract. judged: whether it is put to the judge."""

    scope: Scope
    chosen: SafetyCall
    judged: bool


class SafetyOwner:
    """Owns all safety contracts of a store. on_move: called with each side that changes its phase. on_failure: called
    for writes that fail; the contract then decides nothing until one succeeds. first: as of `Owner`. Raises LedgerError
    where the store cannot be read, and closes it."""

    def __init__(
        self,
        store: SafetyStore,
        *,
        on_move: Callable[[Scope, Side], None] | None = None,
        on_failure: Callable[[], None] | None = None,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
        first: Callable[[str], str] | None = None,
    ) -> None:
        self._store = store
        self._on_move = on_move
        self._draw = draw
        self._clock = clock
        with closed_on_failure(store):
            stored = store.contracts()
            self._writer = SingleWriter(store, "safety-contracts", on_failure=on_failure, clock=clock)
        self._attempts: dict[tuple[str, str, str], int] = {}
        for one in stored:
            self._count_attempts(one.scope, one.contract)
        reached = [one for one in stored if first is None or one.scope.reached(first)]
        self._kept = {one.scope.key: (one.scope, one.contract) for one in reached}
        self._called = {one.scope.key: one.at for one in reached}
        self._lock = asyncio.Lock()

    @property
    def contracts(self) -> Mapping[Scope, SafetyContract]:
        """Where each contract stands."""
        return dict(self._kept.values())

    def standing(self, rule: str, phase: Phase) -> int:
        """How many sides of a rule's contracts that had a call within a day are in a phase."""
        since = self._clock() - _DAY_S
        kept = tuple(self._kept.values())
        alive = (one for scope, one in kept if scope.rule == rule and self._called[scope.key] >= since)
        return sum(side.phase is phase for one in alive for side in _sides(one))

    def place(self, scope: Scope, terms: SafetyTerms, score: float | None) -> BandPlacement:
        """Where a call lies, and whether it is judged; to be asked before anything is decided."""
        self._called[scope.key] = self._clock()
        if scope.key not in self._kept:
            self._kept[scope.key] = scope, self._with_attempts(scope, SafetyContract.new(terms))
        chosen = self._kept[scope.key][1].choose(score)
        if self._writer.holds(scope):
            chosen = replace(chosen, zone=Zone.ASK, rate=1.0)
        return BandPlacement(scope=scope, chosen=chosen, judged=self._draw() < chosen.rate)

    async def learn(self, placement: BandPlacement, *, request_id: str, unsafe: bool | None) -> None:
        """Takes in what the judge said; unsafe: None where it answered with what is no verdict. Returns when it is
        stored."""
        async with self._lock:
            await self._writer.ask(lambda _: self._take(placement, request_id, unsafe))

    async def tick(self) -> None:
        """Learns which rules are paused by now; at times forgets calls that were judged long ago."""
        await self._writer.look(self._forget)

    async def _forget(self) -> None:
        before = self._clock() - _KEPT_S
        await self._writer.ask(lambda store: store.forget(before))

    def close(self) -> None:
        """Waits for what is being written, then closes the store."""
        self._writer.close()

    def _take(self, placement: BandPlacement, request_id: str, unsafe: bool | None) -> None:
        scope = placement.scope
        before = self._with_attempts(scope, self._kept[scope.key][1])
        after = before.see(placement.chosen, unsafe=unsafe)
        moved = {
            name: side
            for name, side, was in zip(_SIDES, _sides(after), _sides(before), strict=True)
            if (side.phase, side.threshold) != (was.phase, was.threshold)
        }
        result = "missing" if unsafe is None else "unsafe" if unsafe else "safe"
        stored = StoredSafety(scope=scope, contract=after, at=self._clock())
        moves = [(stored.at, side.phase.value, f"{name}: {side.reason}") for name, side in moved.items()]
        put = partial(self._store.put, stored, placement.chosen, request_id=request_id, result=result)
        self._writer.put(scope, lambda every: put(moves=every), moves)
        self._kept[scope.key] = scope, after
        self._count_attempts(scope, after)
        for name, side in moved.items():
            self._tell(scope, name, side)

    def _tell(self, scope: Scope, name: str, side: Side) -> None:
        _log.warning("contract of rule %s, %s: %s: %s", scope.rule, name, side.phase.value, side.reason)
        if self._on_move is not None:
            self._on_move(scope, side)

    def _count_attempts(self, scope: Scope, contract: SafetyContract) -> None:
        """α is spent over all attempts of a rule with a judge, whichever version of the classifier is used."""
        for name in _SIDES:
            key = scope.rule, scope.model, name
            self._attempts[key] = max(self._attempts.get(key, 0), getattr(contract, name).attempts)

    def _with_attempts(self, scope: Scope, contract: SafetyContract) -> SafetyContract:
        """With those of the rule's other contracts counted, where no attempt is running."""
        sides: dict[str, Side] = {}
        for name in _SIDES:
            side: Side = getattr(contract, name)
            spent = self._attempts.get((scope.rule, scope.model, name), 0)
            sides[name] = side if side.rungs else replace(side, attempts=max(side.attempts, spent))
        return replace(contract, **sides)


def _sides(contract: SafetyContract) -> tuple[Side, Side]:
    return contract.missing, contract.flagging
