"""A loaded classifier: vectors of a text's windows → a stage's answer → a verdict."""

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
from classifiers.runtime.thresholds import LabelChoice, name_one
from classifiers.text.language import detectable
from classifiers.text.scripts import written_in
from classifiers.verdict import Abstention, Passage, Reading, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """One classifier as the runtime applies it.

    scripts: the scripts, Latin aside, of its policy's languages; languages: the detector's codes for them, empty where
    any language is read; families: the codes of each language, where there are several. patterns: the label of each
    pattern. judge: instructions for a judge, as saved at training; empty where there are none.
    """

    name: str
    version: str
    model: Model
    scripts: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    families: thresholds.Families = field(default_factory=dict)
    patterns: Mapping[Kind, str] = field(default_factory=dict)
    judge: str = ""

    def apply(self, stage: Stage, vectors: Floats, lengths: Floats, among: NDArray[np.intp]) -> StageResult:
        """A stage's answer on a text: of each window for safety, else of their mean. vectors: (windows, dimensions) of
        length 1, at least one; lengths: (windows,) tokens in each; among: (windows,) how many windows the text of each
        has, read or not."""
        if self.model.policy.multi_label:
            return cascade.part(stage, vectors, multi_label=True, among=among)
        return cascade.part(stage, cascade.whole(vectors, lengths), multi_label=False)

    def verdict(
        self,
        parts: Sequence[StageResult],
        *,
        read: int,
        unread: int = 0,
        reading: Reading | None = None,
        foreign: str = "",
        passages: tuple[Passage, ...] = (),
    ) -> Verdict:
        """The verdict on a text.

        parts: the answer that settled the text; for safety, all answers that settled a window. A text without parts has
        nothing to read: it is clean for safety, unsure otherwise. read, unread: windows that were and were not read;
        reading: what was to be read, which says what its caller left out; foreign: a script or language that the policy
        does not know; passages: found by patterns.
        """
        policy, several = self.model.policy, self.model.policy.multi_label
        scores = dict.fromkeys(policy.learned, 0.0)
        last = parts[-1].stage if parts else None
        if last is None:
            reason = "nothing to read" if self.model.stages else ""
            abstention = None if several else Abstention.UNSURE
            choice = LabelChoice(confidence=float(several), abstention=abstention, reason=reason)
        else:
            if several:
                choice, probabilities = cascade.decide_any(parts, self.model.last)
            else:
                probabilities = parts[-1].probabilities[0]
                novel = bool(parts[-1].away[0] > last.novelty.limit)
                choice = name_one(last.head.classes, probabilities, last.thresholds, novel=novel)
            each = zip(last.head.classes, probabilities.tolist(), strict=True)
            scores = {label: score for label, score in each if label != OTHER}
        choice = self._abstain(choice, _left_out(reading, unread), foreign if parts else "")
        learned = Verdict(
            classifier=self.name,
            version=self.version,
            labels=choice.labels,
            confidence=choice.confidence,
            scores=scores,
            novelty=max((float(part.away.max()) for part in parts), default=0.0),
            abstention=choice.abstention,
            doubts=choice.doubts,
            reason=choice.reason,
            stage=last.name if last else "",
            thresholds=last.thresholds if last else {},
            windows_read=read,
            windows_unread=unread,
        )
        return _with_passages(learned, passages, policy) if self.patterns else learned

    def _abstain(self, choice: LabelChoice, left_out: Sequence[tuple[Abstention, str]], foreign: str) -> LabelChoice:
        # a part does not show the one label of the whole
        several = self.model.policy.multi_label
        labels = choice.labels if several else ()
        if foreign:
            reason = f"written in {foreign}; languages: names {', '.join(self.model.policy.languages)}"
            if several and choice.abstention:
                # a passage in another language takes no doubt away from the rest
                choice = replace(choice, doubts=(choice.abstention,))
            choice = replace(choice, labels=labels, abstention=Abstention.LANGUAGE, reason=reason)
        if left_out and not several:
            choice = replace(choice, abstention=None)
        for kind, reason in left_out:
            doubts = (*choice.doubts, choice.abstention) if choice.abstention else choice.doubts
            choice = replace(choice, labels=labels, abstention=kind, doubts=doubts, reason=reason)
        return choice


def _left_out(reading: Reading | None, unread: int) -> list[tuple[Abstention, str]]:
    """What was left out, the gravest last: parts that are no text, and text. unread: windows that were not read."""
    found: list[tuple[Abstention, str]] = []
    if reading is not None and reading.incomplete:
        found.append((Abstention.UNREAD, "a part is no text"))
    if unread:
        found.append((Abstention.BROKEN, f"{unread} {'window was' if unread == 1 else 'windows were'} not read"))
    elif reading is not None and reading.cut:
        found.append((Abstention.BROKEN, "some of the text could not be read"))
    return found


def from_artifact(artifact: Artifact) -> Classifier:
    """The classifier of an artifact."""
    return replace(from_model(artifact.model, artifact.version), judge=artifact.judge)


def from_model(model: Model, version: str = "") -> Classifier:
    """The classifier of a model, which may not be on disk yet."""
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
    """The verdict where a classifier failed."""
    return Verdict(classifier=name, version=version, scores={}, abstention=Abstention.BROKEN, reason=reason)


def late(name: str, reason: str, version: str = "") -> Verdict:
    """The verdict where a classifier had no time."""
    return Verdict(classifier=name, version=version, scores={}, abstention=Abstention.LATE, reason=reason)


def _with_passages(verdict: Verdict, passages: tuple[Passage, ...], policy: Policy) -> Verdict:
    """A verdict with the labels that patterns found, which are certain."""
    labels = tuple(dict.fromkeys(passage.label for passage in passages))
    scores = {label: verdict.scores.get(label, float(label in labels)) for label in policy.labels}
    if not labels:
        return replace(verdict, scores=scores)
    return replace(verdict, labels=(*labels, *verdict.labels), confidence=1.0, scores=scores, spans=passages)
