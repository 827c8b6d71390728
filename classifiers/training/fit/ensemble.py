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
    few, tried = np.zeros(len(truth), bool) if spared is None else spared, []
    least = int((own.argmax(axis=1) == truth)[few].sum())
    for share in BLEND_SHARES:
        logits = np.log(np.maximum(pooled_one(own, before, share), 1e-30))
        if not share or int((logits.argmax(axis=1) == truth)[few].sum()) >= least:
            shown = logits[used], truth[used]
            tried.append((calibrate.loss(*shown), share, calibrate.temperature(*shown)))
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


def pool(tuned: Floats, fitted: Floats, truth: Ints) -> tuple[float, float]:
    """What a tuned head's logits and a fitted one's are multiplied by before they are added. The sum is one head with
    a sum of their matrices.

    tuned, fitted: (n, classes) logits of text that neither head has seen; truth: (n,).
    Each is scaled by its own temperature first, so that a share is one of equally certain heads. Of equally good
    shares the tuned head's larger one is taken.
    """
    scales = calibrate.temperature(tuned, truth), calibrate.temperature(fitted, truth)
    pools = [(1.0, 0.0), *((share * scales[0] / scales[1], 1 - share) for share in reversed(POOL_SHARES[:-1]))]
    return min(pools, key=lambda own: calibrate.loss(own[0] * tuned + own[1] * fitted, truth))
