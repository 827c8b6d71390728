"""What a small stage clears, and what becomes of text that goes through two stages. Pure.

The small stage settles text that it is sure is clean; about everything else the large one is asked. What is flagged is
rare in traffic, and the two together order it far better than the small one does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.model import NEVER, Floats, Threshold
from classifiers.policy import LabelGoal, Policy
from classifiers.training.statistics import most

Bools = NDArray[np.bool_]

SURE_MISSES = 0.005
"""Of harmful text that the small stage may call clean where the share asked allows it; wider is of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where each text is settled. asked: (n,) by the large stage; the rest is clean.

    probabilities: (n, labels) of the stage that settled it.
    """

    asked: Bools
    probabilities: Floats

    @property
    def certain(self) -> Floats:
        """(n, labels) for choosing the large stage's thresholds: 0 of what the small one has cleared."""
        return np.where(self.asked[:, None], self.probabilities, np.float32(0))


def strictest(policy: Policy) -> float:
    """Of a policy's goals for safety with a larger encoder the largest share of harmful text that is to be caught."""
    _, goal = policy.goal_where(larger=True)
    stated = [goal] if goal else [label.goal or LabelGoal() for label in policy.labels.values()]
    return max(one.catch for one in stated)


def band(probabilities: Floats, harmful: Bools, *, most_asked: float, catch: float = LabelGoal().catch) -> Threshold:
    """The small stage's thresholds, the same for all labels, since any of them flags a text: below `unsure` a text is
    clean, and nothing is flagged by that stage alone.

    probabilities: (n, labels) of held-out text by the small stage; harmful: (n,); most_asked: share of harmless text
    that may go on to the large stage. It is less where hardly any harmful text lies lower. catch: the strictest of the
    policy's; what the small stage clears wrongly is at most half of what that allows, unless `most_asked` leaves more.
    """
    misses = min(SURE_MISSES, (1 - catch) / 2)
    highest = probabilities.max(axis=1)
    harmless, found = np.sort(highest[~harmful])[::-1], np.sort(highest[harmful])
    place = most(most_asked, len(harmless))
    asked = _beyond(float(harmless[place])) if place < len(harmless) else 0.0
    lowest = float(found[most(misses, len(found))]) if len(found) else 0.0
    return Threshold(act=NEVER.act, unsure=max(asked, lowest))


def _beyond(probability: float) -> float:
    """The lowest threshold that a probability does not reach: `NEVER`'s of what is certain."""
    limit = float(np.nextafter(np.float32(probability), np.float32(2)))
    return limit if limit <= 1 else NEVER.unsure


def through(small: Floats, large: Floats, limits: Threshold) -> Way:
    """small, large: (n, labels) probabilities by either stage, the large one's as if it were asked about all."""
    asked: Bools = np.asarray(small.max(axis=1) >= limits.unsure, bool)
    return Way(asked=asked, probabilities=np.where(asked[:, None], large, small))
