"""Contracts in memory: latest pairs, volume, trials of challengers, and what leaves memory and the store."""

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Self

from gateway.contracts.consistency import MOST, REFUSED, RepeatedAnswers
from gateway.contracts.contract import Contract, Pair, Phase, begin, hopeful, reformed
from gateway.contracts.drift import span
from gateway.contracts.forecast import until_noticed
from gateway.contracts.order import Order
from gateway.contracts.sampling import FRESH, floor
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore, PairRow, StoredContract
from gateway.contracts.writer import SingleWriter
from gateway.spelling import Form

ORDERING: Final = 5000
"""The latest pairs of either sort that are remembered."""
_log = logging.getLogger(__name__)
_DAY_S: Final = 86400.0
_RECENT: Final = 400
_ALIKE: Final = 20
"""Answers in a row of one form, after which answers here have it, too."""
_LOOK_AGAIN: Final = 25
"""Pairs after which it is checked again whether the reference is still too inconsistent."""
_FEW_PAIRS: Final = 10
"""A prompt with fewer pairs may never come again."""
LAPSED_S: Final = 7 * _DAY_S
"""A contract without a call for this long holds up nothing: its prompt may be no longer in use."""
_STORED: Final = 20_000
"""Of a contract's pairs so many stay stored, besides those of its certificate: enough to order thresholds by, and to
say what has moved."""
_IDLE_S: Final = 90 * _DAY_S
"""Without a pair for so long, a contract keeps none; its state stays, if it ever began an attempt."""


@dataclass(slots=True, kw_only=True)
class Volume:
    """The number of calls a day that a contract answers, over the running period and the one before. since: in Unix
    seconds. A first day counts as a whole one, for a few calls in as many seconds say nothing."""

    since: float
    _count: int = 0
    _before: tuple[int, float] = field(default=(0, 0.0))

    def add(self) -> None:
        """One more call."""
        self._count += 1

    def a_day(self, *, now: float, period_s: float) -> float:
        """period_s: at least a day counts as one."""
        lasted = now - self.since
        calls, seconds = self._before
        volume = (calls + self._count) / max(seconds + lasted, _DAY_S) * _DAY_S
        if lasted >= max(period_s, _DAY_S):
            self._before, self._count, self.since = (self._count, lasted), 0, now
        return volume


@dataclass(slots=True, kw_only=True)
class ContractMemory:
    """A contract in memory. Of pairs that a coin chose, ordering: those that may order thresholds; certifying: those of
    the running attempt; latest: confidences of the latest calls, None of one that there was no label for; without: how
    many of these are. over: of a challenger, the share of calls that the champion answers;
    repeats: (confidence, whether both answers agree) of calls that were asked again; shown: the forms that each of the
    latest so many answers, alike, may have."""

    scope: Scope
    contract: Contract
    ordering: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=ORDERING))
    certifying: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=ORDERING))
    latest: deque[float | None] = field(default_factory=lambda: deque(maxlen=_RECENT))
    without: int = 0
    unlabelled: int = 0
    """Calls without a label since the last pair that the coin chose; stored with the next one, so a version that never
    comes to a pair is seen anew after a restart."""
    repeats: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=MOST))
    shown: tuple[Form, ...] = ()
    alike: int = 0
    notice_s: float = 0.0
    volume: Volume = field(default_factory=lambda: Volume(since=0.0))
    """Of the calls that are answered here."""
    lowest: float = FRESH
    """The rate that audits come down to."""
    needed: float | None = None
    """Audits by which twice the target is noticed on nine streams in ten; simulated, so only where it goes live."""
    over: float = 0.0
    answers: float = 0.0
    """share() of the contract as it is stored, for the event loop."""
    refused: str = ""
    """Why no attempt begins, where the reference itself is the reason."""
    at: float = 0.0
    """Unix seconds of the latest call; after a restart, of the latest pair."""
    coins: int = 0
    """Flipped since the start."""
    order: Order = field(default_factory=Order)
    """In which the calls of the running attempt count."""

    def share(self, contract: Contract) -> float:
        """Of the latest calls that a coin chose, the part that would be answered; 0 where nothing is certified."""
        answered = sum(one is not None and contract.answers(one) for one in self.latest)
        return answered / len(self.latest) if self.latest else 0.0

    @property
    def labelled(self) -> float:
        """Of the latest calls that a coin chose, the part that there was a label for."""
        return 1 - self.without / len(self.latest) if self.latest else 1.0

    @property
    def hopeful(self) -> bool:
        """Whether, of a version that is tried, it may still come to a certificate that lets through more calls than the
        version in use answers."""
        outdone = len(self.latest) == _RECENT and self.labelled <= self.over
        return hopeful(self.contract) and not outdone

    def pass_over(self) -> None:
        """A call that a coin chose, and that there was no label for."""
        self._remember(None)
        self.unlabelled += 1
        self.answers = self.share(self.contract)

    def note_forms(self, contract: Contract, shown: tuple[Form, ...]) -> Contract:
        """The contract in the form that the latest answers share, where it has another one and nothing is certified.
        shown: the forms that the latest answer may have, if it shows any."""
        if shown:
            both = tuple(form for form in self.shown if form in shown)
            self.shown, self.alike = (both, self.alike + 1) if both else (shown, 1)
        begun = contract.phase is Phase.LIVE or contract.fresh_from == contract.pairs
        if self.alike < _ALIKE or contract.form in self.shown or begun:
            return contract
        self.ordering.clear()
        self.certifying.clear()
        return reformed(contract, self.shown[0])

    def keep(self, pair: Pair, contract: Contract, *, number: int) -> None:
        """Puts a pair that a coin chose where it may be used by the contract that it made. The others all lie below the
        threshold of what is in use, so they say nothing of thresholds."""
        if not pair.chosen:
            return
        self._remember(pair.confidence)
        self.unlabelled = 0
        if number < contract.fresh_from or pair.form != contract.form:
            return
        (self.certifying if contract.certifies(pair) else self.ordering).append((pair.confidence, pair.agrees))

    @classmethod
    def of(
        cls, stored: StoredContract, pairs: Iterable[PairRow], repeats: Iterable[tuple[float, bool]], *, now: float
    ) -> Self:
        """As the store has it. pairs: the latest, the oldest first; repeats: of calls that were asked again."""
        contract = stored.contract
        kept = cls(scope=stored.scope, contract=contract, volume=Volume(since=now), at=stored.at)
        for row in pairs:
            pair = Pair(
                chosen=row.chosen,
                confidence=row.confidence,
                agrees=row.result == "agrees",
                attempt=row.attempt,
                threshold=row.threshold,
                form=contract.form,
            )
            for _ in range(min(row.unlabelled or 0, _RECENT)):
                kept._remember(None)
            kept.keep(pair, contract, number=row.number)
        kept.repeats.extend(repeats)
        kept.answers = kept.share(contract)
        if contract.reason.startswith(REFUSED):
            kept.refused = contract.reason
        return kept

    def begin(self, contract: Contract, *, number: int) -> Contract:
        """The contract with a new attempt, the number-th of its rule and model, where one is worth it, and the
        reference is consistent enough at its strictest threshold."""
        begun = begin(contract, tuple(self.ordering), number=number, over=self.over, labelled=self.labelled)
        strictest = begun.attempt.rungs[0].threshold if begun.attempt else 0.0
        why = RepeatedAnswers.of(tuple(self.repeats), strictest).refusal(contract.terms.target)
        if why and not self.refused:
            _log.warning("contract of rule %s for %.100r: %s", self.scope.rule, self.scope.model, why)
        if self.refused and not why and begun.reason == self.refused:
            begun = replace(begun, reason="the model is not known any more to contradict itself too often")
        self.refused = why
        if not why:
            return begun
        reason = contract.reason if contract.phase is Phase.LIVE else why
        return replace(contract, next_look=max(begun.next_look, contract.pairs + _LOOK_AGAIN), reason=reason)

    def stood(self, contract: Contract, *, now: float) -> None:
        """Takes in what the latest pair made of the contract: how much it answers by now, and the rate that audits
        come down to at the volume seen lately."""
        self.answers = self.share(contract)
        if contract.detector is None:
            return
        if self.needed is None:
            self.needed = until_noticed(contract.terms.target).most
        a_day = self.volume.a_day(now=now, period_s=self.notice_s / 2)
        self.lowest = floor(self.needed, answered_a_day=a_day, delay_days=self.notice_s / _DAY_S)

    def _remember(self, confidence: float | None) -> None:
        if len(self.latest) == _RECENT:
            self.without -= self.latest[0] is None
        self.latest.append(confidence)
        self.without += confidence is None


