"""Evidence from counts that holds whenever one looks: mixtures of likelihood ratios on one side of a target. Pure.

`pairs` disagreed `wrong` times. Against "disagreement is at least the target" the evidence is the mean, over rates q
below the target, of (likelihood at q) / (likelihood at the target); against "at most the target", the same over rates
above it. Under either hypothesis each ratio is a supermartingale that starts at 1, and so is their mean. By Ville's
inequality it ever reaches 1/α with a chance of at most α, however often it is looked at and whenever one stops.
scipy is imported where the first pair is weighed: a gateway without contracts does without.

Sources: Robbins 1970 (mixtures); Howard, Ramdas, McAuliffe, Sekhon 2021 (one-sided Beta-binomial mixtures);
Ramdas, Grünwald, Vovk, Shafer 2023 (e-processes).
"""

from typing import overload

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.integer]
Logs = NDArray[np.float64]

_MASS = 0.5
"""Of the Beta(1/2, 1) that weighs the rates: dense near zero, where a good classifier lies."""


@overload
def against_at_least(pairs: int, wrong: int, target: float) -> float: ...
@overload
def against_at_least(pairs: Counts, wrong: Counts, target: float) -> Logs: ...
def against_at_least(pairs: int | Counts, wrong: int | Counts, target: float) -> float | Logs:
    """The logarithm of the evidence against "the rate is at least `target`". target: in (0, 1). 0 without pairs."""
    from scipy.special import betainc

    below = betainc(_MASS + wrong, 1.0 + pairs - wrong, target)
    found = _log(below) - np.log(betainc(_MASS, 1.0, target)) + _ratio(pairs, wrong, target)
    return found if isinstance(found, np.ndarray) else float(found)


@overload
def against_at_most(pairs: int, wrong: int, target: float) -> float: ...
@overload
def against_at_most(pairs: Counts, wrong: Counts, target: float) -> Logs: ...
def against_at_most(pairs: int | Counts, wrong: int | Counts, target: float) -> float | Logs:
    """The logarithm of the evidence against "the rate is at most `target`". target: in (0, 1). 0 without pairs."""
    from scipy.special import betaincc

    above = betaincc(_MASS + wrong, 1.0 + pairs - wrong, target)
    found = _log(above) - np.log(betaincc(_MASS, 1.0, target)) + _ratio(pairs, wrong, target)
    return found if isinstance(found, np.ndarray) else float(found)


def _ratio(pairs: int | Counts, wrong: int | Counts, target: float) -> float | Logs:
    """log of: likelihood under the whole Beta over likelihood at the target."""
    from scipy.special import betaln

    whole = betaln(_MASS + wrong, 1.0 + pairs - wrong) - betaln(_MASS, 1.0)
    at_target = wrong * np.log(target) + (pairs - wrong) * np.log1p(-target)
    return whole - at_target  # type: ignore[no-any-return]


def _log(share: float | Logs) -> float | Logs:
    with np.errstate(divide="ignore"):
        return np.log(share)
