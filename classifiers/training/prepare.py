"""The text that a classifier is fitted on: cleaned, encoded, in its place, reviewed.

What lies beside a policy's labels: everyday text that is too near to be out of scope, near misses without a label.

Pure, over rows and their vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Encoder, embed
from classifiers.errors import TrainingError
from classifiers.model.model import Floats
from classifiers.policy import OTHER, Policy
from classifiers.text.language import LanguageDetector
from classifiers.training import label_noise
from classifiers.training.clean import Cleaned, clean
from classifiers.training.fit.fitted import Progress
from classifiers.training.fit.linear import unit
from classifiers.training.label_noise import Doubt
from classifiers.training.language_filter import Border, at_the_border
from classifiers.training.rows import Row
from classifiers.training.slots.rows import with_marks
from classifiers.training.windows import wholes

_TOO_NEAR = 0.55
"""Cosine to a policy's own text from which an everyday sentence may well be in scope."""

_FAR = 0.35


def in_scope_everyday(policy: Policy, rows: Sequence[Row], vectors: Floats) -> NDArray[np.bool_]:
    """(rows,) which of the built-in writer's out-of-scope rows lie too near to the policy's own text to be that."""
    own = np.array([bool(row.labels) and row.labels != (OTHER,) for row in rows])
    doubtful = np.array([row.source == "builtin" and row.labels in {(OTHER,), ()} and row.probe for row in rows])
    near = np.zeros(len(rows), bool)
    if own.any() and doubtful.any() and policy.kind != "safety":
        near[doubtful] = (vectors[doubtful] @ vectors[own].T).max(axis=1) > _TOO_NEAR
    return near


def place_near_misses(policy: Policy, rows: Sequence[Row], vectors: Floats) -> list[Row | None]:
    """Near misses, given the label they come nearest to among those they may have.

    Such a guess teaches, and is no measure of anything. Where the policy has an `other` and no label is near, that is
    what they are, and no guess; where several labels may hold, they have none then. None for a row without any such.
    Other rows stay as they are.
    """
    labels = list(policy.labels)
    centres = np.zeros((len(labels), vectors.shape[1]), np.float32)
    index = {label: place for place, label in enumerate(labels)}
    for row, vector in zip(rows, vectors, strict=True):
        for label in row.labels:
            if label in index:
                centres[index[label]] += row.weight * vector
    cosines = vectors @ unit(centres).T
    return [row if not row.against else _placed(policy, row, labels, cosines[place]) for place, row in enumerate(rows)]


def _placed(policy: Policy, row: Row, labels: Sequence[str], cosines: Floats) -> Row | None:
    allowed = [place for place, label in enumerate(labels) if label not in row.against]
    best = max(allowed, key=lambda place: cosines[place], default=None)
    if policy.multi_label and (best is None or cosines[best] < _FAR):
        return replace(row, against=())
    if policy.other is not None and (best is None or cosines[best] < _FAR):
        return replace(row, labels=(OTHER,))
    if best is None:
        return None
    # a guess, to learn from but not to measure by
    return replace(row, labels=(labels[best],), weight=row.weight / 2, probe=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingText:
    """rows, vectors: (rows, dimensions), what is fitted on; cleaned: what was taken out before, and why; doubts: rows
    whose text speaks for another label; dropped: a teacher's sentences in languages that the policy does not name."""

    rows: Sequence[Row]
    vectors: Floats
    cleaned: Cleaned
    doubts: Sequence[Doubt] = ()
    dropped: Sequence[Row] = ()


def nothing(policy: Policy) -> TrainingText:
    """Of a policy that learns nothing."""
    return TrainingText(rows=(), vectors=np.zeros((0, 0), np.float32), cleaned=clean(policy, ()))


@dataclass(slots=True)
class TextPreparation:
    """Makes rows ready to be fitted on; what it has encoded, it remembers.

    detector: of languages; one at hand need not be opened again.
    """

    policy: Policy
    encoder: Encoder
    progress: Progress
    seed: int
    detector: LanguageDetector | None = None
    _known: dict[str, Floats] = field(default_factory=dict)
    _border: Border = field(init=False)

    def __post_init__(self) -> None:
        self._border = Border(self.policy, self.detector)

    def ready(self, rows: Sequence[Row]) -> TrainingText:
        """Clean, encode, put near misses in their place, review.

        Raises TrainingError where a label has no text, or nothing to be told from.
        """
        self.progress.step("clean")
        # marks of slots, in whichever language their names are, are no part of a text
        plain = with_marks(self.policy, rows) if self.policy.slots else rows
        stay, dropped = at_the_border(self._border.marked(plain))
        cleaned = clean(self.policy, stay)
        self.progress.step("encode")
        vectors = self.encode([row.text for row in cleaned.rows])
        descriptions = self.encode(label_noise.described(self.policy))
        kept, vectors = _in_place(self.policy, cleaned.rows, vectors)
        _check_contrast(self.policy, kept)
        if self.policy.multi_label or self.policy.slots:
            return TrainingText(rows=kept, vectors=vectors, cleaned=cleaned, dropped=dropped)
        self.progress.step("review")
        found = label_noise.review(self.policy, kept, vectors, descriptions, seed=self.seed)
        return TrainingText(
            rows=found.rows, vectors=found.vectors, cleaned=cleaned, doubts=found.doubts, dropped=dropped
        )

    def encode(self, texts: Sequence[str]) -> Floats:
        """(n, dimensions) of length 1."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        reads = embed if self.policy.multi_label else wholes
        self._known |= dict(zip(fresh, reads(self.encoder, fresh, self.progress.advance), strict=True))
        return np.stack([self._known[text] for text in texts])


def _in_place(policy: Policy, rows: Sequence[Row], vectors: Floats) -> tuple[list[Row], Floats]:
    """Near misses get a label; everyday text that is near to the policy's own goes."""
    near = in_scope_everyday(policy, rows, vectors)
    placed = place_near_misses(policy, rows, vectors)
    keep = [index for index, row in enumerate(placed) if row is not None and not near[index]]
    kept = [row for index in keep if (row := placed[index]) is not None]
    if not any(row.probe and row.labels and row.labels != (OTHER,) for row in kept):
        # without a single example there are only descriptions to measure on
        kept = [replace(row, probe=True) for row in kept]
    return kept, vectors[keep]


def _check_contrast(policy: Policy, rows: Sequence[Row]) -> None:
    """Text of one kind alone would teach that everything is of it. Slots are learned all the same."""
    seen = {row.labels for row in rows}
    if policy.kind == "safety" and () not in seen:
        raise TrainingError(
            f"{policy.name}: there is no harmless text to tell its labels from; add not: lines, or rows labelled none"
        )
    if not policy.multi_label and not policy.slots and len(seen) < 2:
        raise TrainingError(
            f"{policy.name}: all of its text is {rows[0].labels[0]}; add rows of what is none of its labels"
        )
