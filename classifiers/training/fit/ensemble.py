"""Two judges as one, weighted by held-out text: two stages, two heads on one encoder, or heads and a guard. Pure.

All are log-linear pools (Genest and Zidek 1986). Judges that err apart are right together more often than either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.model.model import Calibration, Floats
from classifiers.runtime.heads import logit, pooled_one
from classifiers.training import calibrate
from classifiers.training.fit.linear import Ints

BLEND_SHARES: Sequence[float] = (0.0, 0.25, 0.4, 0.5, 0.6, 0.75)
"""Of the stage before, of which the one that makes held-out text likeliest is taken."""
WRITTEN_SHARE = 0.25
"""Of a table of words beside heads that written text calibrates: one writer shares words, so held-out text would give
the table too much. benchmarks/results/ablations/023-few-words.md."""

_MOST_EARLIER = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """A stage and the one before it as one. earlier, calibration: as the stage is to hold them. probabilities: (n,
    classes) of both together; loss: how unlikely these make the truth, where shares were tried."""

    earlier: float
    calibration: Calibration
    probabilities: Floats
    loss: float = 0.0


def blend(
    calibration: Calibration,
    before: Floats,
    own: Floats,
    truth: Ints,
    used: NDArray[np.bool_],
    *,
    spared: NDArray[np.bool_] | None = None,
    shares: Sequence[float] = BLEND_SHARES,
) -> Blend:
    """Choose how much the stage before counts.

    calibration: the stage's by itself.
    before, own: (n, classes) calibrated probabilities of held-out rows by the stage before and by this one.
    truth: (n,) classes; used: (n,) which rows count.
    spared: (n,) those of which the stage before may cost none that comes out right without it.
    shares: to try, one of them 0 where some are spared.
    """
    few, tried = np.zeros(len(truth), bool) if spared is None else spared, []
    least = int((own.argmax(axis=1) == truth)[few].sum())
    for share in shares:
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


_HALF, _MOST_OWN = 0.5, 0.98
"""What a guard and the heads count where no row tells; rows move it, and the offset, as far as a spread of 1 allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardEvidence:
    """What judges say of held-out rows. A kind is a label, or labels that the guard does not part. guard: (n, kinds)
    log-odds; own: (n, kinds) calibrated probabilities of the policy's heads. fewer: (n,) what the guard's log-odds lose
    for the number of windows of a row."""

    guard: Floats
    own: Floats
    fewer: Floats

    def only(self, rows: NDArray[np.bool_]) -> "GuardEvidence":
        """Of some rows. rows: (n,) a mask."""
        return GuardEvidence(guard=self.guard[rows], own=self.own[rows], fewer=self.fewer[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Log-odds = guard * the guard's log-odds + own * those of the policy's heads + offset. Each (kinds,)."""

    guard: Floats
    own: Floats
    offset: Floats

    def probabilities(self, evidence: GuardEvidence) -> Floats:
        """(n, kinds)"""
        odds = _stacked(np.stack([self.guard, self.own, self.offset]), evidence)
        return (0.5 + 0.5 * np.tanh(0.5 * odds)).astype(np.float32)


def stack(evidence: GuardEvidence, holds: NDArray[np.bool_]) -> Stack:
    """A logistic regression for each kind (Wolpert 1992, "Stacked Generalization"). holds: (n, kinds) the truth. A
    guard never counts against what it stands for, and some of the judgement is always its own. Of targets, Platt's
    smoothing."""
    from scipy.optimize import minimize

    fits = []
    for kind in range(holds.shape[1]):
        one = GuardEvidence(guard=evidence.guard[:, [kind]], own=evidence.own[:, [kind]], fewer=evidence.fewer)
        positives = int(holds[:, kind].sum())
        high, low = (positives + 1) / (positives + 2), 1 / (len(holds) - positives + 2)
        target = np.where(holds[:, [kind]], high, low)

        def surprise(weights: NDArray[np.float64], one: GuardEvidence = one, target: Any = target) -> float:
            odds = _stacked(weights[:, None], one)
            far = weights - (_HALF, _HALF, 0.0)
            return float((np.logaddexp(0, odds) - target * odds).sum() + 0.5 * far @ far)

        bounds = [(0.0, None), (0.0, _MOST_OWN), (None, None)]
        fits.append(minimize(surprise, [_HALF, _HALF, 0.0], method="L-BFGS-B", bounds=bounds).x)
    guard, own, offset = np.array(fits, np.float32).T
    return Stack(guard=guard, own=own, offset=offset)


def stacking_loss(evidence: GuardEvidence, holds: NDArray[np.bool_], folds: Ints) -> tuple[float, float]:
    """How unlikely a guard and the heads make the truth, each row judged by a fit without its fold, and the heads
    alone: the mean log loss. folds: (n,)."""
    both = evidence.own.copy()
    for fold in np.unique(folds):
        here = folds == fold
        if not here.all():
            both[here] = stack(evidence.only(~here), holds[~here]).probabilities(evidence.only(here))
    signs = np.where(holds, -1, 1)
    with_guard, alone = (float(np.logaddexp(0, signs * logit(part)).mean()) for part in (both, evidence.own))
    return with_guard, alone


def _stacked(weights: NDArray[Any], evidence: GuardEvidence) -> NDArray[np.float64]:
    """(n, kinds). weights: (3, kinds), as of Stack. What a row's number of windows takes is in the heads' already."""
    guard, own, offset = weights
    lost = (1 - own) * evidence.fewer[:, None]
    total: NDArray[np.float64] = guard * evidence.guard + own * logit(evidence.own) + offset - lost
    return total
