"""Probabilities → labels or an abstention: thresholds, bands of length and language, novelty. Pure.

Novelty is measured by the largest logit of the labels, which separates text of unknown labels better than nearest
neighbours, Mahalanobis distances, energy, probabilities or sums of them (docs/design/001-heads-and-thresholds.md).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from classifiers.model.model import Band, Floats, Novelty, Stage, Threshold
from classifiers.policy import OTHER
from classifiers.text.language import ANY, Stretch, detectable
from classifiers.verdict import Abstention

CUTS = (0, 40, 120)
"""Characters between bands: a few words, a sentence or two, more."""

Families = Mapping[str, frozenset[str]]
"""The detector's codes for each of a policy's languages."""


def families(languages: Iterable[str]) -> Families:
    """The codes of a policy's languages, where it names several and the detector knows them all; else empty."""
    named = tuple(dict.fromkeys(languages))
    if len(named) < 2 or ANY in named:
        return {}
    codes = {language: detectable([language]) for language in named}
    return codes if all(codes.values()) else {}


def language_of(stretches: Iterable[Stretch], known: Families) -> str:
    """The likeliest language of a text among `known`; empty where no stretch is in any."""
    listed = list(stretches)
    shares = {
        language: sum(stretch.chars * sum(stretch.likely.get(code, 0.0) for code in codes) for stretch in listed)
        for language, codes in known.items()
    }
    best = max(shares, key=lambda language: shares[language], default="")
    return best if best and shares[best] > 0 else ""


def band_of(chars: int, language: str) -> Band:
    """The band of a text. chars: its length after normalising."""
    for above, up_to in pairwise(CUTS):
        if chars <= up_to:
            return Band(above=above, up_to=up_to, language=language)
    return Band(above=CUTS[-1], up_to=None, language=language)


def within(stage: Stage, chars: int, language: str) -> Stage:
    """The stage with its thresholds for texts of this length and language."""
    own = next((limits for band, limits in stage.bands.items() if band.holds(chars, language)), None)
    return stage if own is None else replace(stage, thresholds=own)


NOVELTY_LIMIT = 0.5
"""The limit where novelty is measured by logits."""

_FLAT = 60.0
"""Widths beyond which exp would overflow and nothing changes."""


def score(novelty: Novelty, vectors: Floats, logits: Floats) -> Floats:
    """Novelty, (n,) 0..1: by the largest logit, or 1 - the highest cosine to a prototype; zeros where there is neither.
    vectors: (n, dimensions) of length 1; logits: (n, labels) without `other`, before calibration."""
    if novelty.usual is not None:
        widths = (logits.max(axis=1) - novelty.usual.level) / novelty.usual.width
        novel: Floats = (1 / (1 + np.exp(widths.clip(-_FLAT, _FLAT)))).astype(np.float32)
        return novel
    if not len(novelty.prototypes):
        return np.zeros(len(vectors), np.float32)
    away: Floats = (1 - (vectors @ novelty.prototypes.T).max(axis=1)).clip(0.0, 1.0)
    return away


EVEN = Threshold(act=0.5, unsure=0.5)
"""The threshold of a class without its own."""

NOVEL_REASON: Final = "unlike anything it was trained on"
"""The reason of a choice for novel text, whatever its probabilities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChoice:
    """The labels that the thresholds choose; the fields are those of a Verdict."""

    labels: tuple[str, ...] = ()
    confidence: float = 0.0
    abstention: Abstention | None = None
    doubts: tuple[Abstention, ...] = ()
    reason: str = ""


def name_one(
    classes: Sequence[str], probabilities: Floats, thresholds: Mapping[str, Threshold], *, novel: bool = False
) -> LabelChoice:
    """Single-label. probabilities: (classes,) → the likeliest class, if it reaches its threshold. novel: the text is
    unlike training, so it is unsure."""
    top = int(np.argmax(probabilities))
    label, confidence = classes[top], float(probabilities[top])
    if novel and label != OTHER:
        return LabelChoice(confidence=confidence, abstention=Abstention.UNSURE, reason=NOVEL_REASON)
    needed = thresholds.get(label, EVEN).act
    if confidence < needed:
        reason = _too_low(label, confidence, needed)
        return LabelChoice(confidence=confidence, abstention=Abstention.UNSURE, reason=reason)
    return LabelChoice(labels=(label,), confidence=confidence)


def name_any(
    classes: Sequence[str], probabilities: Floats, thresholds: Mapping[str, Threshold], *, novel: bool = False
) -> LabelChoice:
    """Multi-label. probabilities: (classes,) → every class that reaches its threshold, likeliest first. A class in its
    grey band makes the choice unsure, whichever labels hold. A text without a label is clean, unless it is novel: then
    it is unsure."""
    limits = [thresholds.get(label, EVEN) for label in classes]
    order = np.argsort(-probabilities, kind="stable")
    labels = tuple(classes[index] for index in order if probabilities[index] >= limits[index].act)
    grey = [index for index in order if limits[index].unsure <= probabilities[index] < limits[index].act]
    highest = float(probabilities[order[0]])
    confidence = float(probabilities[classes.index(labels[0])]) if labels else 1 - highest
    if grey:
        first = grey[0]
        reason = _too_low(classes[first], float(probabilities[first]), limits[first].act)
        return LabelChoice(labels=labels, confidence=confidence, abstention=Abstention.UNSURE, reason=reason)
    if novel and not labels:
        return LabelChoice(confidence=confidence, abstention=Abstention.UNSURE, reason=NOVEL_REASON)
    return LabelChoice(labels=labels, confidence=confidence)


def _too_low(label: str, probability: float, needed: float) -> str:
    return f"{label} at {probability:.3f}, " + ("never enough here" if needed > 1 else f"{needed:.3f} is needed")
