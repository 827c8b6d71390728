"""A loaded classifier: vectors of a text's windows → a verdict."""

from dataclasses import dataclass, replace

import numpy as np

from classifiers import novelty
from classifiers.artifact import Artifact
from classifiers.heads import linear, nearest
from classifiers.model import Floats, Model
from classifiers.policy import OTHER
from classifiers.text.scripts import written_in
from classifiers.thresholds import Choice, name_any, name_one
from classifiers.verdict import Abstention, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """One classifier as the runtime applies it.

    scripts: the scripts, Latin aside, that its policy's languages are written in.
    """

    name: str
    version: str
    model: Model
    scripts: frozenset[str] = frozenset()

    def judge(self, vectors: Floats, lengths: Floats, *, unread: int = 0, foreign: str = "") -> Verdict:
        """The verdict on a text.

        vectors: (windows, dimensions) of length 1; lengths: (windows,) tokens in each. A text without windows
        has nothing to read: clean for safety, unsure otherwise.
        unread: windows that were not encoded; foreign: the script, if any, that the policy does not know.

        Safety takes the highest probability of any window for each label, so that what is harmful in one
        place is found; single-label kinds take the mean of the windows, which is what the whole is about.
        """
        model = self.model
        if not len(vectors):
            return self._nothing(unread)
        if model.policy.multi_label:
            scores, away = score(model, vectors)
            probabilities = linear.probabilities(model.calibration, scores, multi_label=True).max(axis=0)
            far = float(away.max())
            choice = name_any(model.head.classes, probabilities, model.thresholds, novel=far > model.novelty.limit)
        else:
            scores, away = score(model, _mean(vectors, lengths))
            probabilities = linear.probabilities(model.calibration, scores, multi_label=False)[0]
            far = float(away[0])
            choice = name_one(
                model.head.classes,
                probabilities,
                model.thresholds,
                novel=far > model.novelty.limit,
                has_other=model.policy.other is not None,
            )
        choice = self._abstain(choice, unread, foreign)
        return Verdict(
            classifier=self.name,
            version=self.version,
            labels=choice.labels,
            confidence=choice.confidence,
            scores={
                label: float(p) for label, p in zip(model.head.classes, probabilities, strict=True) if label != OTHER
            },
            novelty=far,
            abstention=choice.abstention,
            reason=choice.reason,
            windows_read=len(vectors),
            windows_unread=unread,
        )

    def _abstain(self, choice: Choice, unread: int, foreign: str) -> Choice:
        if unread:
            kind, reason = Abstention.UNREAD, f"{unread} windows were not read"
        elif foreign:
            kind, reason = Abstention.UNSURE, f"written in {foreign}, which the policy's languages are not"
        else:
            return choice
        labels = choice.labels if self.model.policy.multi_label else ()
        return replace(choice, labels=labels, abstention=kind, reason=reason)

    def _nothing(self, unread: int) -> Verdict:
        clean = self.model.policy.multi_label
        empty = Choice(confidence=1.0 if clean else 0.0, reason="nothing to read")
        if not clean:
            empty = replace(empty, abstention=Abstention.UNSURE)
        choice = self._abstain(empty, unread, "")
        return Verdict(
            classifier=self.name,
            version=self.version,
            confidence=choice.confidence,
            scores=dict.fromkeys(self.model.policy.labels, 0.0),
            abstention=choice.abstention,
            reason=choice.reason,
            windows_unread=unread,
        )


def from_artifact(artifact: Artifact) -> Classifier:
    """The classifier that an artifact holds."""
    return Classifier(
        name=artifact.name,
        version=artifact.version,
        model=artifact.model,
        scripts=written_in(artifact.model.policy.languages),
    )


def score(model: Model, vectors: Floats) -> tuple[Floats, Floats]:
    """vectors: (n, dimensions) of length 1 → logits (n, classes) before calibration, and novelty (n,)."""
    cosines = novelty.cosines(model.novelty, vectors)
    scores = linear.logits(model.head, vectors)
    if model.nearest is not None:
        scores = scores + nearest.logits(model.nearest, cosines)
    return scores, novelty.nearest(cosines)


def broken(name: str, reason: str, version: str = "") -> Verdict:
    """The verdict where a classifier gave none."""
    return Verdict(classifier=name, version=version, scores={}, abstention=Abstention.BROKEN, reason=reason)


def _mean(vectors: Floats, lengths: Floats) -> Floats:
    if len(vectors) == 1:
        return vectors
    mean = (vectors * lengths[:, None]).sum(axis=0, keepdims=True)
    unit: Floats = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return unit
