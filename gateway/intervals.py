"""Limits of a rate from counts, for a number of calls that was fixed before. Pure.

They are quantiles of beta distributions, so incomplete beta functions. These are computed here, since serving does not
carry scipy.
Sources: Clopper, Pearson 1934 (limits); Press et al. 2007, section 6.4 (the incomplete beta function).
"""

import math

_HALVINGS = 45
_EXACT, _TINY, _MAX_STEPS = 1e-14, 1e-300, 100_000
"""Of a continued fraction: the relative change that ends it, and how many steps it has. It takes about as many as the
root of the larger parameter."""


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
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if log_beta_integral(a, b, middle, 1 - middle) < wanted else (low, middle)
    return (low + high) / 2


def log_beta(a: float, b: float) -> float:
    """The logarithm of the beta function. a, b: positive."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def log_beta_integral(a: float, b: float, x: float, rest: float) -> float:
    """The logarithm of the integral of t^(a-1) (1-t)^(b-1) from 0 to x. a, b: at least 1/2; x: in (0, 1); rest: 1 -
    x."""
    if x * (a + b + 2) <= a + 1:
        return _log_side(a, b, x, rest)
    # the fraction converges up to about the mean; beyond, the integral from x to 1 is taken from the whole
    whole = log_beta(a, b)
    return whole + math.log1p(-math.exp(_log_side(b, a, rest, x) - whole))


def _log_side(a: float, b: float, x: float, rest: float) -> float:
    """`log_beta_integral` by its continued fraction, for x up to about the mean."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for step in range(1, _MAX_STEPS):
        double = a + 2 * step
        even = step * (b - step) * x / ((double - 1) * double)
        odd = -(a + step) * (a + b + step) * x / (double * (double + 1))
        # never divided by zero
        c, d = 1 + even / c + _TINY, 1 / (1 + even * d + _TINY)
        fraction *= c * d
        c, d = 1 + odd / c + _TINY, 1 / (1 + odd * d + _TINY)
        fraction *= c * d
        if abs(c * d - 1) < _EXACT:
            break
    return a * math.log(x) + b * math.log(rest) - math.log(a) + math.log(fraction)
