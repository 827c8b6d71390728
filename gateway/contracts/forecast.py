"""How long a certificate and an alarm are to be expected to take, from streams that are simulated. Pure.

Both vary widely from stream to stream, so a forecast has a median and a most, which nine streams in ten stay within.
The streams are drawn with a fixed seed.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.bounds import longest
from gateway.contracts.certificate import Rung
from gateway.contracts.contract import Contract
from gateway.contracts.detector import LIMIT, rates
from gateway.contracts.evidence import against_at_least
from gateway.contracts.sampling import NOTICE_S, floor
from gateway.intervals import clopper_pearson

_STREAMS: Final = 400
_LONGEST: Final = 20_000
"""Audits after which a stream is given up."""
_STEP: Final = 1.02
"""From one look at a stream's evidence to the next."""
_MOST: Final = 0.9
"""Share of streams that stay within a forecast's most."""
PRIOR: Final = 2.0
"""Disagreements that an estimate begins with, as if seen at half the target: what was seen of few pairs is no rate."""
_OUTSIDE: Final = 0.025
_DAY_S: Final = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """The median, and what nine in ten streams stay within; infinite where it never comes, or beyond 20,000 audits."""

    median: float
    most: float

    def over(self, share: float) -> "Wait":
        """The same in something of which only this share counts."""
        return (
            Wait(median=self.median / share, most=self.most / share)
            if share > 0
            else Wait(median=math.inf, most=math.inf)
        )


_NEVER: Final = Wait(median=math.inf, most=math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedDisagreement:
    """A threshold's pairs. estimate: of their disagreement, as a share; low, high: its limits at 95 %."""

    threshold: float
    pairs: int
    wrong: int
    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is to be expected of a contract.

    calls_a_day: None where calls were seen for less than a day; share: of the calls that reach the threshold; seen: at
    the threshold to be certified next; certificate: in calls, None where no attempt runs or it is live; alarm: in
    audits, from when twice the target disagree; audits_a_day: at the rate that audits come down to, while live.
    """

    calls_a_day: float | None
    share: float | None
    seen: ObservedDisagreement | None
    certificate: Wait | None
    alarm: Wait
    audits_a_day: float | None


def outlook(contract: Contract, *, calls: float, surer: float, days: float, notice_s: float = NOTICE_S) -> Outlook:
    """calls, surer: estimated within so many days: all of the contract's, and those at or above the threshold that is
    live or else to be certified next."""
    terms = contract.terms
    alarm = until_noticed(terms.target)
    share = surer / calls if calls and threshold(contract) is not None else None
    seen = certificate = audits = None
    rung = _next(contract)
    if contract.threshold is None and contract.attempt is not None and rung is not None:
        seen = _seen(rung, terms.target)
        pairs, wrong = map(round, rung.worth)
        takes = until_certificate(terms.target, seen.estimate, contract.attempt.alpha, pairs=pairs, wrong=wrong)
        certificate = takes.over(share or 0.0)
    if contract.threshold is not None and days >= 1:
        a_day = surer / days
        audits = a_day * floor(alarm.most, answered_a_day=a_day, delay_days=notice_s / _DAY_S)
    return Outlook(
        calls_a_day=calls / days if days >= 1 else None,
        share=share,
        seen=seen,
        certificate=certificate,
        alarm=alarm,
        audits_a_day=audits,
    )


def threshold(contract: Contract) -> float | None:
    """The live one, or else the one that the running attempt is to certify next."""
    rung = _next(contract)
    return contract.threshold if contract.threshold is not None else rung.threshold if rung else None


def until_certificate(target: float, rate: float, alpha: float, *, pairs: int = 0, wrong: int = 0) -> Wait:
    """How many more pairs at or above a threshold it takes until it is certified, if `rate` of them disagree; infinite
    where the attempt is given up before. pairs, wrong: those that count already. alpha: what the attempt may spend."""
    most = max(1.0, longest(target) - pairs)
    looks = np.unique(np.geomspace(1, most, max(2, round(math.log(most, _STEP)))).astype(int))
    fresh = np.diff(looks, prepend=0)
    drawn = np.random.default_rng(0).binomial(fresh, rate, size=(_STREAMS, len(looks))).cumsum(axis=1)
    enough = against_at_least(pairs + looks, wrong + drawn, target) >= -math.log(alpha)
    return wait(np.where(enough.any(axis=1), looks[enough.argmax(axis=1)], np.inf))


def until_noticed(target: float) -> Wait:
    """How many audits it takes until twice the target is noticed (halfway to all, where twice would be more)."""
    return until_alarm(target, min(2 * target, (1 + target) / 2))


def until_alarm(target: float, rate: float) -> Wait:
    """How many audits it takes from when `rate` of them disagree until a detector's alarm, with no head start."""
    shares = np.array(rates(target))
    agrees, differs = (1 - shares) / (1 - target), shares / target
    chance = np.random.default_rng(0)
    sums = np.zeros((_STREAMS, len(shares)))
    alarmed = np.full(_STREAMS, np.inf)
    for audits in range(1, _LONGEST + 1):
        wrong = chance.random(_STREAMS) < rate
        # as much as raises the alarm by itself is enough: more would run over
        sums = np.minimum((sums + 1) * np.where(wrong[:, None], differs, agrees), LIMIT * len(shares))
        alarmed[np.isinf(alarmed) & (sums.mean(axis=1) >= LIMIT)] = audits
        if np.isfinite(alarmed).mean() > _MOST:
            break
    return wait(alarmed)


def _next(contract: Contract) -> Rung | None:
    rungs = contract.attempt.rungs if contract.attempt else ()
    return next((rung for rung in rungs if not rung.proven), None)


def _seen(rung: Rung, target: float) -> ObservedDisagreement:
    low, high = clopper_pearson(rung.pairs, rung.wrong, _OUTSIDE)
    pairs, wrong = rung.worth
    estimate = (wrong + PRIOR / 2) / (pairs + PRIOR / target)
    return ObservedDisagreement(
        threshold=rung.threshold, pairs=rung.pairs, wrong=rung.wrong, estimate=estimate, low=low, high=high
    )


def wait(counts: NDArray[np.float64]) -> Wait:
    """counts: for each stream, what it took; infinite where that never came."""
    median, most = np.quantile(counts, [0.5, _MOST], method="higher")
    return Wait(median=float(median), most=float(most))
