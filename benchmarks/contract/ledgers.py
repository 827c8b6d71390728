"""Many accounts at once, and the streams of calls that they are tried on. As gateway.contracts.account, vectorised:
`replay` asserts that the gateway's own class comes to the same on some of the streams."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.account import _BETS as BETS
from gateway.contracts.account import SLACK, Account, Mixture, bets

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]
REPLAYED = 2
_NEXT_TO_NOTHING = 1e-9


@dataclass(slots=True, kw_only=True)
class Ledgers:
    """One account a stream. level: the α of each; total: S, as the simulation knows it; falsely, on: streams whose
    evidence ever sufficed to go live while S was at least 0, and to go on while it was over the slack; early: either,
    with the S of all calls; logs: (bets, streams);
    reached: the evidence without slack and with it, (2, streams)."""

    target: float
    level: float
    streams: int
    logs: Floats = field(init=False)
    live: Flags = field(init=False)
    ever: Flags = field(init=False)
    total: Floats = field(init=False)
    falsely: Flags = field(init=False)
    early: Flags = field(init=False)
    on: Flags = field(init=False)
    reached: Floats = field(init=False)
    seen: list[list[tuple[bool, float, float]]] = field(init=False)

    def __post_init__(self) -> None:
        self.logs = np.zeros((len(BETS), self.streams))
        self.total = np.zeros(self.streams)
        self.live, self.ever, self.falsely, self.on, self.early = (np.zeros(self.streams, dtype=bool) for _ in range(5))
        self.reached = self.evidence(0.0, SLACK)
        self.seen = [[] for _ in range(REPLAYED)]

    @property
    def nominal(self) -> Floats:
        """u of each stream's next call."""
        return np.where(self.live, 0.05, 1.0)

    def evidence(self, *slacks: float, rows: Places | slice = slice(None)) -> Floats:
        """As Mixture.evidence: (slacks, rows)."""
        logs = self.logs[:, rows] + np.log([[share] for _, share in BETS])
        most = logs.max(axis=0)
        return np.asarray(most + np.log(np.exp(np.outer(slacks, bets(self.target))) @ np.exp(logs - most)))

    def see(self, rows: Places, wrong: Flags, nominal: Floats, chance: Floats) -> None:
        """One more checked call of some streams, which may change their phase."""
        won = nominal / chance * (self.target - wrong)
        self.logs[:, rows] += np.log1p(np.outer(bets(self.target), won))
        self.reached[:, rows] = reached = self.evidence(0.0, SLACK, rows=rows)
        self.live[rows] = np.where(self.live[rows], reached[1], reached[0]) >= -math.log(self.level)
        self.ever[rows] |= self.live[rows]
        for place in np.flatnonzero(rows < REPLAYED):
            call = (bool(wrong[place]), float(nominal[place]), float(chance[place]))
            self.seen[rows[place]].append(call)

    def judge(self, settled: Floats) -> None:
        """Notes on which streams the evidence says now what is not so. settled: S up to the oldest pending check."""
        live, on = self.reached >= -math.log(self.level)
        self.falsely |= (settled >= -_NEXT_TO_NOTHING) & live
        self.on |= (settled > SLACK) & on
        self.early |= ((self.total >= -_NEXT_TO_NOTHING) & live) | ((self.total > SLACK) & on)

    def replay(self) -> None:
        """Asserts that the gateway's own account comes to the same."""
        for row, calls in enumerate(self.seen):
            # its first part of alpha is 0.8 of that
            account = Account.begin(target=self.target, alpha=self.level / 0.8)
            for wrong, nominal, chance in calls:
                account = account.see(wrong=wrong, nominal=nominal, chance=chance)
            assert np.allclose(account.promise.logs, self.logs[:, row])
            assert account.live == self.live[row]
            assert isinstance(account.promise, Mixture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The next call of each stream, (streams,) each. risk: its chance to be wrong, or 0 and 1 where that is known
    already; predicted: that the gateway believes; void_if_wrong: the part of the wrong ones that the model does not
    answer; adds: to S, for each u, where that is not risk - target."""

    risk: Floats
    predicted: Floats
    void_if_wrong: float = 0.0
    adds: Floats | None = None


@dataclass(slots=True, kw_only=True)
class Pending:
    """Checked calls that have no answer yet, in the order of their coins: (streams, calls) each. due: from which call
    on the answer is there; number: of the call."""

    wrong: Flags
    nominal: Floats
    chance: Floats
    due: Places
    number: Places
    head: Places
    tail: Places

    @classmethod
    def none(cls, streams: int, calls: int) -> "Pending":
        """Room for all calls of all streams."""
        shape = (streams, calls)
        ends = [np.zeros(streams, dtype=np.intp) for _ in range(2)]
        return cls(
            wrong=np.zeros(shape, dtype=bool),
            nominal=np.ones(shape),
            chance=np.ones(shape),
            due=np.zeros(shape, dtype=np.intp),
            number=np.zeros(shape, dtype=np.intp),
            head=ends[0],
            tail=ends[1],
        )

    def add(self, rows: Places, wrong: Flags, nominal: Floats, chance: Floats, number: int, late: Places) -> None:
        """One more of some streams. late: calls until its answer is there."""
        places = (rows, self.tail[rows])
        self.number[places], due = number, number + late
        self.wrong[places], self.nominal[places], self.chance[places], self.due[places] = wrong, nominal, chance, due
        self.tail[rows] += 1

    def settle(self, ledgers: Ledgers, now: int, patience: int) -> None:
        """All that count by now: in order, as far as answers are there. What holds up so many others is wrong."""
        rows = np.flatnonzero(self.head < self.tail)
        while rows.size:
            places = (rows, self.head[rows])
            late = self.tail[rows] - self.head[rows] > patience
            ready = (self.due[places] <= now) | late
            rows, late = rows[ready], late[ready]
            places = (rows, self.head[rows])
            if rows.size:
                ledgers.see(rows, self.wrong[places] | late, self.nominal[places], self.chance[places])
            self.head[rows] += 1
            rows = rows[self.head[rows] < self.tail[rows]]

    def oldest(self, now: int) -> Places:
        """The number of each stream's oldest call; now where none is pending."""
        first = self.number[np.arange(len(self.head)), np.minimum(self.head, self.number.shape[1] - 1)]
        return np.where(self.head < self.tail, first, now)

    def wrong_ones(self) -> Places:
        """How many of each stream's are wrong. Of the latest 64."""
        back = np.arange(64)
        places = np.minimum(self.head[:, None] + back, self.wrong.shape[1] - 1)
        inside = self.head[:, None] + back < self.tail[:, None]
        return np.asarray((np.take_along_axis(self.wrong, places, axis=1) & inside).sum(axis=1))


Stream = Callable[[int, Ledgers, np.random.Generator], Calls]
"""From the number of a call and the accounts as they stand, all but coins not yet flipped."""
Delay = Callable[[Flags, np.random.Generator], Places]
"""From whether calls are wrong: after how many more calls their answers are there."""
Kill = Callable[[Pending, np.random.Generator], Flags]
"""Which streams' gateways are killed now, so that all pending is lost."""


def at_once(wrong: Flags, _: np.random.Generator) -> Places:
    """All answers are there before the next call."""
    return np.zeros(wrong.shape, dtype=np.intp)


def run(
    stream: Stream,
    *,
    target: float,
    level: float,
    streams: int,
    calls: int,
    seed: int,
    delay: Delay = at_once,
    kill: Kill | None = None,
    each: bool = False,
    patience: int = 200,
) -> Ledgers:
    """Calls that would all be answered here, under an account each. each: a kill costs a difference of weight 1 for
    each check that was pending, not one for all."""
    chance = np.random.default_rng(seed)
    ledgers = Ledgers(target=target, level=level, streams=streams)
    # after a kill one difference stands for what was pending
    pending = Pending.none(streams, calls)
    sums, every = np.zeros((streams, calls + 1)), np.arange(streams)
    for number in range(calls):
        call = stream(number, ledgers, chance)
        nominal = ledgers.nominal
        checked_at = np.maximum(nominal, np.minimum(0.3, nominal * np.sqrt(call.predicted / 0.01)))
        wrong = chance.random(streams) < call.risk
        void = wrong & (chance.random(streams) < call.void_if_wrong)
        ledgers.total += nominal * (call.risk - target if call.adds is None else call.adds)
        rows = np.flatnonzero((chance.random(streams) < checked_at) & ~void)
        pending.add(rows, wrong[rows], nominal[rows], checked_at[rows], number, delay(wrong[rows], chance))
        if kill is not None:
            killed = np.flatnonzero(kill(pending, chance) & (pending.head < pending.tail))
            lost = pending.tail[killed] - pending.head[killed] if each else np.ones(killed.size, dtype=np.intp)
            pending.head[killed] = pending.tail[killed]
            for place in range(int(lost.max(initial=0))):
                rows = killed[lost > place]
                ledgers.see(rows, np.ones(rows.size, dtype=bool), np.ones(rows.size), np.ones(rows.size))
        pending.settle(ledgers, number, patience)
        sums[:, number + 1] = ledgers.total
        ledgers.judge(sums[every, pending.oldest(number + 1)])
    ledgers.replay()
    return ledgers
