"""Rows made ready for fitting: cleaned, encoded, near misses given a label, label noise reviewed."""

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
"""Cosine to a policy's own text from which an everyday sentence may be in scope."""

_FAR = 0.35


def in_scope_everyday(policy: Policy, rows: Sequence[Row], vectors: Floats) -> NDArray[np.bool_]:
    """(rows,) which of the built-in writer's out-of-scope rows are too near to the policy's own text."""
    own = np.array([bool(row.labels) and row.labels != (OTHER,) for row in rows])
    doubtful = np.array([row.source == "builtin" and row.labels in {(OTHER,), ()} and row.probe for row in rows])
    near = np.zeros(len(rows), bool)
    if own.any() and doubtful.any() and policy.kind != "safety":
        near[doubtful] = (vectors[doubtful] @ vectors[own].T).max(axis=1) > _TOO_NEAR
    return near


def place_near_misses(policy: Policy, rows: Sequence[Row], vectors: Floats) -> list[Row | None]:
    """Near misses with the nearest of the labels that they may have; other rows as they are.

    This guess is learned from but not measured on. Where no label is near, a near miss is `other`, or has no label if
    several may hold; None where the policy allows neither.
    """
    labels = list(policy.labels)
    centres = np.zeros((len(labels), vectors.shape[1]), np.float32)
    index = {label: place for place, label in enumerate(labels)}
    for row, vector in zip(rows, vectors, strict=True):
        for label in row.labels:
            if label in index:
                centres[index[label]] += row.weight * vector
    cosines = vectors @ unit(centres).T
    return [row if not row.against else _nearest(policy, row, labels, cosines[place]) for place, row in enumerate(rows)]


def _nearest(policy: Policy, row: Row, labels: Sequence[str], cosines: Floats) -> Row | None:
    allowed = [place for place, label in enumerate(labels) if label not in row.against]
    best = max(allowed, key=lambda place: cosines[place], default=None)
    far = best is None or cosines[best] < _FAR
    if far and policy.multi_label:
        return replace(row, against=())
    if far and policy.other is not None:
        return replace(row, labels=(OTHER,))
    if best is None:
        return None
    # a guess is learned from but not measured on
    return replace(row, labels=(labels[best],), weight=row.weight / 2, probe=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingText:
    """rows, vectors: (rows, dimensions), to fit on; cleaned: what was removed before, and why; doubts: rows whose text
    looks like another label; dropped: a teacher's sentences in languages that the policy does not list."""

    rows: Sequence[Row]
    vectors: Floats
    cleaned: Cleaned
    doubts: Sequence[Doubt] = ()
    dropped: Sequence[Row] = ()


def nothing(policy: Policy) -> TrainingText:
    """The text of a policy that learns nothing."""
    return TrainingText(rows=(), vectors=np.zeros((0, 0), np.float32), cleaned=clean(policy, ()))


@dataclass(slots=True)
class TextPreparation:
    """Makes rows ready for fitting, with a cache of encoded texts.

    detector: of languages, opened already or opened when needed.
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
        """Clean, encode, label near misses, review.

        Raises TrainingError where a label has no text, or there is no other text.
        """
        self.progress.step("clean")
        # names of slots in marks may be in another language than the text
        plain = with_marks(self.policy, rows) if self.policy.slots else rows
        stay, dropped = at_the_border(self._border.marked(plain))
        cleaned = clean(self.policy, stay)
        self.progress.step("encode")
        vectors = self.encode([row.text for row in cleaned.rows])
        descriptions = self.encode(label_noise.described(self.policy))
        kept, vectors = _in_place(self.policy, cleaned.rows, vectors)
        _check_contrast(self.policy, kept)
        ready = TrainingText(rows=kept, vectors=vectors, cleaned=cleaned, dropped=dropped)
        if self.policy.multi_label or self.policy.slots:
            return ready
        self.progress.step("review")
        reviewed = label_noise.review(self.policy, kept, vectors, descriptions, seed=self.seed)
        return replace(ready, rows=reviewed.rows, vectors=reviewed.vectors, doubts=reviewed.doubts)

    def encode(self, texts: Sequence[str]) -> Floats:
        """Vectors of texts, (n, dimensions) of length 1."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        reads = embed if self.policy.multi_label else wholes
        self._known |= dict(zip(fresh, reads(self.encoder, fresh, self.progress.advance), strict=True))
        return np.stack([self._known[text] for text in texts])


def _in_place(policy: Policy, rows: Sequence[Row], vectors: Floats) -> tuple[list[Row], Floats]:
    """Rows with near misses labelled, without everyday text that is near to the policy's own."""
    near = in_scope_everyday(policy, rows, vectors)
    labelled = place_near_misses(policy, rows, vectors)
    keep = [index for index, row in enumerate(labelled) if row is not None and not near[index]]
    kept = [row for index in keep if (row := labelled[index]) is not None]
    if not any(row.probe and row.labels and row.labels != (OTHER,) for row in kept):
        # without a single example there are only descriptions to measure on
        kept = [replace(row, probe=True) for row in kept]
    return kept, vectors[keep]


def _check_contrast(policy: Policy, rows: Sequence[Row]) -> None:
    """Raises TrainingError where all text has one label, which would teach that everything does. Slots need no
    contrast."""
    seen = {row.labels for row in rows}
    if policy.kind == "safety" and () not in seen:
        raise TrainingError(
            f"{policy.name}: there is no harmless text to tell its labels from; add not: lines, or rows labelled none"
        )
    if not policy.multi_label and not policy.slots and len(seen) < 2:
        raise TrainingError(
            f"{policy.name}: all of its text is {rows[0].labels[0]}; add rows of what is none of its labels"
        )
