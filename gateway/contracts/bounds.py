"""Bounds on a rate that may be read at any time, and how a chance of error is spent over attempts. Pure."""

import math

from gateway.contracts.evidence import against_at_least, against_at_most

_HALVINGS = 40


def upper_at_any_time(pairs: int, wrong: int, alpha: float) -> float:
    """An upper limit that may be read after every pair: with a chance of 1 - alpha it never lies below the rate. It is
    the least target that the evidence rejects."""
    if wrong == pairs:
        return 1.0
    enough = -math.log(alpha)
    low, high = wrong / pairs, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if against_at_least(pairs, wrong, middle) >= enough else (middle, high)
    return high


def lower_at_any_time(pairs: int, wrong: int, alpha: float) -> float:
    """The same from below: with a chance of 1 - alpha the rate never lies below it."""
    if not wrong:
        return 0.0
    enough = -math.log(alpha)
    low, high = 0.0, wrong / pairs
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if against_at_most(pairs, wrong, middle) >= enough else (low, middle)
    return low


def spend(alpha: float, attempt: int) -> float:
    """The part of `alpha` that the attempt may use; all parts together come to alpha. attempt: from 1."""
    return alpha * 6 / (math.pi * attempt) ** 2


def longest(target: float) -> float:
    """Pairs at a threshold after which an attempt at it is given up: several times as many as a certificate takes where
    nothing disagrees, however strict the target."""
    return max(3000.0, 60.0 / target)


def pairs_until(target: float, rate: float, alpha: float) -> float:
    """About how many pairs it takes until evidence tells `rate` from `target`: ln(1/α) over the information that a
    pair holds. Infinite where they are equal (Wald 1945)."""
    information = rate * math.log(rate / target) if rate else 0.0
    information += (1 - rate) * math.log((1 - rate) / (1 - target))
    return -math.log(alpha) / information if information > 0 else math.inf
