"""Bets on weighted observations: evidence for a bound on a share, and an alarm where it no longer holds. Pure.

A safety bound is on the share of wrong ones among some calls: of those that the judge calls unsafe the missed, or of
those that it calls safe the flagged. Not all calls are judged: one that was chosen with chance p counts 1/p times. Each
judged call then tells z = weight · (wrong - target) if it is one of those calls, and 0 otherwise, whose mean over all
calls, judged or not, has the sign of "share - target" (Horvitz, Thompson 1952).

- Evidence that the bound holds: the product of 1 - b·z, whose mean stays at most 1 as long as the share is at or above
  the target. By Ville's inequality it ever reaches 1/α with a chance of at most α. A wrong one must weigh 1, or a
  factor could fall below 0: so a bound is certified only while all calls are judged on which its side would act. What
  is right may weigh anything.
- The alarm: a Shiryaev-Roberts sum of the products of 1 + b·z, whose mean stays at most 1 as long as the share is at
  most the target. What is right must not weigh more than b allows; a wrong one may weigh anything.

With all weights at 1 a bet is a likelihood ratio between a share and the target: the bets are those of shares at fixed
multiples of it, a mixture in equal parts. Sources: Waudby-Smith, Ramdas 2024 (betting); Waudby-Smith, Wu, Ramdas,
Karampatziakis, Mineiro 2024 (anytime-valid off-policy inference); Shin, Ramdas, Rinaldo 2023 (e-detectors).
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Self

_BELOW: Final = (0.01, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75)
"""The shares that evidence bets on, in targets."""
_ABOVE: Final = (1.5, 2.0, 3.0, 5.0)
"""Those that an alarm looks for."""
_MOST: Final = 0.9
"""Of what a call may weigh, for a bet to be lost by it."""
LIMIT: Final = 4000.0
"""As of gateway.contracts.detector: judged calls between false alarms, on average and at least, at the very target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Against "the share is at least the target". target: in (0, 1); logs: of each bet's product."""

    target: float
    logs: tuple[float, ...] = (0.0,) * len(_BELOW)

    @property
    def log(self) -> float:
        """The logarithm of the evidence."""
        highest = max(self.logs)
        return highest + math.log(math.fsum(math.exp(one - highest) for one in self.logs) / len(self.logs))

    def see(self, *, wrong: bool, weight: float = 1.0) -> Self:
        """With one more call. weight: at least 1; 1 where it is wrong. Raises ValueError otherwise."""
        if weight < 1 or (wrong and weight != 1):
            raise ValueError(f"a call of weight {weight:g} cannot be {'wrong' if wrong else 'right'} here")
        lost = weight * (wrong - self.target)
        logs = (log + math.log(1 - bet * lost) for log, bet in zip(self.logs, bets_below(self.target), strict=True))
        return replace(self, logs=tuple(logs))


def bets_below(target: float) -> tuple[float, ...]:
    """On shares below the target."""
    return tuple((1 - share) / (1 - target) for share in _BELOW)


def bets_above(target: float, heaviest: float) -> tuple[float, ...]:
    """On shares above the target, cut down so that no right call, the heaviest neither, can lose all."""
    most = _MOST / (target * heaviest)
    return tuple(min((share - 1) / (1 - target), most) for share in _ABOVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Against "the share is at most the target". heaviest: the most that a call may weigh; calls, weight and wrong:
    those seen, and the sums of their weights and of the wrong ones'."""

    target: float
    heaviest: float
    sums: tuple[float, ...] = (0.0,) * len(_ABOVE)
    calls: int = 0
    weight: float = 0.0
    wrong: float = 0.0

    @property
    def raised(self) -> bool:
        """Whether the bound is to be withdrawn."""
        return math.fsum(self.sums) / len(self.sums) >= LIMIT

    def see(self, *, wrong: bool, weight: float = 1.0) -> Self:
        """With one more call. weight: in [1, heaviest]. Raises ValueError otherwise."""
        if not 1 <= weight <= self.heaviest * (1 + 1e-9):
            raise ValueError(f"a call weighs {weight:g}, beyond {self.heaviest:g}")
        won = weight * (wrong - self.target)
        bets = bets_above(self.target, self.heaviest)
        sums = tuple((before + 1) * (1 + bet * won) for before, bet in zip(self.sums, bets, strict=True))
        return replace(
            self,
            sums=sums,
            calls=self.calls + 1,
            weight=self.weight + weight,
            wrong=self.wrong + (weight if wrong else 0.0),
        )
