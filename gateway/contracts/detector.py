"""Watches a live bound: says when audits no longer fit "disagreement is at most the target". Pure.

A Shiryaev-Roberts e-detector (Shin, Ramdas, Rinaldo 2023): for each of some rates q above the target, the sum over
all audits j of the likelihood ratio (q against the target) of the audits since j. As long as the rate is at most the
target, an alarm at `limit` comes after `limit` audits on average or later, whatever the number of good audits before
a change; a mere likelihood ratio since the certificate would first have to make up for all of those.

Before it is certain it suspects: a CUSUM (Page 1954) of the highest of those rates says that the latest audits speak
for a change. Then more calls are audited. That alarms no more often: what the detector promises is in audits.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

_TIMES = (1.5, 2.0, 3.0, 5.0)
"""The rates that an alarm looks for, in targets."""
LIMIT = 4000.0
"""Audits between false alarms, on average and at least, where the rate lies at the very target."""
_SUSPICION = 4.0
"""So many times likelier the latest audits are after a change than before: one that disagrees is enough for a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmDetector:
    """target: of disagreement, in (0, 1); sums: one for each rate looked for; audits, wrong: seen since the start.
    latest: how much likelier the latest audits are at the highest rate looked for, at least 1."""

    target: float
    sums: tuple[float, ...] = (0.0,) * len(_TIMES)
    audits: int = 0
    wrong: int = 0
    latest: float = 1.0

    @property
    def level(self) -> float:
        """The detector's evidence: an alarm is due at LIMIT."""
        return math.fsum(self.sums) / len(self.sums)

    @property
    def alarmed(self) -> bool:
        """Whether the bound is to be withdrawn."""
        return self.level >= LIMIT

    @property
    def suspects(self) -> bool:
        """Whether the latest audits speak for a change, though not yet beyond doubt."""
        return self.latest >= _SUSPICION

    def see(self, *, agrees: bool) -> Self:
        """The detector with one more audit."""
        ratios = [(1 - rate) / (1 - self.target) if agrees else rate / self.target for rate in rates(self.target)]
        return replace(
            self,
            sums=tuple((before + 1) * ratio for before, ratio in zip(self.sums, ratios, strict=True)),
            audits=self.audits + 1,
            wrong=self.wrong + (not agrees),
            latest=max(1.0, self.latest * ratios[-1]),
        )


def rates(target: float) -> tuple[float, ...]:
    """The rates of disagreement that a detector looks for; below 1 each."""
    return tuple(min(times * target, 1 - (1 - target) / (1 + times)) for times in _TIMES)
