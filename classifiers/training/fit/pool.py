"""Two heads on one encoder as one: a weighted sum of their logits, which is a weighted sum of their matrices. Pure.

A log-linear pool (Genest and Zidek 1986): the tuned head knows what its encoder was tuned for, the fitted one what
its neighbours say; on text that neither has seen they err apart.
"""

from dataclasses import dataclass

from classifiers.model import Floats
from classifiers.training import calibrate
from classifiers.training.fit.linear import Ints

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the tuned head, of which the one that makes held-out text likeliest is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What the tuned head's logits and the fitted head's are multiplied by before they are added."""

    tuned: float
    fitted: float


def pool(tuned: Floats, fitted: Floats, truth: Ints) -> Pool:
    """tuned, fitted: (n, classes) logits of text that neither head has seen; truth: (n,).

    Each is scaled by its own temperature first, so that a share is one of equally certain heads. Of equally good
    shares the tuned head's larger one is taken.
    """
    tuned_scale, fitted_scale = calibrate.temperature(tuned, truth), calibrate.temperature(fitted, truth)
    pools = [Pool(tuned=share * tuned_scale / fitted_scale, fitted=1 - share) for share in SHARES[:-1]]
    pools.append(Pool(tuned=1.0, fitted=0.0))
    return min(reversed(pools), key=lambda one: calibrate.loss(one.tuned * tuned + one.fitted * fitted, truth))
