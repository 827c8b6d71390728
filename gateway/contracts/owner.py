"""The one owner of all contracts: knows where each stands, flips its coins, and stores each check before it counts.

Requests and the owner pass values alone: `draw`, then `answered`, `leave` or `learn`.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gateway.contracts.consistency import MOST, RepeatedAnswers, share
from gateway.contracts.contract import EVERY, Coin, Contract, Phase, judged
from gateway.contracts.memory import KNOWN, ContractMemory, leaving
from gateway.contracts.order import Counted
from gateway.contracts.scope import Scope
from gateway.contracts.store import CheckRow, ContractStore, StoredContract
from gateway.contracts.tables import Move
from gateway.contracts.threshold import ScoreRow
from gateway.contracts.writer import SingleWriter
from gateway.ledger.store import closed_on_failure
from gateway.rules.rule import SafetyTerms, Terms
from gateway.spelling import BARE, Form

T = TypeVar("T")
_log = logging.getLogger(__name__)
_MOST: Final = 1000
"""Contracts in memory."""
_DAY_S: Final = 86400.0
_KEPT_S: Final = 90 * _DAY_S
_STORED: Final = 20_000
"""Of a contract's checked calls so many stay stored, for so long at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnCall:
    """A call under a contract, before its coin. score: of a label the confidence, of a guard the highest score, in
    0..1, None where there is none that counts. held_out: of the version's training. text: a hash of what was read, 0
    where repeats count as any call. again: of checked calls, the share to be asked twice. known: the judge has judged
    the text before."""

    scope: Scope
    terms: Terms | SafetyTerms
    version: str
    score: float | None
    held_out: Sequence[ScoreRow] = ()
    text: int = 0
    again: float = 0.0
    known: bool = False


class Outcome(Struct, frozen=True, kw_only=True):
    """How the right answer compared. result: agrees, differs or missing, of a judge safe, unsafe or missing; label: the
    local one; model: that answered, with its date; shown: the forms that its answer may have."""

    request_id: str
    result: str
    label: str = ""
    model: str = ""
    shown: tuple[Form, ...] = ()


