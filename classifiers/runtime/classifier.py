"""A loaded classifier: vectors of a text's windows → what a stage says of them → a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from classifiers.model.artifact import Artifact
from classifiers.model.model import Floats, Model, Stage
from classifiers.patterns.find import Kind
from classifiers.policy import OTHER, Policy
from classifiers.runtime import cascade, thresholds
from classifiers.runtime.cascade import StageResult
from classifiers.runtime.thresholds import LabelChoice
from classifiers.text.language import detectable
from classifiers.text.scripts import written_in
from classifiers.verdict import Abstention, Passage, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """One classifier as the runtime applies it.

    scripts: the scripts, Latin aside, that its policy's languages are written in; languages: those languages, as the
    detector knows them, empty where text in any is read; families: the same of each, where there are several.
    patterns: for which label each pattern stands that it seeks. judge: what a judge is told of the policy, as it was
    written down at training; empty where it was not.
    """

    name: str
    version: str
    model: Model
    scripts: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    families: thresholds.Families = field(default_factory=dict)
    patterns: Mapping[Kind, str] = field(default_factory=dict)
    judge: str = ""

    def told(self, stage: Stage, vectors: Floats, lengths: Floats, among: NDArray[np.intp]) -> StageResult:
        """What a stage says of a text. vectors: (windows, dimensions) of length 1, at least one; lengths: (windows,)
        tokens in each; among: (windows,) how many windows the text has that each is of, read or not.

        Safety judges each window, so that what is harmful in one place is found; single-label kinds take the mean
        of the windows, which is what the whole is about.
        """
        if self.model.policy.multi_label:
            return cascade.part(stage, vectors, multi_label=True, among=among)
        return cascade.part(stage, cascade.whole(vectors, lengths), multi_label=False)

    def verdict(
        self,
        parts: Sequence[StageResult],
        *,
        read: int,
        unread: int = 0,
        foreign: str = "",
        found: tuple[Passage, ...] = (),
    ) -> Verdict:
        """The verdict on a text from what settled it.

        parts: of single-label kinds the one that settled the text, of safety all that settled a window. A text
        without any has nothing to read: clean for safety, unsure otherwise.
        read, unread: windows that were and were not; foreign: the script or language, if any, that the policy does not
        know; found: what patterns told.
        """
        learned = self._learned(parts, read=read, unread=unread, foreign=foreign)
        return _with_found(learned, found, self.model.policy) if self.patterns else learned

    def _learned(self, parts: Sequence[StageResult], *, read: int, unread: int, foreign: str) -> Verdict:
        if not parts:
            return self._nothing(unread)
        last = parts[-1]
        if self.model.policy.multi_label:
            choice, probabilities = cascade.decide_any(parts, self.model.last)
        else:
            choice = cascade.decide_one(last, has_other=self.model.policy.other is not None)
            probabilities = last.probabilities[0]
        choice = self._abstain(choice, unread, foreign)
        scores = zip(last.stage.head.classes, probabilities.tolist(), strict=True)
        return Verdict(
            classifier=self.name,
            version=self.version,
            labels=choice.labels,
            confidence=choice.confidence,
            scores={label: score for label, score in scores if label != OTHER},
            novelty=max(float(told.away.max()) for told in parts),
            abstention=choice.abstention,
            doubt=choice.doubt,
            reason=choice.reason,
            stage=last.stage.name,
            thresholds=last.stage.thresholds,
            windows_read=read,
            windows_unread=unread,
        )

    def _abstain(self, choice: LabelChoice, unread: int, foreign: str) -> LabelChoice:
        # the one label of a whole is not told by a part of it
        several = self.model.policy.multi_label
        labels = choice.labels if several else ()
        if foreign:
            named = ", ".join(self.model.policy.languages)
            reason = f"written in {foreign}; languages: names {named}"
            choice = replace(choice, labels=labels, abstention=Abstention.LANGUAGE, reason=reason)
        if unread:
            doubt = choice.abstention if several else None
            reason = f"{unread} {'window was' if unread == 1 else 'windows were'} not read"
            choice = replace(choice, labels=labels, abstention=Abstention.UNREAD, doubt=doubt, reason=reason)
        return choice

    def _nothing(self, unread: int) -> Verdict:
        clean = self.model.policy.multi_label
        reason = "nothing to read" if self.model.stages else ""
        empty = LabelChoice(confidence=1.0 if clean else 0.0, reason=reason)
        if not clean:
            empty = replace(empty, abstention=Abstention.UNSURE)
        choice = self._abstain(empty, unread, "")
        return Verdict(
            classifier=self.name,
            version=self.version,
            scores=dict.fromkeys(self.model.policy.learned, 0.0),
            confidence=choice.confidence,
            abstention=choice.abstention,
            reason=choice.reason,
            windows_unread=unread,
        )


def from_artifact(artifact: Artifact) -> Classifier:
    """The classifier that an artifact holds."""
    return replace(from_model(artifact.model, artifact.version), judge=artifact.judge)


def from_model(model: Model, version: str = "") -> Classifier:
    """The classifier of a model, which need not be on disk yet."""
    policy = model.policy
    return Classifier(
        name=policy.name,
        version=version,
        model=model,
        scripts=written_in(policy.languages),
        languages=detectable(policy.languages),
        families=thresholds.families(policy.languages),
        patterns=policy.patterns,
    )


def broken(name: str, reason: str, version: str = "") -> Verdict:
    """The verdict where a classifier gave none."""
    return Verdict(classifier=name, version=version, scores={}, abstention=Abstention.BROKEN, reason=reason)


def _with_found(verdict: Verdict, found: tuple[Passage, ...], policy: Policy) -> Verdict:
    """The verdict on what was learned, with what patterns told: that is certain."""
    told = tuple(dict.fromkeys(passage.label for passage in found))
    scores = {label: verdict.scores.get(label, float(label in told)) for label in policy.labels}
    if not told:
        return replace(verdict, scores=scores)
    return replace(verdict, labels=(*told, *verdict.labels), confidence=1.0, scores=scores, spans=found)
