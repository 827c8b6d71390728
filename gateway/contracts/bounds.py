"""Bounds on a rate from counts, and how a chance of error is spent over attempts. Pure."""

import math

from gateway.contracts.evidence import against_at_least, against_at_most, log_beta, log_beta_integral

_HALVINGS = 40
_QUANTILE_HALVINGS = 45


def clopper_pearson(pairs: int, wrong: int, alpha: float) -> tuple[float, float]:
    """Lower and upper limits of a rate, each wrong with a chance of at most `alpha`, for a number of pairs that was
    fixed before they were seen (Clopper, Pearson 1934). (0, 1) without pairs."""
    lower = beta_quantile(wrong, pairs - wrong + 1, alpha) if wrong else 0.0
    upper = 1 - beta_quantile(pairs - wrong, wrong + 1, alpha) if wrong < pairs else 1.0
    return lower, upper


def is_rate_below(pairs: int, wrong: int, alpha: float, bound: float) -> bool:
    """Whether the upper limit of `clopper_pearson` is at most `bound`, without computing it. bound: in (0, 1)."""
    if wrong == pairs:
        return False
    above = log_beta_integral(pairs - wrong, wrong + 1, 1 - bound, bound) - log_beta(pairs - wrong, wrong + 1)
    return above <= math.log(alpha)


def beta_quantile(a: float, b: float, share: float) -> float:
    """The value below which a Beta(a, b) variable lies with the chance `share`, to 1e-12. share: in (0, 1)."""
    if share > 0.5:
        return 1 - beta_quantile(b, a, 1 - share)
    wanted = math.log(share) + log_beta(a, b)
    low, high = 0.0, 1.0
    for _ in range(_QUANTILE_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if log_beta_integral(a, b, middle, 1 - middle) < wanted else (low, middle)
    return (low + high) / 2


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