def leaving(kept: Iterable[ContractMemory], *, now: float) -> ContractMemory:
    """The contract to leave for another: of those that lose least, that without a call for longest. now: Unix seconds.
    Raises ValueError where there is none."""
    return min(kept, key=lambda memory: (_loss(memory, now), memory.at, memory.contract.pairs))


def _loss(kept: ContractMemory, now: float) -> int:
    """How much a contract loses that begins anew when its prompt comes again."""
    if kept.contract.phase is Phase.LIVE:
        return 4
    if now - kept.at > LAPSED_S:
        return 0
    if not kept.order.idle:
        return 3
    if kept.contract.attempt is not None:
        return 2
    return 1 if kept.contract.pairs >= _FEW_PAIRS else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """pairs: of the challenger so far; outdoes: whether it answers more calls than the champion under at least one
    contract, and no fewer under any; hopeful: whether it may still do so."""

    pairs: int
    outdoes: bool
    hopeful: bool

    @classmethod
    def of(cls, contracts: Iterable[ContractMemory], version: str, *, current: str, since: float) -> Self:
        """contracts: of all rules that bind the classifier; version: the challenger's; current: the champion's; since:
        Unix seconds; the answers of contracts without a call since then do not count."""
        kept = tuple(contracts)
        tried = [memory for memory in kept if memory.scope.version == version]
        alive = [memory for memory in kept if memory.at >= since]
        old, new = (
            {each.scope.with_version(""): each.share(each.contract) for each in alive if each.scope.version == wanted}
            for wanted in (current, version)
        )
        gains = [new.get(key, 0.0) - old.get(key, 0.0) for key in {*old, *new}]
        return cls(
            pairs=sum(memory.contract.pairs for memory in tried),
            outdoes=any(gain > 0 for gain in gains) and all(gain >= 0 for gain in gains),
            hopeful=not tried or any(memory.hopeful for memory in tried),
        )


async def thin_out(writer: SingleWriter[ContractStore], *, now: float) -> None:
    """One contract at a time, so that pairs that come in need not wait for all. now: Unix seconds. Raises
    LedgerError."""
    for key, keep in await writer.ask(lambda store: store.forgettable(before=now - _IDLE_S, keep=_STORED)):
        await writer.ask(partial(_forget_pairs, key=key, keep=keep))
    await writer.ask(lambda store: store.forget_idle(now - _IDLE_S))


def _forget_pairs(store: ContractStore, *, key: str, keep: int) -> None:
    """The pairs that the latest certificate was seen on stay for as long as any."""
    certified = span(store.moves(key))
    store.forget_pairs(key, keep=keep, but=certified[:2] if certified and keep else None)
