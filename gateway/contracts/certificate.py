"""An attempt at a certificate: thresholds tried from the strictest down, on pairs whose chance to be seen is known.
Pure.

A threshold is certified once the evidence against "disagreement is at least the target" among the pairs that reach it
has ever come to 1/α, and all stricter ones are certified. That is fixed-sequence testing (Learn then Test, Angelopoulos
et al. 2021) with evidence that may be read after every pair: to certify any threshold whose disagreement is at
or above the target, the first such one of the ladder must be rejected wrongly, a chance of at most α for the attempt.
The ladder must be fixed before the attempt's first pair is seen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np

from gateway.contracts.bounds import pairs_until, spend
from gateway.contracts.evidence import weighted_against_at_least

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
class ThresholdCounts:
    """Pairs that had the same chance to be seen, and how many of them disagreed. least: the least chance that any pair
    had at the time."""

    chance: float = 1.0
    least: float = 1.0
    pairs: int = 0
    wrong: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A threshold of confidence, and what was seen at or above it, by the chance that it had to be seen. proven:
    whether the evidence ever sufficed."""

    threshold: float
    seen: tuple[ThresholdCounts, ...] = ()
    proven: bool = False

    @property
    def pairs(self) -> int:
        """How many were seen, whatever their chance."""
        return sum(one.pairs for one in self.seen)

    @property
    def wrong(self) -> int:
        """How many of them disagreed."""
        return sum(one.wrong for one in self.seen)

    @property
    def worth(self) -> tuple[float, float]:
        """How many pairs of equal chance would tell as much, and how many of those would disagree."""
        weights = math.fsum(one.pairs / one.chance for one in self.seen)
        if not weights:
            return 0.0, 0.0
        pairs = weights**2 / math.fsum(one.pairs / one.chance**2 for one in self.seen)
        return pairs, pairs * math.fsum(one.wrong / one.chance for one in self.seen) / weights

    def see(self, *, agrees: bool, chance: float, least: float) -> Self:
        """The rung with one more pair."""
        known = {(one.chance, one.least): one for one in self.seen}
        before = known.get((chance, least), ThresholdCounts(chance=chance, least=least))
        known[chance, least] = replace(before, pairs=before.pairs + 1, wrong=before.wrong + (not agrees))
        return replace(self, seen=tuple(known.values()))

    def evidence(self, target: float) -> float:
        """The logarithm of the evidence against "disagreement at the threshold is at least `target`"."""
        pairs, wrong = (np.array(counts) for counts in zip(*((s.pairs, s.wrong) for s in self.seen), strict=True))
        chance, least = [one.chance for one in self.seen], [one.least for one in self.seen]
        return float(weighted_against_at_least(pairs, wrong, target, chance=chance, least=least))


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
        """thresholds: falling, at least one. confidence: that the contract promises over all its attempts. Raises
        ValueError where the thresholds do not fall."""
        if not thresholds or any(low >= high for high, low in pairwise(thresholds)):
            raise ValueError("an attempt needs at least one threshold, and each below the one before")
        rungs = tuple(Rung(threshold=float(threshold)) for threshold in thresholds)
        return cls(number=number, target=target, alpha=spend(1 - confidence, number), rungs=rungs)

    @property
    def certified(self) -> Rung | None:
        """The lowest threshold that is certified."""
        lowest = None
        for rung in self.rungs:
            if not rung.proven:
                break
            lowest = rung
        return lowest

    def see(self, confidence: float, *, agrees: bool, chance: float = 1.0, least: float = 1.0) -> Self:
        """The attempt with one more pair. chance: that this pair had to be seen; least: that any pair had just then."""
        rungs = tuple(
            self._judge(rung.see(agrees=agrees, chance=chance, least=least)) if confidence >= rung.threshold else rung
            for rung in self.rungs
        )
        return replace(self, rungs=rungs)

    def _judge(self, rung: Rung) -> Rung:
        return rung if rung.proven else replace(rung, proven=rung.evidence(self.target) >= -math.log(self.alpha))


def ladder(
    confidences: Sequence[float],
    agrees: Sequence[bool],
    *,
    target: float,
    alpha: float,
    rungs: int = 12,
    over: float = 0.0,
    labelled: float = 1.0,
) -> tuple[float, ...]:
    """Thresholds to try, the strictest first, from pairs that no attempt will be certified on.

    They begin above the one that should be certified after the fewest calls, for where that estimate is wrong and it
    never is, and lead down, evenly in calls, to the last whose estimated disagreement is under the target. Empty where
    none is. over: only thresholds that let through more than this share of calls are worth trying; labelled: the share
    of calls that the pairs stand for, the others have no label.
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
        share = labelled * count / len(ordered)
        if rate < _NEAR * target and share > over:
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
