"""The order in which checks count for an account: that of their coins, not that of their answers.

What differs often takes longest: a time-out, a client that leaves, a sentence instead of a label. Counted as they come,
the first thousand answers look better than the first thousand calls, and the promise is about calls. So a check waits
until all checks before it are over, but not for ever: answers go on meanwhile, and the account must see what they are.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.contracts.contract import Coin

_LONGEST_S: Final = 900.0
_MOST: Final = 200

Counted = tuple[Coin, Sequence[bool | None]]
"""A check, and for each side whether deciding it here would have been wrong."""


@dataclass(slots=True, kw_only=True)
class Order:
    """The checks that are not over, and what waits for them. One that holds up others for a quarter of an hour, or 200
    of them, counts as wrong. under_way: how many of them each side would decide."""

    under_way: list[int] = field(default_factory=lambda: [0, 0])
    _open: dict[int, tuple[float, Coin]] = field(default_factory=dict)
    _finished: list[tuple[int, Counted]] = field(default_factory=list)
    _given_up: set[int] = field(default_factory=set)

    @property
    def idle(self) -> bool:
        """Whether no check is under way, and none waits."""
        return not self._open and not self._finished

    def begin(self, coin: Coin, *, now: float) -> None:
        """A check has begun."""
        self._open[coin.number] = now, coin
        self._add(coin, 1)

    def leave(self, coin: Coin, *, now: float) -> list[Counted]:
        """The call is no check after all: those that waited for it and count from now on, in order."""
        if self._open.pop(coin.number, None) is not None:
            self._add(coin, -1)
        self._given_up.discard(coin.number)
        return self._ready(now)

    def end(self, coin: Coin, wrong: Sequence[bool | None], *, now: float) -> list[Counted]:
        """The check is over: those that count from now on, in order. One that never began counts for nothing."""
        if coin.number in self._given_up:
            self._given_up.discard(coin.number)
        elif self._open.pop(coin.number, None) is not None:
            self._add(coin, -1)
            heapq.heappush(self._finished, (coin.number, (coin, wrong)))
        return self._ready(now)

    def _add(self, coin: Coin, count: int) -> None:
        for side, acts in enumerate(coin.acts):
            self.under_way[side] += count * acts

    def _ready(self, now: float) -> list[Counted]:
        ready: list[Counted] = []
        while self._finished or self._open:
            first = next(iter(self._open), None)
            if self._finished and (first is None or self._finished[0][0] < first):
                ready.append(heapq.heappop(self._finished)[1])
            elif first is not None and (len(self._finished) >= _MOST or now - self._open[first][0] >= _LONGEST_S):
                coin = self._open.pop(first)[1]
                self._add(coin, -1)
                ready.append((coin, [True if acts else None for acts in coin.acts]))
                self._given_up.add(first)
            else:
                break
        return ready
