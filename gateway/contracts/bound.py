"""One side of a safety contract: what it misses, or what it flags wrongly, with the phases of any contract. Pure.

A side acts on calls from a threshold of certainty on: it lets them pass unseen by the judge, or flags them. It is wrong
where the judge says otherwise, and it is measured among the calls of one kind: the unsafe ones for what it lets pass,
the safe ones for what it flags. Until it is certified it acts on none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self, TypeVar

from gateway.contracts.bets import Alarm, Evidence
from gateway.contracts.bounds import longest, spend
from gateway.contracts.contract import Phase
from gateway.contracts.evidence import against_at_most

_SHARES: Final = (0.0, 0.15, 0.3, 0.45, 0.6)
"""The shares of wrong ones, in targets, at which thresholds are tried, by what was seen before."""
_TO_ORDER: Final = 4.0
"""Calls, times the target, that say which thresholds are tried; none of them certifies."""
_FEWEST: Final = 50
PATIENCE: Final = 3.0
"""After the first threshold is certified, an attempt goes on for the lower ones until it has seen so many times as
many."""
HOPELESS: Final = math.log(20)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundRung:
    """A threshold that is tried. calls, wrong: their weights. proven: whether its evidence ever sufficed."""

    threshold: float
    evidence: Evidence
    calls: float = 0.0
    wrong: float = 0.0
    proven: bool = False

    def see(self, certainty: float | None, weight: float, enough: float, *, unknown: bool) -> Self:
        """With one more call of the side's kind. certainty: None where the side would act at no threshold; unknown:
        whether it is of that kind, so that it may count as wrong, but not as right."""
        wrong = certainty is not None and certainty >= self.threshold
        if unknown and not wrong:
            return self
        evidence = self.evidence.see(wrong=wrong, weight=weight)
        return replace(
            self,
            evidence=evidence,
            calls=self.calls + weight,
            wrong=self.wrong + (weight if wrong else 0.0),
            proven=self.proven or evidence.log >= enough,
        )

    @property
    def hopeless(self) -> bool:
        """Whether to wait for it is worth nothing any more."""
        too_often = against_at_most(self.calls, self.wrong, self.evidence.target)
        return self.calls >= longest(self.evidence.target) or float(too_often) >= HOPELESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """target, confidence: what it promises; heaviest: the most that a judged call may weigh. calls: of its kind, judged
    so far; attempts: begun; rungs: of the running one; first: calls that it had seen when its first threshold was
    certified; ordering: (certainty, weight) of calls that will say which thresholds are tried; threshold: from which
    certainty on it acts, None where it never does; alarm: of the live threshold; reason: why it is where it is."""

    target: float
    confidence: float
    heaviest: float
    phase: Phase = Phase.SHADOW
    calls: int = 0
    attempts: int = 0
    rungs: tuple[BoundRung, ...] = ()
    first: float = 0.0
    ordering: tuple[tuple[float | None, float], ...] = ()
    threshold: float | None = None
    alarm: Alarm | None = None
    reason: str = "new"

    def acts(self, certainty: float | None) -> bool:
        """Whether it acts on a call of this certainty, unless it is audited."""
        return self.threshold is not None and certainty is not None and certainty >= self.threshold

    def see(self, certainty: float | None, weight: float, *, threshold: float | None, unknown: bool = False) -> Self:
        """With one more judged call of its kind. threshold: that stood when the call was chosen; one that was chosen
        under another says nothing now, for its weight was made for that. unknown: the judge gave no verdict."""
        side = replace(self, calls=self.calls + 1)
        if threshold != side.threshold:
            return side
        if side.alarm is not None:
            if unknown and not side.acts(certainty):
                return side
            return _watched(side, side.alarm.see(wrong=side.acts(certainty), weight=weight))
        if side.rungs:
            return _tried(side, certainty, weight, unknown=unknown)
        side = replace(side, ordering=(*side.ordering, (certainty, weight)))
        return _begun(side) if len(side.ordering) >= to_order(side.target) else side

    def again(self) -> Self:
        """Without what a running attempt has seen: it would act where it was not tried."""
        return replace(self, rungs=(), ordering=()) if self.threshold is None else self


S = TypeVar("S", bound=Side)


def _watched(side: S, alarm: Alarm) -> S:
    if not alarm.raised:
        return replace(side, alarm=alarm)
    share = alarm.wrong / alarm.weight
    reason = f"about {share:.1%} of {alarm.calls} judged calls were wrong where at most {side.target:.1%} may be"
    return replace(side, phase=Phase.DEMOTED, threshold=None, alarm=None, ordering=(), reason=reason)


def _begun(side: S) -> S:
    """With an attempt at what the calls before say is worth trying."""
    tried = thresholds(side.ordering, side.target)
    if not tried:
        seen = len(side.ordering)
        none = f"no threshold is worth an attempt: of {seen} calls, too many of the most certain were wrong"
        reason = none if side.phase is Phase.SHADOW else side.reason
        return replace(side, ordering=side.ordering[seen // 2 :], reason=reason)
    return replace(
        side,
        phase=Phase.SHADOW,
        rungs=tuple(BoundRung(threshold=one, evidence=Evidence(target=side.target)) for one in tried),
        first=0.0,
        ordering=(),
        attempts=side.attempts + 1,
        reason="a new attempt after: " + side.reason if side.phase is Phase.DEMOTED else side.reason,
    )


def _tried(side: S, certainty: float | None, weight: float, *, unknown: bool) -> S:
    """The lowest threshold down to which all are proven goes live, once waiting for more is worth nothing."""
    enough = -math.log(spend(1 - side.confidence, side.attempts))
    rungs = tuple(rung.see(certainty, weight, enough, unknown=unknown) for rung in side.rungs)
    proven = next((index for index, rung in enumerate(rungs) if not rung.proven), len(rungs))
    done = proven == len(rungs) or rungs[proven].hopeless
    side = replace(side, rungs=rungs, first=side.first or (rungs[0].calls if proven else 0.0))
    if proven and (done or rungs[0].calls >= PATIENCE * side.first):
        return _live(side, rungs[proven - 1])
    if done and not proven:
        rung = rungs[0]
        reason = f"no certificate at {rung.threshold:.4f}: {rung.wrong:.0f} of {rung.calls:.0f} were wrong"
        return replace(side, rungs=(), reason=reason)
    return side


def _live(side: S, rung: BoundRung) -> S:
    return replace(
        side,
        phase=Phase.LIVE,
        rungs=(),
        threshold=rung.threshold,
        alarm=Alarm(target=side.target, heaviest=side.heaviest),
        reason=f"certified at {rung.threshold:.4f}: {rung.wrong:.0f} of {rung.calls:.0f} were wrong",
    )


def to_order(target: float) -> int:
    """Calls of its kind that say which thresholds are tried."""
    return max(_FEWEST, math.ceil(_TO_ORDER / target))


def thresholds(seen: Sequence[tuple[float | None, float]], target: float) -> tuple[float, ...]:
    """Thresholds to try, the strictest first: one above all that was seen, and those that let through some shares of
    the target. seen: (certainty, weight) of calls on which it would be wrong to act; certainty in 0..1."""
    known = sorted(((one, weight) for one, weight in seen if one is not None), key=lambda pair: -pair[0])
    whole = math.fsum(weight for _, weight in seen)
    ladder: list[float] = []
    for share in _SHARES:
        over, index = 0.0, 0
        while index < len(known) and over + known[index][1] <= share * target * whole:
            over += known[index][1]
            index += 1
        below = known[index][0] if index < len(known) else 0.0
        above = known[index - 1][0] if index else 1.0
        middle = (above + below) / 2
        if below < middle <= 1.0 and (not ladder or middle < ladder[-1]):
            ladder.append(middle)
    return tuple(ladder)
