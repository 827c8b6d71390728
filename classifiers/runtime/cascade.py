"""Which stage settles a text, and how the stages' answers combine. Pure.

Stages are asked in order; the last one decides what no other has settled.
- Single-label: a stage settles a text that is not novel and whose likeliest class reaches the stage's threshold.
- Safety: a stage settles each window by itself: flagged where some label reaches `act`, clean where all labels are
  below `unsure` and the window is not novel. The other windows go to the next stage, whose answer, averaged with this
  one's if the stage says so, replaces it. A guard reads all of a text that has such windows: it was trained on texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifiers.model.model import Floats, Stage, Threshold
from classifiers.policy import OTHER
from classifiers.runtime import heads, thresholds
from classifiers.runtime.thresholds import EVEN, LabelChoice, name_any

_SURELY = 3.0
"""How far below `unsure` the log-odds of each label must be for a part not to be read by itself: of some 14,200 texts
none of which was trained on, less than one in 1,000 gets another verdict (docs/design/004-guards.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """A stage's answer on windows. probabilities: (windows, classes); away: (windows,) novelty."""

    stage: Stage
    probabilities: Floats
    away: Floats

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> "StageResult":
        """The answer on some of the windows. chosen: (windows,) a mask, or places."""
        return replace(self, probabilities=self.probabilities[chosen], away=self.away[chosen])


def whole(vectors: Floats, lengths: Floats) -> Floats:
    """The mean vector of a text's windows, (1, dimensions) of length 1. vectors: (windows, dimensions) of length 1, at
    least one; lengths: (windows,) tokens in each."""
    if len(vectors) == 1:
        return vectors
    mean = (vectors * lengths[:, None]).sum(axis=0, keepdims=True)
    unit: Floats = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return unit


def score(stage: Stage, vectors: Floats) -> tuple[Floats, Floats]:
    """Logits (n, classes) before calibration, and novelty (n,). vectors: (n, dimensions) of length 1."""
    scores = stage.head.logits(vectors)
    if stage.nearest is not None:
        scores = scores + heads.nearest_logits(stage.nearest, stage.novelty.prototypes, vectors, scores)
    own = scores[:, :-1] if stage.head.classes[-1] == OTHER else scores
    return scores, thresholds.score(stage.novelty, vectors, own)


def part(stage: Stage, vectors: Floats, *, multi_label: bool, among: NDArray[np.intp] | None = None) -> StageResult:
    """A stage's answer on windows. vectors: (windows, dimensions) of length 1; among: (windows,) how many windows the
    text of each has, 1 by default."""
    scores, away = score(stage, vectors)
    probabilities = heads.probabilities(stage.calibration, scores, multi_label=multi_label, among=among)
    return StageResult(stage=stage, probabilities=probabilities, away=away)


def combine(result: StageResult, before: StageResult, *, multi_label: bool) -> StageResult:
    """A stage's answer, averaged with that of the stage before on the same windows if the stage says so."""
    if not result.stage.earlier:
        return result
    pool = heads.pooled if multi_label else heads.pooled_one
    earlier = result.stage.earlier
    share = np.array(earlier, np.float32) if isinstance(earlier, tuple) else earlier
    return replace(result, probabilities=pool(result.probabilities, before.probabilities, share))


def settles(result: StageResult) -> bool:
    """Single-label: whether a stage that is not the last settles the text. result: one row for the whole text."""
    probabilities = result.probabilities[0]
    top = int(np.argmax(probabilities))
    limit = result.stage.thresholds.get(result.stage.head.classes[top], EVEN)
    return bool(probabilities[top] >= limit.act and result.away[0] <= result.stage.novelty.limit)


def settled(result: StageResult) -> NDArray[np.bool_]:
    """Safety: (windows,) which of them a stage that is not the last settles."""
    act, unsure = _limits(result.stage)
    flagged = (result.probabilities >= act).any(axis=1)
    clean = (result.probabilities < unsure).all(axis=1) & (result.away <= result.stage.novelty.limit)
    return np.asarray(flagged | clean)


def surely_clean(result: StageResult) -> NDArray[np.bool_]:
    """Safety: (windows,) which parts need not be read by themselves, by what a stage makes of them within windows."""
    _, unsure = _limits(result.stage)
    far = heads.logit(result.probabilities) < heads.logit(unsure) - _SURELY
    # other vectors are not means of tokens
    known = (result.away <= result.stage.novelty.limit) & (result.stage.encoder.pooling == "mean")
    return np.asarray(far.all(axis=1) & known)


def _limits(stage: Stage) -> tuple[Floats, Floats]:
    """(classes,) from where on each label holds, and from where on a text is unsure."""
    limits = [stage.thresholds.get(label, EVEN) for label in stage.head.classes]
    act, unsure = (np.array([getattr(limit, name) for limit in limits], np.float32) for name in ("act", "unsure"))
    return act, unsure


def decide_any(parts: Sequence[StageResult], last: Stage) -> tuple[LabelChoice, Floats]:
    """Safety: the choice of all stages together, and each label's highest probability (labels,).

    parts: at least one, in the order of the stages, each with at least one window. Each stage has its own thresholds;
    text flagged before the last stage is named by the last one's as well. A label holds where it does in any part; the
    text is unsure where any part is, and clean where all are.
    """
    choices = [_any(result, last) for result in parts]
    highest: Floats = np.stack([result.probabilities.max(axis=0) for result in parts]).max(axis=0)
    if len(choices) == 1:
        return choices[0], highest
    classes = parts[0].stage.head.classes
    named = {label for choice in choices for label in choice.labels}
    labels = tuple(sorted(named, key=lambda label: (-highest[classes.index(label)], classes.index(label))))
    doubt = next((choice for choice in reversed(choices) if choice.abstention), LabelChoice())
    confidence = float(highest[classes.index(labels[0])]) if labels else 1 - float(highest.max())
    return replace(doubt, labels=labels, confidence=confidence), highest


def _any(result: StageResult, last: Stage) -> LabelChoice:
    novel = bool(result.away.max() > result.stage.novelty.limit)
    classes, probabilities = result.stage.head.classes, result.probabilities.max(axis=0)
    choice = name_any(classes, probabilities, result.stage.thresholds, novel=novel)
    if result.stage.name == last.name or not choice.labels:
        return choice
    # its own thresholds are for settling: where one label is certain, others may hold as well
    own, named = (dict.fromkeys(classes, EVEN) | dict(stage.thresholds) for stage in (result.stage, last))
    limits = {label: _lower(own[label], named[label]) for label in classes}
    return name_any(classes, probabilities, limits)


def _lower(own: Threshold, named: Threshold) -> Threshold:
    return named if named.act < own.act else replace(own, unsure=own.act)
