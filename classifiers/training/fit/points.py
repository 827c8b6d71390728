"""What each share of questions to a large stage buys, on held-out text: the points that a report shows. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.model import NEVER, Floats, Threshold
from classifiers.policy import Policy
from classifiers.training import goals, grey
from classifiers.training.grey import Bools
from classifiers.training.statistics import average_precision

SMALL_ALONE, LARGE_ALONE = "small alone", "large alone"

_SHARES = (0.05, 0.1, 0.15, 0.25, 0.5)
_NONE, _ALL = NEVER, replace(NEVER, unsure=-0.1)
"""Bands that ask the large stage about nothing, and about everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What both stages say of the held-out rows. rows: (n,) their indexes; used: (n,) which calibrate; on: what they
    are, for people; truth, small, large: (n, labels), both: the large one's with the small one's beside it; ms: of
    either encoder for a window of 32 tokens."""

    rows: NDArray[np.intp]
    used: Bools
    on: str
    truth: Bools
    small: Floats
    large: Floats
    both: Floats
    ms: tuple[float, float]

    @property
    def harmful(self) -> Bools:
        """(n,) whether any label holds."""
        return np.asarray(self.truth.any(axis=1), bool)


def points(policy: Policy, compared: Compared, most_asked: float) -> list[dict[str, Any]]:
    """Either stage alone and cascades by the share asked; most_asked: the one that is used.

    asked_of_harmless, asked: shares of held-out text; ms: for a window of 32 tokens of harmless text. Where a stage
    stands alone, the thresholds are there by which it would.
    """
    used, harmful = compared.used, compared.harmful
    bands: Mapping[str, Threshold] = {
        SMALL_ALONE: _NONE,
        **{
            f"cascade, {100 * share:.4g}%": grey.band(
                compared.small[used], harmful[used], most_asked=share, catch=grey.strictest(policy)
            )
            for share in sorted({*_SHARES, most_asked})
        },
        LARGE_ALONE: _ALL,
    }
    return [_point(policy, compared, name, limits) for name, limits in bands.items()]


def _point(policy: Policy, compared: Compared, name: str, limits: Threshold) -> dict[str, Any]:
    used, harmful = compared.used, compared.harmful
    harmless: Bools = used & ~harmful
    way = grey.through(compared.small, compared.large if name == LARGE_ALONE else compared.both, limits)
    scores = compared.small if name == SMALL_ALONE else way.certain
    chosen = goals.for_any(policy, scores[used], compared.truth[used], compared.on, larger=True)
    act = np.array([chosen.thresholds[label].act for label in policy.labels], np.float32)
    flagged: Bools = np.asarray((scores >= act).any(axis=1), bool)
    asked = float(way.asked[harmless].mean()) if harmless.any() else 0.0
    alone = {"thresholds": goals.describe(chosen.thresholds)} if name in {SMALL_ALONE, LARGE_ALONE} else {}
    return {
        "point": name,
        "asked_of_harmless": round(asked, 4),
        "asked": round(float(way.asked[used].mean()), 4),
        "caught": round(float(flagged[harmful & used].mean()), 4) if (harmful & used).any() else None,
        "alarms": round(float(flagged[harmless].mean()), 4) if harmless.any() else None,
        "auprc": average_precision(way.probabilities[used].max(axis=1), harmful[used]),
        "ms": round((0.0 if name == LARGE_ALONE else compared.ms[0]) + asked * compared.ms[1], 2),
        **alone,
    }
