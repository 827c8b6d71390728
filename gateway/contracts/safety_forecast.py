"""How long it is to be expected to take until a side of a safety contract is certified, and until it is withdrawn.

Simulated as in gateway.contracts.forecast, by the bets that decide: pure. All is counted in calls of the side's kind,
judged or not: unsafe ones for what is missed, safe ones for what is flagged wrongly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.bets import LIMIT, Evidence, bets_above, bets_below
from gateway.contracts.bound import HOPELESS, PATIENCE, BoundRung, Side, to_order
from gateway.contracts.bounds import longest, spend
from gateway.contracts.evidence import against_at_most
from gateway.contracts.forecast import PRIOR, Wait, wait

_LADDERS: Final = 200
_ALARMS: Final = 400
"""Streams of either sort; what an alarm takes varies more."""
_CALLS: Final = 20_000
"""Calls of the kind after which a stream is given up."""
_STEP: Final = 1.02
_MOST: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Of the calls of the kind on which the side does not act, those on which the other one does. share: in 0..1;
    weight: of one that is judged, on average, at least 1."""

    share: float = 0.0
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SideOutlook:
    """What is to be expected of a side. ordering: calls until an attempt begins, 0 where one runs or it is live; rung:
    the strictest threshold that is not certified yet; certificate: by the share of wrong ones that it was drawn for,
    empty where it is live; alarm: from when twice the target are wrong."""

    ordering: int
    rung: BoundRung | None
    certificate: dict[float, Wait]
    alarm: Wait


def side_outlook(side: Side, elsewhere: Elsewhere) -> SideOutlook:
    """Where no attempt runs, there are forecasts for several shares of wrong ones at the strictest threshold."""
    target = side.target
    certificate: dict[float, Wait] = {}
    rung = next((rung for rung in side.rungs if not rung.proven), None)
    if rung is not None:
        certificate[_estimate(rung, target)] = until_live(side)
    elif side.threshold is None:
        alpha = spend(1 - side.confidence, side.attempts + 1)
        for rate in (0.0, target / 4, target / 2):
            certificate[rate] = until_certified(target, rate, alpha)
    return SideOutlook(
        ordering=0 if side.rungs or side.threshold is not None else max(1, to_order(target) - len(side.ordering)),
        rung=rung,
        certificate=certificate,
        alarm=until_withdrawn(target, side.heaviest, elsewhere),
    )


def until_certified(target: float, rate: float, alpha: float) -> Wait:
    """Calls that an attempt takes at one threshold."""
    return _until([BoundRung(threshold=1.0, evidence=Evidence(target=target))], [rate], alpha, first=0.0)


def until_live(side: Side) -> Wait:
    """Calls until the side's running attempt makes it live; infinite where the attempt is given up before."""
    rates = np.maximum.accumulate([_estimate(rung, side.target) for rung in side.rungs])
    return _until(side.rungs, rates.tolist(), spend(1 - side.confidence, side.attempts), first=side.first)


def until_withdrawn(target: float, heaviest: float, elsewhere: Elsewhere) -> Wait:
    """Calls from when twice the target are wrong, and are audited as rarely as any, until the alarm."""
    chance = np.random.default_rng(0)
    bets = np.array(bets_above(target, heaviest))
    twice = min(2 * target, (1 + target) / 2)
    # a call is wrong, right where the other side acts, or right where the judge is asked; some are not judged
    wrong = twice / heaviest
    there = wrong + (1 - twice) * elsewhere.share / elsewhere.weight
    here = there + (1 - twice) * (1 - elsewhere.share)
    sums = np.zeros((_ALARMS, len(bets)))
    alarmed = np.full(_ALARMS, np.inf)
    for calls in range(1, _CALLS + 1):
        drawn = chance.random(_ALARMS)
        weighs = np.select([drawn < wrong, drawn < there, drawn < here], [heaviest, elsewhere.weight, 1.0], np.nan)
        won = weighs * ((drawn < wrong) - target)
        factors = 1 + np.outer(won, bets)
        sums = np.where(np.isnan(factors), sums, np.minimum((sums + 1) * factors, LIMIT * len(bets)))
        alarmed[np.isinf(alarmed) & (sums.mean(axis=1) >= LIMIT)] = calls
        if np.isfinite(alarmed).mean() > _MOST:
            break
    return wait(alarmed)


def _until(rungs: Sequence[BoundRung], rates: Sequence[float], alpha: float, *, first: float) -> Wait:
    """As gateway.contracts.bound goes down a ladder of thresholds: what is wrong at one is wrong at all lower ones."""
    before = np.array([rung.calls for rung in rungs])
    target = rungs[0].evidence.target
    most = longest(target)
    looks = np.unique(np.geomspace(1, max(1.0, most - before[0]), round(math.log(most, _STEP))).astype(int))
    parts = [*np.diff(rates, prepend=0.0), 1 - rates[-1]]
    drawn = np.random.default_rng(0).multinomial(np.diff(looks, prepend=0), parts, size=(_LADDERS, len(looks)))
    wrong = drawn.cumsum(axis=1).cumsum(axis=2)[..., :-1]
    calls = looks[:, None] + before
    proven = np.logical_or.accumulate(_logs(rungs, looks, wrong) >= -math.log(alpha), axis=1)
    proven |= np.array([rung.proven for rung in rungs])
    down_to = np.logical_and.accumulate(proven, axis=2).sum(axis=2)
    hopeless = against_at_most(calls, wrong + np.array([rung.wrong for rung in rungs]), target) >= HOPELESS
    hopeless |= calls >= most
    index = np.minimum(down_to, len(rungs) - 1)[..., None]
    done = (down_to == len(rungs)) | np.take_along_axis(hopeless, index, axis=2)[..., 0]
    given_up = np.logical_or.accumulate(done & (down_to == 0), axis=1)
    begun = np.where(down_to > 0, calls[:, 0], np.inf).min(axis=1, keepdims=True)
    patient = calls[:, 0] >= PATIENCE * (first or begun)
    live = (down_to > 0) & (done | patient) & ~given_up
    return wait(np.where(live.any(axis=1), looks[live.argmax(axis=1)], np.inf))


def _logs(rungs: Sequence[BoundRung], looks: NDArray[np.int_], wrong: NDArray[np.int_]) -> NDArray[np.float64]:
    target = rungs[0].evidence.target
    bets = np.array(bets_below(target))
    before = np.array([rung.evidence.logs for rung in rungs])
    right = looks[:, None] - wrong
    logs = before + right[..., None] * np.log1p(bets * target) + wrong[..., None] * np.log1p(-bets * (1 - target))
    most = logs.max(axis=-1, keepdims=True)
    return np.asarray(most[..., 0] + np.log(np.exp(logs - most).mean(axis=-1)))


def _estimate(rung: BoundRung, target: float) -> float:
    return (rung.wrong + PRIOR / 2) / (rung.calls + PRIOR / target)
