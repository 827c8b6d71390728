"""Streams of pairs whose true disagreement is known, and what a contract makes of them; many at once.

A stream is stationary: each text's confidence is uniform, and how often the local verdict disagrees falls or rises with
it as a profile says. Noise is the share of texts on which the reference itself answers at random.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.bounds import spend
from gateway.contracts.detector import LIMIT, rates
from gateway.contracts.evidence import weighted_against_at_least
from gateway.intervals import clopper_pearson

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How a classifier does on a stream. covers: share of calls at or above each threshold, rising; wrong: the true
    disagreement within each step from one threshold to the next, as many; noise: of the reference."""

    name: str
    covers: tuple[float, ...]
    wrong: tuple[float, ...]
    noise: float = 0.0

    @property
    def disagreement(self) -> Floats:
        """True disagreement among all calls at or above each threshold: (rungs,)."""
        steps = np.diff(self.covers, prepend=0.0)
        return np.cumsum(steps * self._each) / np.asarray(self.covers)

    @property
    def _each(self) -> Floats:
        wrong = np.asarray(self.wrong)
        return wrong + self.noise * (1 - wrong)

    def draw(self, calls: int, chance: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Each call's step (rungs where it reaches no threshold), and whether the pair disagrees."""
        step = np.searchsorted(np.asarray(self.covers), chance.random(calls), side="right")
        rate = np.append(self._each, 0.0)[step]
        return step, chance.random(calls) < rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """violates: whether a threshold at or above the target was ever certified; calls: until the first certificate,
    infinite without one; covers: share of calls at or above the lowest certified threshold at the end."""

    violates: bool
    calls: float
    covers: float


def certify(
    profile: Profile,
    *,
    target: float,
    confidence: float,
    calls: int,
    attempts: int,
    rate: float,
    seed: int,
    sure: int | None = None,
) -> Certified:
    """One stream under a contract. It begins a new attempt after each `calls` without a certificate of all rungs.

    rate: of the coin; sure: calls up to this step are answered unless the coin chose them, all others are forwarded
    and so seen, too. None: only what the coin chose is seen.
    """
    chance = np.random.default_rng(seed)
    true = profile.disagreement
    violates, first, covers = False, math.inf, 0.0
    for attempt in range(1, attempts + 1):
        enough = -math.log(spend(1 - confidence, attempt))
        step, wrong = profile.draw(calls, chance)
        coin = chance.random(calls) < rate
        # of pairs that a coin alone chose, each stands for as many calls as any other
        kinds = [coin] if sure is None else [coin & (step <= sure), step > sure]
        chances = ((1.0,), (1.0,)) if sure is None else ((rate, 1.0), (rate, rate))
        proven = True
        for rung in range(len(true)):
            seen = np.stack([kind & (step <= rung) for kind in kinds], axis=1)
            pairs, errors = np.cumsum(seen, axis=0), np.cumsum(seen & wrong[:, None], axis=0)
            evidence = weighted_against_at_least(pairs, errors, target, chance=chances[0], least=chances[1])
            found = np.flatnonzero(seen.any(axis=1) & (evidence >= enough))
            proven = proven and len(found) > 0
            if not proven:
                break
            if rung == 0 and math.isinf(first):
                first = float((attempt - 1) * calls + found[0] + 1)
            violates = violates or bool(true[rung] > target)
            covers = profile.covers[rung]
    return Certified(violates=violates, calls=first, covers=covers)


def alarms(*, target: float, rate: float, audits: int, streams: int, seed: int, before: int = 0) -> Floats:
    """After how many audits at a disagreement of `rate` each stream's detector alarms; infinite where it does not
    within `audits`. before: good audits at half the target that come first; a stream that alarms then starts anew."""
    chance = np.random.default_rng(seed)
    looked_for = np.asarray(rates(target))
    sums = np.zeros((streams, len(looked_for)))
    found = np.full(streams, math.inf)
    for number in range(-before, audits):
        wrong = chance.random(streams) < (target / 2 if number < 0 else rate)
        ratio = np.where(wrong[:, None], looked_for / target, (1 - looked_for) / (1 - target))
        sums = (sums + 1) * ratio
        over = sums.mean(axis=1) >= LIMIT
        if number >= 0:
            found[over & np.isinf(found)] = number + 1
        sums[over] = 0
    return found


def share_and_limit(hits: Sequence[bool]) -> tuple[float, float]:
    """A share of streams, and its lower confidence limit at 95 %."""
    return sum(hits) / len(hits), clopper_pearson(len(hits), sum(hits), 0.05)[0]
