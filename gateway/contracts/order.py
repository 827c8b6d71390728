"""The order in which checks count for an account: that of their coins, not that of their answers.

What differs often takes longest: a time-out, a client that leaves, a sentence instead of a label. Counted as they come,
the first thousand answers look better than the first thousand calls, and the promise is about calls. So a check waits
until all checks before it are over, but not for ever: answers go on meanwhile, and the account must see what they are.
"""

import heapq
import math
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
    checks of calls that were to be decided here, counts as wrong. In shadow nothing is decided meanwhile, and 200 calls
    may come within a second. under_way: what the checks that may yet be wrong, or wait and are, weigh for each side."""

    under_way: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _open: dict[int, tuple[float, Coin]] = field(default_factory=dict)
    _finished: list[tuple[int, Counted]] = field(default_factory=list)
    _live: int = 0  # of the finished, those that were to be decided here

    @property
    def idle(self) -> bool:
        """Whether no check is under way, and none waits."""
        return not self._open and not self._finished

    def begin(self, coin: Coin, *, now: float) -> None:
        """A check has begun."""
        self._open[coin.number] = now, coin
        self._weigh(coin, coin.acts, 1)

    def leave(self, coin: Coin, *, now: float) -> list[Counted]:
        """The call is no check after all: those that waited for it and count from now on, in order."""
        if self._open.pop(coin.number, None) is not None:
            self._weigh(coin, coin.acts, -1)
        return self._ready(now)

    def end(self, coin: Coin, wrong: Sequence[bool | None], *, now: float) -> list[Counted]:
        """The check is over: those that count from now on, in order. One that never began, or was given up, counts for
        nothing more."""
        if self._open.pop(coin.number, None) is not None:
            self._weigh(coin, coin.acts, -1)
            self._weigh(coin, wrong, 1)
            self._live += coin.chance < 1
            heapq.heappush(self._finished, (coin.number, (coin, wrong)))
        return self._ready(now)

    def _weigh(self, coin: Coin, sides: Sequence[bool | None], count: int) -> None:
        """In eighths, rounded up: sums of these are exact."""
        for side, (one, nominal) in enumerate(zip(sides, coin.nominal, strict=True)):
            self.under_way[side] += count * math.ceil(8 * nominal / coin.chance) / 8 if one else 0.0

    def _ready(self, now: float) -> list[Counted]:
        ready: list[Counted] = []
        while self._finished or self._open:
            first = next(iter(self._open), None)
            if self._finished and (first is None or self._finished[0][0] < first):
                coin, wrong = heapq.heappop(self._finished)[1]
                self._weigh(coin, wrong, -1)
                self._live -= coin.chance < 1
                ready.append((coin, wrong))
            elif first is not None and (self._live >= _MOST or now - self._open[first][0] >= _LONGEST_S):
                coin = self._open.pop(first)[1]
                self._weigh(coin, coin.acts, -1)
                ready.append((coin, [True if acts else None for acts in coin.acts]))
            else:
                break
        return ready
