"""How wide the grey band of a small stage is, and what becomes of text that goes through two stages. Pure.

The small stage settles text that it is sure of; the band between its two thresholds is what the large one is asked.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats, Threshold
from classifiers.policy import LabelGoal, Policy

Bools = NDArray[np.bool_]

SURE_ALARMS = 0.005
"""Of harmless text that the small stage may flag by itself: half of what a label's goal allows by default. With a
fifth, the edge lay above nearly all harmful text, and the large stage was asked about three quarters of it to no gain.
"""
SURE_MISSES = 0.005
"""Of harmful text that the small stage may call clean where the share asked allows it; wider is of no use."""
_LEAST_SURE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where each text is settled. flagged, asked: (n,) by the small stage, by the large one; the rest is clean.

    probabilities: (n, labels) of the stage that settled it.
    """

    flagged: Bools
    asked: Bools
    probabilities: Floats

    def certain(self, act: float) -> Floats:
        """(n, labels) for choosing the large stage's thresholds. Where the small one has decided, 0 of clean text; of
        flagged text 1 for what is certain, and as it is for what may be named beside that."""
        decided = np.where(self.probabilities >= act, np.float32(1), self.probabilities) * self.flagged[:, None]
        return np.where(self.asked[:, None], self.probabilities, decided)


def strictest(policy: Policy) -> LabelGoal:
    """Of a policy's goals for safety the least that may go wrong, on either side."""
    stated = [policy.goal] if policy.goal else [label.goal or LabelGoal() for label in policy.labels.values()]
    return LabelGoal(catch=max(one.catch for one in stated), false_alarms=min(one.false_alarms for one in stated))


def band(probabilities: Floats, harmful: Bools, *, most_asked: float, goal: LabelGoal | None = None) -> Threshold:
    """The small stage's thresholds, the same for all labels, since any of them flags a text.

    probabilities: (n, labels) of held-out text by the small stage; harmful: (n,); most_asked: share of harmless text
    that may go on to the large stage. It is less where hardly any harmful text lies lower. goal: the strictest of the
    policy's; what the small stage settles wrongly is at most half of what that allows.
    """
    wanted = goal or LabelGoal()
    alarms, misses = min(SURE_ALARMS, wanted.false_alarms / 2), min(SURE_MISSES, (1 - wanted.catch) / 2)
    highest = probabilities.max(axis=1)
    harmless, found = np.sort(highest[~harmful])[::-1], np.sort(highest[harmful])
    act, asked, lowest = _LEAST_SURE, 0.0, 0.0
    if len(harmless):
        act = max(act, float(np.nextafter(harmless[int(alarms * len(harmless))], np.float32(2))))
        place = int(most_asked * len(harmless))
        asked = float(np.nextafter(harmless[place], np.float32(2))) if place < len(harmless) else 0.0
    if len(found):
        lowest = float(found[int(misses * len(found))])
    act = min(act, 1.0)
    return Threshold(act=act, unsure=min(max(asked, lowest), act))


def through(small: Floats, large: Floats, limits: Threshold) -> Way:
    """small, large: (n, labels) probabilities by either stage, the large one's as if it were asked about all."""
    highest = small.max(axis=1)
    flagged, clean = highest >= limits.act, highest < limits.unsure
    asked = ~(flagged | clean)
    return Way(flagged=flagged, asked=asked, probabilities=np.where(asked[:, None], large, small))
