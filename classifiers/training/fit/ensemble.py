"""Two judges as one, weighted by held-out text: two stages, or two heads on one encoder. Pure.

Both are log-linear pools (Genest and Zidek 1986). Judges that err apart are right together more often than either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifiers.model.model import Calibration, Floats
from classifiers.runtime.heads import pooled_one
from classifiers.training import calibrate
from classifiers.training.fit.linear import Ints

BLEND_SHARES: Sequence[float] = (0.0, 0.25, 0.4, 0.5, 0.6, 0.75)
"""Of the stage before, of which the one that makes held-out text likeliest is taken."""

_MOST_EARLIER = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """A stage and the one before it as one.

    earlier, calibration: as the stage is to hold them.
    probabilities: (n, classes) of both together; loss: how unlikely these make the truth.
    """

    earlier: float
    calibration: Calibration
    probabilities: Floats
    loss: float


def blend(
    calibration: Calibration,
    before: Floats,
    own: Floats,
    truth: Ints,
    used: NDArray[np.bool_],
    *,
    spared: NDArray[np.bool_] | None = None,
) -> Blend:
    """Choose how much the stage before counts.

    calibration: the stage's by itself.
    before, own: (n, classes) calibrated probabilities of held-out rows by the stage before and by this one.
    truth: (n,) classes; used: (n,) which rows count.
    spared: (n,) those of which the stage before may cost none that comes out right without it.
    """
    tried = []
    few = np.zeros(len(truth), bool) if spared is None else spared
    least = int((own.argmax(axis=1) == truth)[few].sum())
    for share in BLEND_SHARES:
        logits = np.log(np.maximum(pooled_one(own, before, share), 1e-30))
        if share and int((logits.argmax(axis=1) == truth)[few].sum()) < least:
            continue
        tried.append(
            (calibrate.loss(logits[used], truth[used]), share, calibrate.temperature(logits[used], truth[used]))
        )
    loss, share, sharper = min(tried)
    earlier = min(share * sharper, _MOST_EARLIER)
    scale = sharper * (1 - share) / (1 - earlier)
    sharpened = own.astype(np.float64) ** scale
    sharpened /= sharpened.sum(axis=1, keepdims=True)
    return Blend(
        earlier=earlier,
        # a power of probabilities is a multiple of all that stands in the exponent
        calibration=replace(
            calibration,
            scale=(calibration.scale * scale).astype(np.float32),
            offset=(calibration.offset * scale).astype(np.float32),
        ),
        probabilities=pooled_one(sharpened.astype(np.float32), before, earlier),
        loss=loss,
    )


POOL_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the tuned head, of which the one that makes held-out text likeliest is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What the tuned head's logits and the fitted head's are multiplied by before they are added."""

    tuned: float
    fitted: float


def pool(tuned: Floats, fitted: Floats, truth: Ints) -> Pool:
    """Choose how much a tuned head and a fitted one count. A sum of their logits is one head with a sum of their
    matrices.

    tuned, fitted: (n, classes) logits of text that neither head has seen; truth: (n,).
    Each is scaled by its own temperature first, so that a share is one of equally certain heads. Of equally good
    shares the tuned head's larger one is taken.
    """
    tuned_scale, fitted_scale = calibrate.temperature(tuned, truth), calibrate.temperature(fitted, truth)
    pools = [Pool(tuned=share * tuned_scale / fitted_scale, fitted=1 - share) for share in POOL_SHARES[:-1]]
    pools.append(Pool(tuned=1.0, fitted=0.0))
    return min(reversed(pools), key=lambda pair: calibrate.loss(pair.tuned * tuned + pair.fitted * fitted, truth))
