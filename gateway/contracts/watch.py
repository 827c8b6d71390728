"""Watches what is decided here: says when the latest calls are wrong more often than they may be. Pure.

- Shiryaev-Roberts over checked calls: for some rates above the target, the sum over all checks of the product since
  then of 1 + (u/p)·(likelihood ratio - 1). While the rate is at most the target, the mean of each sum is at most the
  number of checks: an alarm comes after _LIMIT of them on average, or later (Shin, Ramdas, Rinaldo 2023).
- CUSUM over all seen calls, forwarded ones too, of the predicted error against some more (Page 1954). It alarms sooner,
  for it sees more, and promises nothing: it trusts the predictions. Guards have none and go without it.
"""

import math
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from gateway.contracts.account import multiples

_TIMES: Final = (1.5, 2.0, 3.0, 5.0)
"""The rates that the first alarm looks for, in targets."""
_LIMIT: Final = 4000.0
_TOO_LOW, _MORE = 1.15, 0.12
"""So many times the predicted error is no change; after one, this part of the right calls is wrong besides."""
_LEAST, _MOST = 0.002, 0.98
"""What a predicted error is kept between: one wrong call among the surest must not be an alarm by itself."""
_SUSPICION, ALARM = 3.0, 9.5
"""Of the CUSUM, in nats."""


class Watch(Struct, frozen=True, kw_only=True):
    """target: of wrong calls, in (0, 1); sums: one for each rate looked for; latest: the CUSUM, at least 0; checks,
    wrong: that the sums are of."""

    target: float
    sums: tuple[float, ...] = (0.0,) * len(_TIMES)
    latest: float = 0.0
    checks: int = 0
    wrong: int = 0

    @property
    def suspected(self) -> bool:
        """Whether the latest calls speak for a change, though not yet beyond doubt: more is checked then."""
        return self.latest >= _SUSPICION

    @property
    def alarmed(self) -> bool:
        """Whether nothing is to be decided here any more, until a new account goes live."""
        return self.latest >= ALARM or math.fsum(self.sums) / len(self.sums) >= _LIMIT

    def see(self, *, wrong: bool, weight: float = 1.0) -> Self:
        """With one more checked call of those that are decided here. weight: u/p, in 0..1, as its account takes it."""
        rates = multiples(self.target, _TIMES)
        ratios = [rate / self.target if wrong else (1 - rate) / (1 - self.target) for rate in rates]
        sums = tuple((s + 1) * (1 + weight * (ratio - 1)) for s, ratio in zip(self.sums, ratios, strict=True))
        return replace(self, sums=sums, checks=self.checks + 1, wrong=self.wrong + wrong)

    def learn(self, *, wrong: bool, predicted: float) -> Self:
        """With one more call whose right answer is known, whatever was done with it. predicted: its error, in 0..1."""
        before = min(_MOST, max(_LEAST, _TOO_LOW * predicted))
        after = before + _MORE * (1 - before)
        step = math.log(after / before) if wrong else math.log1p(-_MORE)
        return replace(self, latest=max(0.0, self.latest + step))
