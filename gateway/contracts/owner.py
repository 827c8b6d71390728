"""The one owner of all contracts: knows where each stands, flips its coins, and stores each pair before it counts."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from typing import Final, TypeVar

import msgspec

from gateway.contracts.consistency import MOST, share
from gateway.contracts.contract import DEMOTED_CHALLENGER, Contract, Flipped, Pair, Phase, count, due, see
from gateway.contracts.drift import why
from gateway.contracts.memory import LAPSED_S, ORDERING, ContractMemory, Trial, Volume, leaving, thin_out
from gateway.contracts.recovery import taken_up
from gateway.contracts.sampling import NOTICE_S, flip, trial_rate
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore, PairRow, StoredContract
from gateway.contracts.writer import SingleWriter
from gateway.ledger.store import LedgerError, closed_on_failure
from gateway.rules.terms import Terms
from gateway.spelling import BARE, Form

T = TypeVar("T")
_log = logging.getLogger(__name__)
_MOST: Final = 1000
"""Contracts that are kept; a prompt that holds something new in each call would make one for each."""
_DAY_S: Final = 86400.0


class Owner:
    """Owns all contracts of a store.

    on_move: called with each contract in use that changes its phase. on_failure: called for writes that fail; the
    contract then answers nothing until one succeeds. in_use: whether a contract's version is in use, not a challenger.
    alone: False for a reader, while another gateway may serve with this store. first: where a model is sent first, as
    `upstream/model`; contracts that no call can belong to stay in the store alone. Raises LedgerError where the store
    cannot be read or written, and closes it.
    """

    def __init__(
        self,
        store: ContractStore,
        *,
        on_move: Callable[[Scope, Contract], None] | None = None,
        on_failure: Callable[[], None] | None = None,
        in_use: Callable[[Scope], bool] = lambda _: True,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
        alone: bool = True,
        first: Callable[[str], str] | None = None,
    ) -> None:
        self._store = store
        self._alone = alone
        self._noted: set[str] = set()
        self._on_move = on_move
        self._in_use = in_use
        self._draw = draw
        self._clock = clock
        with closed_on_failure(store):
            reached = (lambda _: True) if first is None else (lambda scope: scope.reached(first))
            stored = (taken_up if alone else ContractStore.newest)(store, _MOST, reached)
            self._kept = {each.scope.key: self._load(each) for each in stored}
            self._attempts = store.attempts()
            self._writer = SingleWriter(store, "contracts", on_failure=on_failure, clock=clock)
        self._lock = asyncio.Lock()

    @property
    def contracts(self) -> Mapping[Scope, Contract]:
        """Where each contract stands."""
        return {kept.scope: kept.contract for kept in self._kept.values()}

    def standing(self, rule: str, phase: Phase) -> int:
        """How many of a rule's contracts in use are in a phase; one without a call for a day may be no more."""
        return sum(one.contract.phase is phase for one in self._alive(rule))

    def flip(
        self,
        scope: Scope,
        terms: Terms,
        *,
        notice_s: float = NOTICE_S,
        again: float = 0.0,
        tried: bool = False,
        champion: Flipped | None = None,
    ) -> Flipped:
        """A call's coin, to be flipped before anything is decided.

        notice_s: when audits should notice twice the target; again: the share of calls to be asked twice, while
        nothing is certified or another version is tried; tried: another version is tried beside this one, and needs
        pairs and repeats; champion: the coin flip of the version in use, which this one shares.
        """
        kept = self._kept.get(scope.key) or self._new(scope, terms)
        kept.notice_s, kept.at = notice_s, self._clock()
        kept.over = champion.share if champion else 0.0
        contract = kept.contract
        rate = max(trial_rate(kept.answers) if tried else 0.0, contract.rate(kept.lowest))
        coin = champion.coin if champion else flip(rate, self._draw())
        twice = share(again, known=0 if tried else len(kept.repeats), refused=bool(kept.refused))
        kept.coins += 1
        return Flipped(
            scope=scope,
            coin=coin,
            number=kept.coins,
            attempt=contract.attempt.number if contract.attempt else 0,
            threshold=contract.threshold,
            paused=self._writer.holds(scope),
            share=kept.answers,
            form=contract.form,
            again=coin.chosen and (tried or contract.phase is not Phase.LIVE) and 0 < twice > self._draw(),
        )

    def form(self, scope: Scope) -> Form:
        """The form that answers under a contract have."""
        kept = self._kept.get(scope.key)
        return BARE if kept is None else kept.contract.form

    def needs_pairs(self, scope: Scope) -> bool:
        """Whether a version that is tried may still come to answer more than the one in use."""
        kept = self._kept.get(scope.key)
        return kept is None or kept.hopeful

    def answered(self, scope: Scope) -> None:
        """Counts a call that was answered here: the volume says how rare audits may become."""
        if (kept := self._kept.get(scope.key)) is not None:
            kept.volume.add()

    def begin(self, flipped: Flipped, *, confidence: float, sure: bool) -> None:
        """A call begins that may become a pair, right after its coin: what later ones teach counts after it. sure: as
        of `learn`."""
        kept = self._kept.get(flipped.scope.key)
        if kept is not None and flipped.attempt and (flipped.coin.chosen or not sure):
            missing = flipped.pair(confidence=confidence, sure=sure, agrees=False)
            kept.order.begin(flipped.number, missing, now=self._clock())
            if self._alone and kept.scope.key not in self._noted:
                self._writer.later(partial(self._note, kept.scope.key))

    def leave(self, flipped: Flipped) -> None:
        """A call that has begun is no pair after all; what waited for it counts."""
        kept = self._kept.get(flipped.scope.key)
        counting = [] if kept is None else kept.order.leave(flipped.number, now=self._clock())
        if kept is not None and counting:
            self._writer.later(partial(self._count, kept, counting))

    def unlabelled(self, flipped: Flipped) -> None:
        """A call that this version has no label for, and that is a pair of the other one's contract."""
        kept = self._kept.get(flipped.scope.key)
        if kept is not None and flipped.coin.chosen:
            self._writer.later(kept.pass_over)

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
        shown: tuple[Form, ...] = (),
    ) -> None:
        """Takes in how the reference's answer compared: `agrees`, or else it counts as a disagreement.

        sure: whether the call would have been answered here, had its coin not chosen it; novelty: of what was read,
        0..1; shown: the forms that the reference's answer may have. Returns when the pair and what it makes of the
        contract are stored.
        """
        async with self._lock:
            kept = self._kept.get(flipped.scope.key)
            if kept is None:
                return
            pair = flipped.pair(confidence=confidence, sure=sure, agrees=result == "agrees", shown=shown)
            row = PairRow(
                number=0,
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
            counting = kept.order.end(flipped.number, pair, now=row.at)
            await self.ask(lambda _: self._take(kept, pair, row, counting))

    def keep(self, rule: str, text: str, label: str, *, among: str) -> None:
        """Keeps a text of a rule's calls to train on, with the label that the reference gave it; nobody waits for
        it. among: of the rule's classifier and its labels."""
        # a template may read half of a surrogate pair out of JSON, which no file can hold
        whole = text.encode(errors="replace").decode()
        self._writer.later(partial(self._store.keep, rule, whole, label, among=among, at=self._clock()))

    async def repeated(self, scope: Scope, *, confidence: float, result: str) -> None:
        """Takes in how the reference's second answer to a call compared to its first: `agrees`, `differs`, or `missing`
        where there was none to compare. Raises LedgerError."""
        at = self._clock()
        await self.ask(lambda store: store.repeated(scope.key, at, confidence, result))
        kept = self._kept.get(scope.key)
        if kept is not None and result != "missing":
            kept.repeats.append((confidence, result == "agrees"))

    def refused(self, rule: str) -> int:
        """How many of them answer nothing and begin no attempt since the reference contradicts itself."""
        return sum(bool(one.refused) and one.contract.phase is not Phase.LIVE for one in self._alive(rule))

    def _alive(self, rule: str) -> list[ContractMemory]:
        since = self._clock() - _DAY_S
        kept = (one for one in tuple(self._kept.values()) if one.scope.rule == rule and one.at >= since)
        return [one for one in kept if self._in_use(one.scope)]

    async def ask(self, what: Callable[[ContractStore], T]) -> T:
        """Something of the store, in the one thread that may use it. Raises LedgerError."""
        return await self._writer.ask(what)

    async def trial(self, classifier: str, version: str, *, current: str) -> Trial:
        """How the version that is tried does beside the one in use, over all contracts of the rules that bind it; what
        they answer counts where they had a call within a week."""
        kept = [one for one in tuple(self._kept.values()) if one.scope.classifier == classifier]
        return await self.ask(lambda _: Trial.of(kept, version, current=current, since=self._clock() - LAPSED_S))

    async def tick(self) -> None:
        """Learns which rules are paused by now; at times forgets pairs that nothing is built on any more."""
        await self._writer.look(lambda: thin_out(self._writer, now=self._clock()))

    def close(self) -> None:
        """Waits for what is being written, then closes the store."""
        busy = {kept.scope.key for kept in self._kept.values() if not kept.order.idle}
        self._writer.close((lambda: self._store.ended(self._noted - busy)) if self._alone else None)

    def _note(self, key: str) -> None:
        """Notes once in the file that calls of a contract's running attempt came. Raises LedgerError."""
        if key not in self._noted:
            self._store.serve(key, self._clock())
            self._noted.add(key)

    def _take(self, kept: ContractMemory, pair: Pair, row: PairRow, counting: Sequence[Pair]) -> None:
        """counting: as of `_count`."""
        before = kept.contract
        row = msgspec.structs.replace(row, number=before.pairs, unlabelled=kept.unlabelled if pair.chosen else 0)
        seen = see(before, pair)
        if seen.phase is Phase.DEMOTED and before.phase is Phase.LIVE:
            seen = replace(seen, reason=f"{seen.reason}; {self._why(kept.scope, row)}")
            kept.ordering.clear()
            kept.certifying.clear()
        seen = kept.note_forms(seen, pair.shown)
        kept.keep(pair, seen, number=row.number)
        self._count(kept, counting, seen=seen, row=row)

    def _count(
        self,
        kept: ContractMemory,
        counting: Sequence[Pair],
        *,
        seen: Contract | None = None,
        row: PairRow | None = None,
    ) -> None:
        """Stores what becomes of a contract. counting: the pairs whose turn it is to count for the running attempt;
        seen: the contract with the latest pair, where there is one, which is row."""
        before = kept.contract
        after = reduce(count, counting, seen or before)
        if before.attempt is not None and after.attempt is None:
            kept.ordering.extend(kept.certifying)
            kept.certifying.clear()
        # α is spent over all attempts of a rule for a model, whichever classifier answers
        spending = kept.scope.rule, kept.scope.model
        spent = self._attempts.get(spending, 0)
        if due(after):
            after = kept.begin(after, number=spent + 1)
        kept.stood(after, now=self._clock())
        moved = (before.phase, before.threshold) != (after.phase, after.threshold)
        stored = StoredContract(scope=kept.scope, contract=after, at=row.at if row else self._clock())
        challenger = after.phase is Phase.DEMOTED and not self._in_use(kept.scope)
        moves = [(stored.at, DEMOTED_CHALLENGER if challenger else after.phase.value, after.reason)] if moved else []
        self._writer.put(kept.scope, lambda every: self._store.put(stored, row, moves=every), moves)
        kept.contract = after
        if after.attempts > spent:
            self._attempts[spending] = after.attempts
        if moved:
            self._tell(kept, after)

    def _tell(self, kept: ContractMemory, after: Contract) -> None:
        kept.volume = Volume(since=self._clock())
        scope = kept.scope
        # a model's name may be whatever a client wrote
        _log.warning("contract of rule %s for %.100r is %s: %s", scope.rule, scope.model, after.phase, after.reason)
        if self._on_move is not None and self._in_use(scope):
            self._on_move(scope, after)

    def _why(self, scope: Scope, row: PairRow) -> str:
        try:
            return why([*self._store.pairs(scope.key), row], self._store.moves(scope.key))
        except LedgerError as error:
            return f"the reason is unknown: {error}"

    def _new(self, scope: Scope, terms: Terms) -> ContractMemory:
        if len(self._kept) >= _MOST:
            del self._kept[leaving(self._kept.values(), now=self._clock()).scope.key]
        kept = self._kept[scope.key] = ContractMemory(scope=scope, contract=Contract(terms=terms))
        return kept

    def _load(self, stored: StoredContract) -> ContractMemory:
        key = stored.scope.key
        pairs = self._store.pairs(key, since=stored.contract.fresh_from, newest=2 * ORDERING)
        return ContractMemory.of(stored, pairs, self._store.repeats(key, newest=MOST), now=self._clock())
