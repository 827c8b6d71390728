"""Evidence from counts that holds whenever one looks: mixtures of likelihood ratios on one side of a target. Pure.

`pairs` disagreed `wrong` times. Against "disagreement is at least the target" the evidence is the mean, over rates q
below the target, of (likelihood at q) / (likelihood at the target); against "at most the target", the same over rates
above it. Under either hypothesis each ratio is a supermartingale that starts at 1, and so is their mean. By Ville's
inequality it ever reaches 1/α with a chance of at most α, however often it is looked at and whenever one stops.
The mixture is the Beta(1/2, 1), so a mean is an incomplete beta function.

Not all pairs are seen with the same chance: once calls are answered here, those that are not so sure are all forwarded,
the others only where a coin chose them. A pair then counts by one over its chance, so that what is seen stands for all
calls, and the bet on it is kept so low that no pair can cost more than what was won.

Sources: Robbins 1970 (mixtures); Howard, Ramdas, McAuliffe, Sekhon 2021 (one-sided Beta-binomial mixtures);
Waudby-Smith, Ramdas 2024 (betting; with weights: Waudby-Smith, Wu, Ramdas, Karampatziakis, Mineiro 2022);
Ramdas, Grünwald, Vovk, Shafer 2023 (e-processes).
"""

import math
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from gateway.intervals import log_beta_integral

Counts = NDArray[np.integer]
Logs = NDArray[np.float64]

_MASS = 0.5
"""Of the Beta(1/2, 1) that weighs the rates: dense near zero, where a good classifier lies."""
_RATES = 32
"""Of disagreement, below the target, that weighted pairs are bet on."""


@overload
def against_at_least(pairs: int, wrong: int, target: float) -> float: ...
@overload
def against_at_least(pairs: Counts, wrong: Counts, target: float) -> Logs: ...
def against_at_least(pairs: int | Counts, wrong: int | Counts, target: float) -> float | Logs:
    """The logarithm of the evidence against "the rate is at least `target`". target: in (0, 1). 0 without pairs."""
    below = _log_integrals(_MASS + wrong, 1.0 + pairs - wrong, target, 1 - target)
    found: float | Logs = below + math.log(_MASS) - _MASS * math.log(target) - _log_likelihood(pairs, wrong, target)
    return found


@overload
def against_at_most(pairs: float, wrong: float, target: float) -> float: ...
@overload
def against_at_most(pairs: Counts, wrong: Counts, target: float) -> Logs: ...
def against_at_most(pairs: float | Counts, wrong: float | Counts, target: float) -> float | Logs:
    """The logarithm of the evidence against "the rate is at most `target`". target: in (0, 1). 0 without pairs."""
    above = _log_integrals(1.0 + pairs - wrong, _MASS + wrong, 1 - target, target)
    found: float | Logs = above + math.log(_MASS) - math.log1p(-(target**_MASS)) - _log_likelihood(pairs, wrong, target)
    return found


def weighted_against_at_least(
    pairs: Counts, wrong: Counts, target: float, *, chance: Sequence[float], least: Sequence[float]
) -> Logs:
    """The logarithm of the evidence against "the rate among all calls is at least `target`", from pairs of which some
    were less likely to be seen: (..., kinds) → (...). 0 without pairs.

    chance: that a pair of each kind had to be seen, in (0, 1]; least: that any pair had at the time, which limits the
    bets. Where all were sure to be seen it is `against_at_least`, with the mixture taken at few rates.
    """
    # as the Beta(1/2, 1) spreads them
    rates = target * ((np.arange(_RATES) + 0.5) / _RATES) ** 2
    bets = (target - rates) / (target * (1 - target))
    bets = np.minimum(bets, np.outer(least, bets[0])) / np.reshape(chance, (-1, 1))
    logs = wrong @ np.log1p(-bets * (1 - target)) + (pairs - wrong) @ np.log1p(bets * target)
    most = logs.max(axis=-1, keepdims=True)
    found = most[..., 0] + np.log(np.exp(logs - most).mean(axis=-1))
    return np.asarray(found, np.float64)


def _log_likelihood(pairs: Any, wrong: Any, target: float) -> Any:
    return wrong * math.log(target) + (pairs - wrong) * math.log1p(-target)


def _log_integrals(a: Any, b: Any, x: float, rest: float) -> Any:
    """`log_beta_integral` of floats, or of each element of arrays."""
    if not isinstance(a + b, np.ndarray):
        return log_beta_integral(a, b, x, rest)
    # streams of pairs come to the same few counts
    counts, places = np.unique(a + 1j * b, return_inverse=True)
    logs = [log_beta_integral(float(count.real), float(count.imag), x, rest) for count in counts]
    return np.asarray(logs)[places].reshape(np.shape(a + b))
