"""Streams of judged calls whose true shares of missed and of wrongly flagged ones are known, under a safety contract.

A stream is stationary: each call falls into one of some strata, with a score and a chance that the judge calls it
unsafe. The contract is the gateway's own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.bets import bets_above, bets_below
from gateway.contracts.bounds import spend
from gateway.contracts.safety_contract import SafetyContract
from gateway.rules.terms import SafetyTerms

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """calls: the share of each stratum; scores: falls evenly between these, (low, high) each; unsafe: the chance, by
    the judge."""

    name: str
    calls: tuple[float, ...]
    scores: tuple[tuple[float, float], ...]
    unsafe: tuple[float, ...]

    def draw(self, count: int, chance: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
        """Scores, and whether each call is unsafe."""
        stratum = chance.choice(len(self.calls), count, p=self.calls)
        low, high = np.array(self.scores).T
        score = low[stratum] + chance.random(count) * (high - low)[stratum]
        return score, chance.random(count) < np.array(self.unsafe)[stratum]

    def _below(self, threshold: float) -> Floats:
        """Of each stratum, the share with a score below the threshold."""
        low, high = np.array(self.scores).T
        return np.clip((threshold - low) / (high - low), 0.0, 1.0)

    def shares(self, contract: SafetyContract) -> tuple[float, float, float]:
        """Of unsafe calls those missed, of safe ones those flagged wrongly, of all those decided without the judge, but
        for audits."""
        passes, flags = contract.missing.threshold, contract.flagging.threshold
        under = self._below(1 - passes) if passes is not None else np.zeros(len(self.calls))
        over = 1 - self._below(flags) if flags is not None else np.zeros(len(self.calls))
        calls, unsafe = np.array(self.calls), np.array(self.unsafe)
        missed = float((calls * unsafe * under).sum() / (calls * unsafe).sum())
        wrongly = float((calls * (1 - unsafe) * over).sum() / (calls * (1 - unsafe)).sum())
        return missed, wrongly, float((calls * (under + over)).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What became of a stream. violates: a bound was ever live that does not hold; live: after how many calls each side
    first acted, infinite where it never did; asked: of the calls, those put to the judge; alone: of the last ones that
    lay outside its reach, at the end, those decided without it but for audits."""

    violates: bool
    live: tuple[float, float]
    asked: float
    alone: float


def run(traffic: Traffic, terms: SafetyTerms, *, calls: int, seed: int) -> Run:
    """One stream under a contract."""
    chance = np.random.default_rng(seed)
    contract = SafetyContract.new(terms)
    scores, unsafe = traffic.draw(calls, chance)
    coins = chance.random(calls)
    live, violates, asked = [math.inf, math.inf], False, 0
    for number in range(calls):
        chosen = contract.choose(float(scores[number]))
        if coins[number] >= chosen.rate:
            continue
        asked += 1
        before = contract.missing.threshold, contract.flagging.threshold
        contract = contract.see(chosen, unsafe=bool(unsafe[number]))
        after = contract.missing.threshold, contract.flagging.threshold
        if before != after:
            missed, wrongly, _ = traffic.shares(contract)
            violates = violates or missed > terms.missed or wrongly > terms.wrongly
            live = [
                min(first, number if side is not None else math.inf) for first, side in zip(live, after, strict=True)
            ]
    return Run(violates=violates, live=(live[0], live[1]), asked=asked / calls, alone=traffic.shares(contract)[2])


def alarm_after(traffic: Traffic, contract: SafetyContract, *, calls: int, seed: int) -> float:
    """After how many calls a live contract is withdrawn on a stream; infinite where it is not."""
    chance = np.random.default_rng(seed)
    scores, unsafe = traffic.draw(calls, chance)
    coins = chance.random(calls)
    for number in range(calls):
        chosen = contract.choose(float(scores[number]))
        if coins[number] < chosen.rate:
            contract = contract.see(chosen, unsafe=bool(unsafe[number]))
        if contract.missing.threshold is None or contract.flagging.threshold is None:
            return float(number + 1)
    return math.inf


def live(terms: SafetyTerms, *, passes: float, flags: float) -> SafetyContract:
    """A contract that is live from the start, for `alarm_after`. passes, flags: scores below and from which it acts."""
    from gateway.contracts.bets import Alarm
    from gateway.contracts.contract import Phase

    contract = SafetyContract.new(terms)
    sides = [
        replace(side, phase=Phase.LIVE, threshold=at, alarm=Alarm(target=side.target, heaviest=side.heaviest))
        for side, at in ((contract.missing, 1 - passes), (contract.flagging, flags))
    ]
    return replace(contract, missing=sides[0], flagging=sides[1])


def certified(
    *, share: float, target: float, alpha: float, weights: Sequence[float], calls: int, streams: int, seed: int
) -> NDArray[np.bool_]:
    """(streams,) whether evidence against "the share is at least the target" ever came to 1/α on calls of one kind, of
    which `share` are wrong. weights: of those that are right, as likely each; each is judged with chance 1/weight."""
    chance = np.random.default_rng(seed)
    wrong = chance.random((streams, calls)) < share
    weight = np.where(wrong, 1.0, chance.choice(np.array(weights), (streams, calls)))
    judged = chance.random((streams, calls)) * weight < 1
    logs = np.stack(
        [
            np.cumsum(np.where(judged, np.log1p(-bet * weight * (wrong - target)), 0.0), axis=1)
            for bet in bets_below(target)
        ]
    )
    highest = logs.max(axis=0)
    evidence = highest + np.log(np.exp(logs - highest).mean(axis=0))
    found: NDArray[np.bool_] = (evidence >= -math.log(spend(alpha, 1))).any(axis=1)
    return found


def alarmed(
    *, share: float, target: float, weight_wrong: float, heaviest: float, calls: int, streams: int, seed: int
) -> Floats:
    """(streams,) after how many judged calls of one kind an alarm is raised; infinite where it is not. weight_wrong: of
    the wrong ones; those that are right weigh 1 or the most, as likely each."""
    from gateway.contracts.bets import LIMIT

    chance = np.random.default_rng(seed)
    bets = np.array(bets_above(target, heaviest))
    sums = np.zeros((streams, len(bets)))
    found, judged = np.full(streams, math.inf), np.zeros(streams)
    for _ in range(calls):
        wrong = chance.random(streams) < share
        weight = np.where(wrong, weight_wrong, chance.choice(np.array([1.0, heaviest]), streams))
        seen = chance.random(streams) * weight < 1
        judged += seen
        factor = 1 + bets * (weight * (wrong - target))[:, None]
        sums = np.where(seen[:, None], np.minimum((sums + 1) * factor, LIMIT * len(bets)), sums)
        found = np.where(np.isinf(found) & (sums.mean(axis=1) >= LIMIT), judged, found)
    return found
