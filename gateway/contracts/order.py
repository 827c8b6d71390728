"""The order in which a contract's calls count for its attempt: that of their coins, not that of their answers.

What disagrees often takes longest: a time-out, a client that leaves, a sentence instead of a label. Counted as they
come, the first thousand answers look better than the first thousand calls, and the promise is about calls. So what a
call taught waits until all calls before it are over.
"""

import heapq
from dataclasses import dataclass, field
from typing import Final

from gateway.contracts.contract import Pair

_LONGEST_S: Final = 3600.0
_MOST: Final = 5000


@dataclass(slots=True, kw_only=True)
class Order:
    """The calls of one attempt that are not over, and what waits for them. A call that holds up others for an hour, or
    5,000 of them, counts as a disagreement: one whose answer never came may never end."""

    _attempt: int = 0
    _open: dict[int, tuple[float, Pair]] = field(default_factory=dict)
    _finished: list[tuple[int, Pair]] = field(default_factory=list)
    _given_up: set[int] = field(default_factory=set)

    @property
    def idle(self) -> bool:
        """Whether no call is under way, and none waits."""
        return not self._open and not self._finished

    def begin(self, number: int, missing: Pair, *, now: float) -> None:
        """A call has begun. number: of its coin, rising; missing: the pair that it is if no answer ever comes."""
        if missing.attempt != self._attempt:
            self._attempt, self._open, self._finished, self._given_up = missing.attempt, {}, [], set()
        self._open[number] = now, missing

    def leave(self, number: int, *, now: float) -> list[Pair]:
        """The call is no pair after all: the pairs that waited for it and count from now on, in order."""
        self._open.pop(number, None)
        self._given_up.discard(number)
        return self._ready(now)

    def end(self, number: int, pair: Pair, *, now: float) -> list[Pair]:
        """The call is over: the pairs that count from now on, in order. One that never began counts at once."""
        if number in self._given_up:
            self._given_up.discard(number)
        elif self._open.pop(number, None) is None:
            return [pair, *self._ready(now)]
        else:
            heapq.heappush(self._finished, (number, pair))
        return self._ready(now)

    def _ready(self, now: float) -> list[Pair]:
        ready = []
        while self._finished or self._open:
            first = next(iter(self._open), None)
            if self._finished and (first is None or self._finished[0][0] < first):
                ready.append(heapq.heappop(self._finished)[1])
            elif first is not None and (len(self._finished) >= _MOST or now - self._open[first][0] >= _LONGEST_S):
                ready.append(self._open.pop(first)[1])
                self._given_up.add(first)
            else:
                break
        return ready
