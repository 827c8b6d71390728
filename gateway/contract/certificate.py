"""An attempt at a certificate: thresholds tried from the strictest down, on pairs that a coin chose. Pure.

A threshold is certified once the evidence against "disagreement is at least the target" among the pairs that reach it
has ever come to 1/α, and all stricter ones are certified. That is fixed-sequence testing (Learn then Test, Angelopoulos
et al. 2021) with evidence that may be looked at after every pair: to certify any threshold whose disagreement is at
or above the target, the first such one of the ladder must be rejected wrongly, a chance of at most α for the attempt.
The ladder must be fixed before the attempt's first pair is seen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

from gateway.contract.bounds import pairs_until, spend
from gateway.contract.evidence import against_at_least

_CANDIDATES = 40
_FEWEST = 20
"""Pairs that a candidate threshold must rest on."""
_PRIOR = 4.0
"""Disagreements, in targets, that estimates begin with: half the target, as if so many divided by it had been seen. A
threshold above which few pairs lie looks faultless for want of pairs, and would take long to certify."""
_SURER = 0.7
"""Of the calls that the threshold lets through which should be certified soonest, those that the first one does."""
_NEAR = 0.9
"""Of the target: a threshold whose estimated disagreement lies nearer would take for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A threshold of confidence, and what was seen at or above it. proven: whether the evidence ever sufficed."""

    threshold: float
    pairs: int = 0
    wrong: int = 0
    proven: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The number-th attempt (from 1) under a contract. target: of disagreement; alpha: what this attempt may spend;
    rungs: thresholds from the strictest down."""

    number: int
    target: float
    alpha: float
    rungs: tuple[Rung, ...]

    @classmethod
    def begin(cls, thresholds: Sequence[float], *, number: int, target: float, confidence: float) -> Self:
        """thresholds: falling, at least one. confidence: that the contract promises over all its attempts.

        Raises ValueError where the thresholds do not fall.
        """
        if not thresholds or any(low >= high for high, low in pairwise(thresholds)):
            raise ValueError("an attempt needs at least one threshold, and each below the one before")
        rungs = tuple(Rung(threshold=float(threshold)) for threshold in thresholds)
        return cls(number=number, target=target, alpha=spend(1 - confidence, number), rungs=rungs)

    @property
    def certified(self) -> Rung | None:
        """The lowest threshold that is certified."""
        found = None
        for rung in self.rungs:
            if not rung.proven:
                break
            found = rung
        return found

    def see(self, confidence: float, *, agrees: bool) -> Self:
        """The attempt with one more pair that the coin chose."""
        rungs = tuple(self._see(rung, agrees) if confidence >= rung.threshold else rung for rung in self.rungs)
        return replace(self, rungs=rungs)

    def _see(self, rung: Rung, agrees: bool) -> Rung:
        pairs, wrong = rung.pairs + 1, rung.wrong + (not agrees)
        proven = rung.proven or against_at_least(pairs, wrong, self.target) >= -math.log(self.alpha)
        return replace(rung, pairs=pairs, wrong=wrong, proven=proven)


def ladder(
    confidences: Sequence[float], agrees: Sequence[bool], *, target: float, alpha: float, rungs: int = 12
) -> tuple[float, ...]:
    """Thresholds to try, the strictest first, from pairs that no attempt will be certified on.

    They begin above the one that should be certified after the fewest calls, for where that estimate is wrong and it
    never is, and lead down, evenly in calls, to the last whose estimated disagreement is under the target. Empty where
    none is.
    """
    ordered = sorted(zip(confidences, agrees, strict=True), key=lambda pair: -pair[0])
    candidates: list[tuple[float, float]] = []
    calls: list[float] = []
    wrong = 0
    marks = {max(_FEWEST, math.ceil(len(ordered) * step / _CANDIDATES)) for step in range(1, _CANDIDATES + 1)}
    for count, (confidence, agreed) in enumerate(ordered, start=1):
        wrong += not agreed
        last_of_equals = count == len(ordered) or ordered[count][0] < confidence
        if count not in marks:
            continue
        if not last_of_equals:
            marks.add(count + 1)
            continue
        rate = (wrong + _PRIOR / 2) / (count + _PRIOR / target)
        if rate < _NEAR * target:
            share = count / len(ordered)
            candidates.append((confidence, share))
            calls.append(pairs_until(target, rate, alpha) / share)
    if not candidates:
        return ()
    first = calls.index(min(calls))
    surer = [index for index in range(first) if candidates[index][1] <= _SURER * candidates[first][1]]
    tried = candidates[surer[-1] if surer else first :]
    steps = min(rungs, len(tried)) - 1
    chosen = {0, *(round(index * (len(tried) - 1) / steps) for index in range(1, steps + 1))} if steps else {0}
    return tuple(tried[index][0] for index in sorted(chosen))
