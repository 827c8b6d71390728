"""Probabilities → labels or an abstention. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from classifiers.model import Floats, Threshold
from classifiers.policy import OTHER
from classifiers.verdict import Abstention

EVEN = Threshold(act=0.5, unsure=0.5)
"""For a class without a threshold of its own."""

NOVEL: Final = "unlike anything it was trained on"
"""Why a text is not named whatever its probabilities: the reason of a choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the thresholds make of a text's probabilities; the fields are those of a Verdict."""

    labels: tuple[str, ...] = ()
    confidence: float = 0.0
    abstention: Abstention | None = None
    doubt: Abstention | None = None
    reason: str = ""


def name_one(
    classes: Sequence[str],
    probabilities: Floats,
    thresholds: Mapping[str, Threshold],
    *,
    novel: bool = False,
    has_other: bool = True,
) -> Choice:
    """Single-label. probabilities: (classes,) → the likeliest class, if it reaches its threshold.

    novel: the text is unlike training; it is `other` where the policy knows one (has_other), else unsure.
    """
    top = int(np.argmax(probabilities))
    label, confidence = classes[top], float(probabilities[top])
    if novel and label != OTHER:
        if has_other:
            return Choice(labels=(OTHER,), confidence=1 - confidence, reason=NOVEL)
        return Choice(confidence=confidence, abstention=Abstention.UNSURE, reason=NOVEL)
    needed = thresholds.get(label, EVEN).act
    if confidence < needed:
        reason = _too_low(label, confidence, needed)
        return Choice(confidence=confidence, abstention=Abstention.UNSURE, reason=reason)
    return Choice(labels=(label,), confidence=confidence)


def name_any(
    classes: Sequence[str],
    probabilities: Floats,
    thresholds: Mapping[str, Threshold],
    *,
    novel: bool = False,
) -> Choice:
    """Multi-label. probabilities: (classes,) → every class that reaches its threshold, likeliest first.

    A class in its grey band makes the choice unsure, beside whichever labels hold. A text in which nothing
    holds is clean, unless it is novel: then it is unsure.
    """
    limits = [thresholds.get(label, EVEN) for label in classes]
    order = np.argsort(-probabilities, kind="stable")
    labels = tuple(classes[index] for index in order if probabilities[index] >= limits[index].act)
    grey = [index for index in order if limits[index].unsure <= probabilities[index] < limits[index].act]
    highest = float(probabilities[order[0]])
    confidence = float(probabilities[classes.index(labels[0])]) if labels else 1 - highest
    if grey:
        first = grey[0]
        reason = _too_low(classes[first], float(probabilities[first]), limits[first].act)
        return Choice(labels=labels, confidence=confidence, abstention=Abstention.UNSURE, reason=reason)
    if novel and not labels:
        return Choice(confidence=confidence, abstention=Abstention.UNSURE, reason=NOVEL)
    return Choice(labels=labels, confidence=confidence)


def _too_low(label: str, probability: float, needed: float) -> str:
    return f"{label} at {probability:.3f}, " + ("never enough here" if needed > 1 else f"{needed:.3f} is needed")
