"""What a stage makes of a text: whether it settles it, and how the stages' answers become one. Pure.

Stages are asked in order; the last one decides what no other has settled.
- Single-label: a stage settles a text whose likeliest class reaches the stage's threshold and which is not novel.
- Safety: a stage settles each window for itself: as flagged where some label reaches `act`, as clean where all labels
  lie below `unsure` and the window is not novel. The other windows go on to the next stage, and what that one makes
  of them, with what this one did beside it as far as it counts, stands in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifiers.model.model import Floats, Stage, Threshold
from classifiers.policy import OTHER
from classifiers.runtime import heads, thresholds
from classifiers.runtime.thresholds import EVEN, LabelChoice, name_any, name_one


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """What a stage says of windows that it settles. probabilities: (windows, classes); away: (windows,) novelty."""

    stage: Stage
    probabilities: Floats
    away: Floats

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "StageResult":
        """The same of some windows. chosen: (windows,) whether each is, or the places of those that are."""
        return replace(self, probabilities=self.probabilities[chosen], away=self.away[chosen])


def whole(vectors: Floats, lengths: Floats) -> Floats:
    """What the windows of a text come to where one label is named: their mean, (1, dimensions) of length 1. vectors:
    (windows, dimensions) of length 1, at least one; lengths: (windows,) tokens in each."""
    if len(vectors) == 1:
        return vectors
    mean = (vectors * lengths[:, None]).sum(axis=0, keepdims=True)
    unit: Floats = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return unit


def score(stage: Stage, vectors: Floats) -> tuple[Floats, Floats]:
    """vectors: (n, dimensions) of length 1 → logits (n, classes) before calibration, and novelty (n,)."""
    scores = heads.linear_logits(stage.head, vectors)
    if stage.nearest is not None:
        scores = scores + heads.nearest_logits(stage.nearest, stage.novelty.prototypes, vectors, scores)
    own = scores[:, :-1] if stage.head.classes[-1] == OTHER else scores
    return scores, thresholds.score(stage.novelty, vectors, own)


def part(stage: Stage, vectors: Floats, *, multi_label: bool, among: NDArray[np.intp] | None = None) -> StageResult:
    """What a stage makes of some windows. vectors: (windows, dimensions) of length 1; among: (windows,) how many
    windows the text has that each is of, where not one."""
    scores, away = score(stage, vectors)
    probabilities = heads.probabilities(stage.calibration, scores, multi_label=multi_label, among=among)
    return StageResult(stage=stage, probabilities=probabilities, away=away)


def beside(told: StageResult, before: StageResult, *, multi_label: bool) -> StageResult:
    """What a stage makes of windows together with what the stage before made of the same ones."""
    if not told.stage.earlier:
        return told
    pool = heads.pooled if multi_label else heads.pooled_one
    return replace(told, probabilities=pool(told.probabilities, before.probabilities, told.stage.earlier))


def settles(told: StageResult) -> bool:
    """Single-label: whether a stage that is not the last settles the text. told: of the whole text, one row."""
    probabilities = told.probabilities[0]
    top = int(np.argmax(probabilities))
    limit = told.stage.thresholds.get(told.stage.head.classes[top], EVEN)
    return bool(probabilities[top] >= limit.act and told.away[0] <= told.stage.novelty.limit)


def settled(told: StageResult) -> NDArray[np.bool_]:
    """Safety: (windows,) which of them a stage that is not the last settles."""
    limits = [told.stage.thresholds.get(label, EVEN) for label in told.stage.head.classes]
    act, unsure = (np.array([getattr(limit, name) for limit in limits], np.float32) for name in ("act", "unsure"))
    flagged = (told.probabilities >= act).any(axis=1)
    clean = (told.probabilities < unsure).all(axis=1) & (told.away <= told.stage.novelty.limit)
    return np.asarray(flagged | clean)


def decide_one(told: StageResult, *, has_other: bool) -> LabelChoice:
    """Single-label: what the stage that settled a text, or the last, says of it. told: one row."""
    return name_one(
        told.stage.head.classes,
        told.probabilities[0],
        told.stage.thresholds,
        novel=bool(told.away[0] > told.stage.novelty.limit),
        has_other=has_other,
    )


def decide_any(parts: Sequence[StageResult], last: Stage) -> tuple[LabelChoice, Floats]:
    """Safety: what all stages together say, and for each label its highest probability (labels,).

    parts: at least one, in the order of the stages, each with at least one window; thresholds are each stage's own, and
    what a stage before the last has flagged is named by the last one's as well. A label holds where it does in any
    part; the text is unsure where any part is, and clean where all are.
    """
    choices = [_any(told, last) for told in parts]
    highest: Floats = np.stack([told.probabilities.max(axis=0) for told in parts]).max(axis=0)
    if len(choices) == 1:
        return choices[0], highest
    classes = parts[0].stage.head.classes
    named = {label for choice in choices for label in choice.labels}
    labels = tuple(sorted(named, key=lambda label: (-highest[classes.index(label)], classes.index(label))))
    doubt = next((choice for choice in reversed(choices) if choice.abstention), LabelChoice())
    confidence = float(highest[classes.index(labels[0])]) if labels else 1 - float(highest.max())
    return replace(doubt, labels=labels, confidence=confidence), highest


def _any(told: StageResult, last: Stage) -> LabelChoice:
    novel = bool(told.away.max() > told.stage.novelty.limit)
    classes, probabilities = told.stage.head.classes, told.probabilities.max(axis=0)
    choice = name_any(classes, probabilities, told.stage.thresholds, novel=novel)
    if told.stage.name == last.name or not choice.labels:
        return choice
    # its own thresholds say when it need not ask: some label is certain, and others hold beside it
    own, named = (dict.fromkeys(classes, EVEN) | dict(stage.thresholds) for stage in (told.stage, last))
    limits = {label: _lower(own[label], named[label]) for label in classes}
    return name_any(classes, probabilities, limits)


def _lower(own: Threshold, named: Threshold) -> Threshold:
    return named if named.act < own.act else replace(own, unsure=own.act)
