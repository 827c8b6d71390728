"""Watches a live bound: says when audits no longer fit "disagreement is at most the target". Pure.

A Shiryaev-Roberts e-detector (Shin, Ramdas, Rinaldo 2023): for each of some rates q above the target, the sum over
all audits j of the likelihood ratio (q against the target) of the audits since j. As long as the rate is at most the
target, an alarm at `limit` comes after `limit` audits on average or later, whatever the number of good audits before
a change; a mere likelihood ratio since the certificate would first have to make up for all of those.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

_TIMES = (1.5, 2.0, 3.0, 5.0)
"""The rates that are looked for, in targets."""
LIMIT = 4000.0
"""Audits between false alarms, on average and at least, where the rate lies at the very target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """target: of disagreement, in (0, 1); sums: one for each rate looked for; audits, wrong: seen since the start."""

    target: float
    sums: tuple[float, ...] = (0.0,) * len(_TIMES)
    audits: int = 0
    wrong: int = 0

    @property
    def level(self) -> float:
        """The detector's evidence: an alarm is due at LIMIT."""
        return math.fsum(self.sums) / len(self.sums)

    @property
    def alarmed(self) -> bool:
        """Whether the bound is to be withdrawn."""
        return self.level >= LIMIT

    def see(self, *, agrees: bool) -> Self:
        """The detector with one more audit."""
        sums = []
        for rate, before in zip(rates(self.target), self.sums, strict=True):
            ratio = (1 - rate) / (1 - self.target) if agrees else rate / self.target
            sums.append((before + 1) * ratio)
        return replace(self, sums=tuple(sums), audits=self.audits + 1, wrong=self.wrong + (not agrees))


def rates(target: float) -> tuple[float, ...]:
    """The rates of disagreement that a detector looks for; below 1 each."""
    return tuple(min(times * target, 1 - (1 - target) / (1 + times)) for times in _TIMES)