class Owner:
    """Owns all contracts of a store.

    on_move: called with the rule and each phase that a side of its contracts comes to. on_failure: called for writes
    that fail; the contract then decides nothing until one succeeds. draw: uniform in [0, 1), not to be foreseen by
    whoever sends calls. alone: False for a reader, while another gateway may serve with this store. first: where a
    model is sent first, as `upstream/model`; contracts that no call can belong to stay in the store. Raises LedgerError
    where the store cannot be read or written, and closes it.
    """

    def __init__(
        self,
        store: ContractStore,
        *,
        on_move: Callable[[str, Phase], None] = lambda *_: None,
        on_failure: Callable[[], None] | None = None,
        draw: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.time,
        alone: bool = True,
        first: Callable[[str], str] | None = None,
    ) -> None:
        self._store = store
        self._alone = alone
        self._on_move = on_move
        self._draw = draw or random.SystemRandom().random
        self._clock = clock
        self._numbers = count(1)
        with closed_on_failure(store):
            for one in store.interrupted() if alone else ():
                store.put(StoredContract(scope=one.scope, contract=one.contract.lost(), at=one.at))
            newest = store.newest(_MOST, (lambda _: True) if first is None else (lambda scope: scope.reached(first)))
            self._kept = {one.scope.key: self._load(one) for one in newest}
            self._writer = SingleWriter(store, "contracts", on_failure=on_failure, clock=clock)
        self._lock = asyncio.Lock()

    def find(self, key: str) -> Contract | None:
        """Where a contract in memory stands."""
        kept = self._kept.get(key)
        return None if kept is None else kept.contract

    def standing(self, rule: str, phase: Phase) -> int:
        """How many sides of a rule's contracts that had a call within a day are in a phase."""
        return sum(side.phase is phase for one in self._alive(rule) for side in one.contract.sides)

    def refused(self, rule: str) -> int:
        """How many of them are in shadow, and can only stay there, since the model contradicts itself."""
        return sum(bool(_refusal(one)) and not one.contract.sides[0].account.live for one in self._alive(rule))

    def form(self, key: str) -> Form:
        """The form that answers under a contract have."""
        kept = self._kept.get(key)
        return BARE if kept is None else kept.contract.form

    async def load(self, scope: Scope, terms: Terms | SafetyTerms) -> None:
        """Takes a contract into memory, before `form` and `draw`. Raises LedgerError."""
        if scope.key not in self._kept:
            await self._find(scope, terms)

    async def draw(self, call: DrawnCall) -> Coin:
        """A call's coin, before anything is decided. A check that it chose is under way from then on, until it is
        learned or left. Raises LedgerError."""
        kept = self._kept.get(call.scope.key) or await self._find(call.scope, call.terms)
        kept.at = now = self._clock()
        if kept.version != call.version:
            await self.ask(partial(self._take_version, kept=kept, call=call))
            # another may have taken its place meanwhile
            kept = self._kept.get(call.scope.key) or await self._find(call.scope, call.terms)
        guards = kept.contract.guards
        coin = kept.contract.flip(
            Coin(
                key=call.scope.key,
                rule=call.scope.rule,
                number=next(self._numbers),
                version=call.version,
                score=call.score,
                predicted=0.0 if guards else kept.predicted(call.score),
                repeat=call.known if guards else kept.repeated(call.text, now),
                paused=self._writer.holds(call.scope.rule, call.scope.key),
                text=call.text,
            ),
            self._draw(),
        )
        if kept.differed.get(call.text) == kept.version:
            coin = coin.forwarded()
        if not (self._alone and coin.checked):
            return coin
        if guards or any(coin.acts):
            kept.order.begin(coin, now=now)
            self._note(kept)
        if coin.text and any(coin.acts):
            kept.texts.put(coin.text, now)
        twice = share(call.again, known=len(kept.repeats), refused=bool(_refusal(kept)))
        live = kept.contract.sides[0].account.live
        return replace(coin, again=not live and not coin.repeat and 0 < twice > self._draw())

    def answered(self, coin: Coin) -> None:
        """Counts a call that was decided here."""
        if (kept := self._kept.get(coin.key)) is not None:
            for side, acts in enumerate(coin.acts):
                kept.decided[side] += acts

    def leave(self, *coins: Coin) -> None:
        """The calls are no checks after all: nobody could say what is right. What waited for them counts."""
        for coin in coins:
            if (kept := self._kept.get(coin.key)) is not None:
                counting = kept.order.leave(coin, now=self._clock())
                if counting or (any(kept.noted) and not any(kept.order.under_way)):
                    self._writer.later(partial(self._take, kept, counting, noted=self._noted(kept)))

    async def learn(self, coin: Coin, outcome: Outcome) -> None:
        """Takes in how the right answer compared. Returns when that and what it makes of the contract are stored.
        Raises LedgerError."""
        async with self._lock:
            if (kept := self._kept.get(coin.key)) is None:
                return
            now = self._clock()
            wrong = _wrong(coin, outcome.result)
            if coin.text and any(wrong):
                kept.differed.put(coin.text, kept.version)
            counting = kept.order.end(coin, wrong, now=now)
            take = partial(self._take, kept, counting, noted=self._noted(kept), coin=coin, outcome=outcome)
            await self.ask(lambda _: take())

    def keep(self, rule: str, text: str, label: str, *, among: str, weight: float = 1.0) -> None:
        """Keeps a text of a rule's calls to train on, with the label that the model gave it; nobody waits for it.
        among: of the rule's classifier and its labels; weight: one over its chance of being seen."""
        # a template may read half of a surrogate pair out of JSON, which no file can hold
        whole = text.encode(errors="replace").decode()
        put = partial(self._store.keep, rule, whole, label, among=among, at=self._clock(), weight=weight)
        self._writer.later(put)

    async def repeated(self, coin: Coin, result: str) -> None:
        """Takes in how the model's second answer to a call compared to its first: `agrees`, `differs`, or `missing`
        where there was none to compare. Raises LedgerError."""
        at, score = self._clock(), coin.score or 0.0
        await self.ask(lambda store: store.repeated(coin.key, at, score, result))
        kept = self._kept.get(coin.key)
        if kept is not None and result != "missing":
            kept.repeats.append((score, result == "agrees"))

    async def ask(self, what: Callable[[ContractStore], T]) -> T:
        """Something of the store, in the one thread that may use it. Raises LedgerError."""
        return await self._writer.ask(what)

    async def tick(self) -> None:
        """Learns which rules are paused by now; at times forgets checks that nothing is built on any more."""
        before = self._clock() - _KEPT_S
        await self._writer.look(lambda: self.ask(lambda store: store.thin_out(before, keep=_STORED)))

    def close(self) -> None:
        """Notes how many calls were decided here, waits for what is being written, then closes the store."""
        for kept in self._kept.values() if self._alone else ():
            if any(kept.decided[place] != side.decided for place, side in enumerate(kept.contract.sides)):
                self._writer.later(partial(self._take, kept, (), noted=self._noted(kept)))
        self._writer.close()

    def _alive(self, rule: str) -> list[ContractMemory]:
        since = self._clock() - _DAY_S
        return [one for one in tuple(self._kept.values()) if one.scope.rule == rule and one.at >= since]

    async def _find(self, scope: Scope, terms: Terms | SafetyTerms) -> ContractMemory:
        """The contract as the store has it, or a new one; another may have to leave memory."""
        key = scope.key
        stored = await self.ask(lambda store: store.find(key))
        if key in self._kept:
            return self._kept[key]
        if len(self._kept) >= _MOST:
            del self._kept[leaving(self._kept.values(), self._writer.holds).scope.key]
        if stored is None:
            kept = ContractMemory(scope=scope, contract=Contract.new(terms))
        else:
            # checks that were under way when it left memory will not be learned
            lost = replace(stored, contract=stored.contract.lost())
            kept = await self.ask(lambda _: self._load(lost))
        kept.at = self._clock()
        return self._kept.setdefault(key, kept)

    def _load(self, stored: StoredContract) -> ContractMemory:
        kept = ContractMemory(scope=stored.scope, contract=stored.contract, at=stored.at)
        kept.repeats.extend(self._store.repeats(stored.scope.key, newest=MOST))
        kept.decided[: len(stored.contract.sides)] = [side.decided for side in stored.contract.sides]
        return kept

    def _take_version(self, store: ContractStore, kept: ContractMemory, call: DrawnCall) -> None:
        if kept.version != call.version:
            held_out = () if call.version == kept.contract.stale else call.held_out
            known = store.known(call.scope.key, call.version, newest=KNOWN)
            kept.contract = kept.take_version(call.version, known, held_out)

    def _noted(self, kept: ContractMemory) -> tuple[float, ...]:
        """What the checks under way weigh, rounded up by an eighth at most, so that few calls need to note it."""
        parts = map(math.frexp, kept.order.under_way[: len(kept.contract.sides)])
        kept.noted = tuple(math.ldexp(math.ceil(16 * mantissa), exponent - 4) for mantissa, exponent in parts)
        return kept.noted

    def _note(self, kept: ContractMemory) -> None:
        if any(now > noted for now, noted in zip(kept.order.under_way, kept.noted, strict=False)):
            self._writer.later(partial(self._take, kept, (), noted=self._noted(kept)))

    def _take(
        self,
        kept: ContractMemory,
        counting: Sequence[Counted],
        *,
        noted: tuple[float, ...],
        coin: Coin | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        """Stores what becomes of a contract. counting: the checks whose turn it is; noted: what is under way; coin,
        outcome: of the latest call, where there is one."""
        at, before, check = self._clock(), kept.contract, None
        after = before
        if coin is not None and outcome is not None:
            after, check = self._learned(kept, coin, outcome, at)
        for each, wrong in counting:
            after = after.see(each, wrong)
        if after.alarms != before.alarms:
            kept.forget()
            after = replace(after, stale=after.version)
        if after.looks >= EVERY or (after.alarms, after.phases) != (before.alarms, before.phases):
            after = kept.choose(after)
        moves = _moves(before, after, at)
        for place, (side, was) in enumerate(zip(after.sides, before.sides, strict=True)):
            if side.account.live and not was.account.live:
                kept.decided[place] = 0
        sides = tuple(replace(side, decided=kept.decided[place]) for place, side in enumerate(after.sides))
        after = replace(after, sides=sides, pending=noted)
        stored = StoredContract(scope=kept.scope, contract=after, at=at)
        self._writer.put(kept.scope, lambda every: self._store.put(stored, check, moves=every), moves)
        kept.contract = after
        for _, phase, reason in moves:
            # a model's name may be whatever a client wrote
            names = kept.scope.rule, kept.scope.model
            _log.warning("contract of rule %s for %.100r: %s: %s", *names, phase, reason)
            self._on_move(kept.scope.rule, Phase(phase))

    @staticmethod
    def _learned(kept: ContractMemory, coin: Coin, outcome: Outcome, at: float) -> tuple[Contract, CheckRow]:
        right = outcome.result in ("agrees", "safe")
        counts = not coin.repeat and outcome.result != "missing"
        after = kept.contract
        if counts:
            after = after.learn(coin, wrong=not right, model=outcome.model)
            kept.checked(coin, wrong=not right, weight=1 / coin.chance)
        formed = kept.note_forms(after, outcome.shown)
        if formed is not after:
            # what was found of labels holds, whatever their form
            kept.known.clear()
            formed = replace(formed, looks=EVERY)
        row = CheckRow(
            at=at,
            request_id=outcome.request_id,
            version=coin.version,
            score=coin.score if counts else None,
            zone=coin.zone.value,
            chance=coin.chance,
            label=outcome.label,
            result=outcome.result,
        )
        return formed, row


def _wrong(coin: Coin, result: str) -> Sequence[bool | None]:
    """For each side, whether deciding the call here would have been wrong; None where it is not of its population."""
    if len(coin.acts) == 1:
        return [result != "agrees" if coin.acts[0] else None]
    return judged(coin.acts, None if result == "missing" else result == "unsafe")


def _refusal(kept: ContractMemory) -> str:
    target = kept.contract.sides[0].account.target
    return "" if kept.contract.guards else RepeatedAnswers.of(tuple(kept.repeats)).refusal(target)


def _moves(before: Contract, after: Contract, at: float) -> list[Move]:
    """What a contract's history has to say of a change."""
    moves: list[Move] = []
    for was, side in zip(before.sides, after.sides, strict=True):
        phase = Phase.ALARM if side.account.alarms > was.account.alarms else side.phase
        if phase is not was.phase:
            name = "" if len(after.sides) == 1 else f"{side.name}: "
            moves.append((at, phase.value, name + side.reason))
    return moves
