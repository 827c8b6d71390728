"""The one owner of all contracts: knows where each stands, flips its coins, and stores each pair before it counts."""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

from gateway.contract.audit import LEAST, Coin, flip, floor, trial_rate
from gateway.contract.drift import drift, span
from gateway.contract.reference import MOST, Repeats, share
from gateway.contract.scope import Scope
from gateway.contract.state import Contract, Pair, Phase, Terms, begin, due, hopeful, see
from gateway.contract.store import ContractStore, PairRow, Stored
from gateway.ledger.store import LedgerError

T = TypeVar("T")
_log = logging.getLogger(__name__)
_MOST: Final = 1000
"""Contracts that are kept; a prompt that holds something new in each call would make one for each."""
_DAY_S: Final = 86400.0
_ORDERING: Final = 5000
_RECENT: Final = 400
_LOOK_AGAIN: Final = 25
"""Pairs after which it is looked again whether the reference is still too inconsistent."""
_STORED: Final = 20_000
"""Of a contract's pairs so many stay stored, besides those of its certificate: enough to order thresholds by, and to
say what has moved."""
_IDLE_S: Final = 90 * _DAY_S
"""Without a pair for so long, a contract keeps none; its state stays."""
_FORGET_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipped:
    """A call's coin under a contract. attempt, threshold: of the contract when it was flipped; paused: its rule is;
    share: of calls that the contract answers by now; again: the reference is to be asked twice."""

    scope: Scope
    coin: Coin
    attempt: int
    threshold: float | None
    paused: bool
    share: float
    again: bool = False

    def sure(self, confidence: float) -> bool:
        """Whether the call is answered here unless the coin chose it."""
        return self.threshold is not None and confidence >= self.threshold and not self.paused

    def answers(self, confidence: float) -> bool:
        """Whether the call is answered here."""
        return self.sure(confidence) and not self.coin.chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """pairs: that a tried version has come to; outdoes: whether it answers more than the one in use under at least one
    contract, and no less under any; hopeful: whether it may still come to."""

    pairs: int
    outdoes: bool
    hopeful: bool


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A contract in memory. Of pairs that a coin chose, ordering: those that may order thresholds; certifying: those of
    the running attempt. over: the share of calls that the version in use answers, where this one is tried beside it;
    repeats: (confidence, whether both answers agree) of calls that were asked again."""

    scope: Scope
    contract: Contract
    ordering: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=_ORDERING))
    certifying: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=_ORDERING))
    repeats: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=MOST))
    notice_s: float = 0.0
    answered: int = 0
    live_since: float = 0.0
    lowest: float = LEAST
    over: float = 0.0
    answers: float = 0.0
    """share() of the contract as it is stored, for the event loop."""
    refused: str = ""
    """Why no attempt begins, where the reference itself is the reason."""

    def share(self, contract: Contract) -> float:
        """Of the latest calls that a coin chose, the part that would be answered; 0 where nothing is certified."""
        seen = [*self.ordering, *self.certifying][-_RECENT:]
        return sum(contract.answers(confidence) for confidence, _ in seen) / len(seen) if seen else 0.0

    def keep(self, pair: Pair, contract: Contract, *, number: int) -> None:
        """Puts a pair that a coin chose where it may be used by the contract that it made. The others all lie below the
        threshold of what is in use, so they say nothing of thresholds."""
        if number < contract.fresh_from or not pair.chosen:
            return
        (self.certifying if contract.certifies(pair) else self.ordering).append((pair.confidence, pair.agrees))


class Owner:
    """Loads what the store holds. on_move is told of each contract that changes its phase, on_failure of writes that
    failed: the contract then answers nothing until one goes through. Raises LedgerError where the store cannot be read.
    """

    def __init__(
        self,
        store: ContractStore,
        *,
        on_move: Callable[[Scope, Contract], None] | None = None,
        on_failure: Callable[[], None] | None = None,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._on_move = on_move
        self._on_failure = on_failure
        self._draw = draw
        self._clock = clock
        self._kept = {stored.scope.key: self._loaded(stored) for stored in store.contracts()[:_MOST]}
        self._attempts: dict[tuple[str, str], int] = {}
        for stored in store.contracts():
            self._count_attempts(stored.scope, stored.contract)
        self._paused = store.paused()
        self._unwritten: set[str] = set()
        self._forgot = 0.0
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="contracts")

    @property
    def contracts(self) -> Mapping[Scope, Contract]:
        """Where each contract stands."""
        return {kept.scope: kept.contract for kept in self._kept.values()}

    def standing(self, rule: str, phase: Phase) -> int:
        """How many of a rule's contracts are in a phase."""
        kept = tuple(self._kept.values())
        return sum(one.scope.rule == rule and one.contract.phase is phase for one in kept)

    def flip(
        self,
        scope: Scope,
        terms: Terms,
        *,
        notice_s: float,
        again: float = 0.0,
        tried: bool = False,
        beside: Flipped | None = None,
    ) -> Flipped:
        """A call's coin, to be flipped before anything is decided.

        notice_s: within how many seconds audits should notice twice the target; again: the share of calls that are to
        be asked twice, while nothing is certified or another version is tried; tried: another version is tried beside
        this one and needs pairs; beside: how the coin fell under the contract of the version in use, which this one
        shares.
        """
        kept = self._kept.get(scope.key) or self._new(scope, terms)
        kept.notice_s = notice_s
        kept.over = beside.share if beside else 0.0
        contract = kept.contract
        rate = max(trial_rate(kept.answers) if tried else 0.0, contract.rate(kept.lowest))
        coin = beside.coin if beside else flip(rate, self._draw())
        twice = share(again, known=len(kept.repeats), refused=bool(kept.refused))
        return Flipped(
            scope=scope,
            coin=coin,
            attempt=contract.attempt.number if contract.attempt else 0,
            threshold=contract.threshold,
            paused=scope.rule in self._paused or scope.key in self._unwritten,
            share=kept.answers,
            again=coin.chosen and (tried or contract.phase is not Phase.LIVE) and 0 < twice > self._draw(),
        )

    def needs_pairs(self, scope: Scope) -> bool:
        """Whether a version that is tried may still come to a certificate."""
        kept = self._kept.get(scope.key)
        return kept is None or hopeful(kept.contract)

    def answered(self, scope: Scope) -> None:
        """Counts a call that was answered here: the volume says how rare audits may become."""
        kept = self._kept.get(scope.key)
        if kept is not None:
            kept.answered += 1

    async def learn(
        self,
        flipped: Flipped,
        *,
        request_id: str,
        label: str,
        confidence: float,
        result: str,
        sure: bool = True,
        novelty: float | None = None,
        text: tuple[str, str] | None = None,
    ) -> None:
        """Takes in how the reference's answer compared: `agrees`, or else it counts as a disagreement.

        sure: whether the call would have been answered here, had its coin not chosen it; novelty: of what was read,
        0..1; text: to be kept, with the label that the reference gave it. Returns when the pair and what it makes of
        the contract are stored.
        """
        async with self._lock:
            kept = self._kept.get(flipped.scope.key)
            if kept is None:
                return
            agrees = result == "agrees"
            pair = Pair(
                chosen=flipped.coin.chosen,
                chance=flipped.coin.rate if sure else 1.0,
                least=flipped.coin.rate,
                confidence=confidence,
                agrees=agrees,
                # a sure call that no coin chose is here for a reason of its own, and stands for no others
                attempt=0 if sure and not flipped.coin.chosen else flipped.attempt,
                threshold=flipped.threshold,
            )
            row = PairRow(
                number=kept.contract.pairs,
                at=self._clock(),
                request_id=request_id,
                chosen=pair.chosen,
                rate=flipped.coin.rate,
                attempt=pair.attempt,
                threshold=pair.threshold,
                confidence=confidence,
                label=label,
                result=result,
                novelty=novelty,
            )
            await asyncio.get_running_loop().run_in_executor(self._thread, self._take, kept, pair, row, text)

    async def repeated(self, scope: Scope, *, confidence: float, result: str) -> None:
        """Takes in how the reference's second answer to a call compared to its first: `agrees`, `differs`, or `missing`
        where there was none to compare. Raises LedgerError."""
        at = self._clock()
        await self.ask(lambda store: store.repeated(scope.key, at, confidence, result))
        kept = self._kept.get(scope.key)
        if kept is not None and result != "missing":
            kept.repeats.append((confidence, result == "agrees"))

    def refused(self, rule: str) -> int:
        """Under how many of a rule's contracts no attempt begins since the reference contradicts itself."""
        return sum(one.scope.rule == rule and bool(one.refused) for one in tuple(self._kept.values()))

    async def ask(self, what: Callable[[ContractStore], T]) -> T:
        """Something of the store, in the one thread that may use it. Raises LedgerError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, what, self._store)

    async def trial(self, classifier: str, version: str, *, current: str) -> Trial:
        """How the version that is tried does beside the one in use, over all contracts of the rules that bind it."""
        return await self.ask(lambda _: self._trial(classifier, version, current))

    async def look(self) -> None:
        """Learns which rules are paused by now; at times forgets pairs that nothing is built on any more."""
        try:
            self._paused = await self.ask(lambda store: store.paused())
            if self._clock() - self._forgot >= _FORGET_S:
                self._forgot = self._clock()
                await self._forget()
        except LedgerError as error:
            _log.error("%s", error)

    async def _forget(self) -> None:
        """One contract at a time, so that pairs that come in need not wait for all."""
        before = self._clock() - _IDLE_S
        for key, keep in await self.ask(lambda store: store.forgettable(before=before, keep=_STORED)):
            await self.ask(partial(_forget_pairs, key=key, keep=keep))

    def close(self) -> None:
        """Waits for what is being written, then closes the store."""
        self._thread.shutdown()
        self._store.close()

    def _take(self, kept: _Kept, pair: Pair, row: PairRow, text: tuple[str, str] | None) -> None:
        before = kept.contract
        after = see(before, pair)
        if after.phase is Phase.DEMOTED and before.phase is Phase.LIVE:
            after = replace(after, reason=f"{after.reason}; {self._why(kept.scope, row)}")
        if after.fresh_from > before.fresh_from:
            kept.ordering.clear()
            kept.certifying.clear()
        if before.attempt is not None and after.attempt is None:
            kept.ordering.extend(kept.certifying)
            kept.certifying.clear()
        kept.keep(pair, after, number=row.number)
        if due(after):
            after = self._attempt(kept, after)
        kept.lowest = self._lowest(kept, after)
        kept.answers = kept.share(after)
        moved = (before.phase, before.threshold) != (after.phase, after.threshold)
        self._write(kept, after, row, moved=moved, text=text)

    def _attempt(self, kept: _Kept, contract: Contract) -> Contract:
        """The contract with a new attempt, where one is worth it, and the reference is consistent enough at its
        strictest threshold."""
        number = self._attempts.get((kept.scope.rule, kept.scope.model), 0) + 1
        begun = begin(contract, tuple(kept.ordering), number=number, over=kept.over)
        strictest = begun.attempt.rungs[0].threshold if begun.attempt else 0.0
        why = Repeats.of(tuple(kept.repeats), strictest).refusal(contract.terms.target)
        if why and not kept.refused:
            _log.warning("contract of rule %s for %s: %s", kept.scope.rule, kept.scope.model, why)
        if kept.refused and not why and begun.reason == kept.refused:
            begun = replace(begun, reason="the model is not known any more to contradict itself too often")
        kept.refused = why
        if not why:
            return begun
        reason = contract.reason if contract.phase is Phase.LIVE else why
        return replace(contract, next_look=max(begun.next_look, contract.pairs + _LOOK_AGAIN), reason=reason)

    def _why(self, scope: Scope, row: PairRow) -> str:
        """What has moved under a contract that is withdrawn."""
        try:
            found = drift([*self._store.pairs(scope.key), row], self._store.moves(scope.key))
        except LedgerError as error:
            return f"why cannot be told: {error}"
        moved = found.moved() if found else []
        return f"moved since the certificate: {', '.join(moved)}" if moved else "nothing has moved beyond doubt"

    def _write(self, kept: _Kept, after: Contract, row: PairRow, *, moved: bool, text: tuple[str, str] | None) -> None:
        scope = kept.scope
        try:
            self._store.put(Stored(scope=scope, contract=after, at=row.at), row, moved=moved, text=text)
        except LedgerError as error:
            _log.error("%s; the contract of rule %s answers nothing until it can be", error, scope.rule)
            self._unwritten.add(scope.key)
            if self._on_failure is not None:
                self._on_failure()
        else:
            self._unwritten.discard(scope.key)
        kept.contract = after
        self._count_attempts(scope, after)
        if moved:
            self._tell(kept, after)

    def _tell(self, kept: _Kept, after: Contract) -> None:
        kept.answered, kept.live_since = 0, self._clock()
        scope = kept.scope
        _log.warning("contract of rule %s for %s is %s: %s", scope.rule, scope.model, after.phase.value, after.reason)
        if self._on_move is not None:
            self._on_move(scope, after)

    def _lowest(self, kept: _Kept, contract: Contract) -> float:
        """The rate that audits come down to at the volume seen since it went live."""
        days = (self._clock() - kept.live_since) / _DAY_S
        if contract.detector is None or days <= 0:
            return kept.lowest
        terms = contract.terms
        return floor(terms.target, answered_a_day=kept.answered / days, delay_days=kept.notice_s / _DAY_S)

    def _trial(self, classifier: str, version: str, current: str) -> Trial:
        kept = [one for one in tuple(self._kept.values()) if one.scope.classifier == classifier]
        tried = {one.scope.beside(""): one for one in kept if one.scope.version == version}
        old = {one.scope.beside(""): one.share(one.contract) for one in kept if one.scope.version == current}
        new = {key: one.share(one.contract) for key, one in tried.items()}
        gains = [new.get(key, 0.0) - old.get(key, 0.0) for key in {*old, *new}]
        return Trial(
            pairs=sum(one.contract.pairs for one in tried.values()),
            outdoes=any(gain > 0 for gain in gains) and all(gain >= 0 for gain in gains),
            hopeful=not tried or any(hopeful(one.contract) for one in tried.values()),
        )

    def _count_attempts(self, scope: Scope, contract: Contract) -> None:
        """α is spent over all attempts of a rule for a model, whichever classifier answers."""
        key = scope.rule, scope.model
        self._attempts[key] = max(self._attempts.get(key, 0), contract.attempts)

    def _new(self, scope: Scope, terms: Terms) -> _Kept:
        if len(self._kept) >= _MOST:
            idle = (kept for kept in self._kept.values() if kept.contract.phase is not Phase.LIVE)
            fewest = min(idle, key=lambda kept: kept.contract.pairs, default=next(iter(self._kept.values())))
            del self._kept[fewest.scope.key]
        kept = self._kept[scope.key] = _Kept(scope=scope, contract=Contract(terms=terms))
        return kept

    def _loaded(self, stored: Stored) -> _Kept:
        contract = stored.contract
        kept = _Kept(scope=stored.scope, contract=contract, live_since=self._clock())
        for row in self._store.pairs(stored.scope.key, since=contract.fresh_from, newest=2 * _ORDERING):
            pair = Pair(
                chosen=row.chosen,
                confidence=row.confidence,
                agrees=row.result == "agrees",
                attempt=row.attempt,
                threshold=row.threshold,
            )
            kept.keep(pair, contract, number=row.number)
        kept.repeats.extend(self._store.repeats(stored.scope.key, newest=MOST))
        if contract.reason == (why := Repeats.of(kept.repeats).refusal(contract.terms.target)):
            kept.refused = why
        return kept


def _forget_pairs(store: ContractStore, *, key: str, keep: int) -> None:
    """The pairs that the latest certificate was seen on stay for as long as any."""
    certified = span(store.moves(key))
    store.forget_pairs(key, keep=keep, but=certified[:2] if certified and keep else None)
