"""Rows made ready for fitting: cleaned, encoded, near misses given a label, label noise reviewed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifiers import data
from classifiers.encoder.session import Encoder, embed
from classifiers.errors import TrainingError
from classifiers.model.model import Floats
from classifiers.policy import OTHER, Policy
from classifiers.text.language import LanguageDetector, code_of
from classifiers.training import label_noise
from classifiers.training.clean import Cleaned, clean
from classifiers.training.fit.fitted import Progress
from classifiers.training.fit.linear import unit
from classifiers.training.label_noise import Doubt
from classifiers.training.language_filter import is_dropped, mark_foreign
from classifiers.training.operating_points import EVERYDAY, SERVICES
from classifiers.training.rows import PICKED, Row
from classifiers.training.slots.rows import with_marks
from classifiers.training.split import held_together
from classifiers.training.windows import wholes

_TOO_NEAR = 0.55
"""Cosine to a policy's own text from which an everyday sentence may be in scope."""

_NEAR = 0.55
"""Cosine to a label's centre from which a near miss of another label may be its own. Of eleven near misses of four
policies, the seven that were another label's had .60 or more, the others less than .50 or were nearer to their own."""


def in_scope_everyday(policy: Policy, rows: Sequence[Row], vectors: Floats) -> NDArray[np.bool_]:
    """(rows,) which of the built-in writer's out-of-scope rows are too near to the policy's own text."""
    own = np.array([bool(row.labels) and row.labels != (OTHER,) for row in rows])
    doubtful = np.array([row.source == "builtin" and row.labels in {(OTHER,), ()} and row.probe for row in rows])
    near = np.zeros(len(rows), bool)
    if own.any() and doubtful.any() and policy.kind != "safety":
        near[doubtful] = (vectors[doubtful] @ vectors[own].T).max(axis=1) > _TOO_NEAR
    return near


def place_near_misses(policy: Policy, rows: Sequence[Row], vectors: Floats) -> list[Row | None]:
    """Rows in which each near miss has a label: another one that it is near to, and nearer than to the one ruled out.

    This guess is learned from but not measured on. Where no label is so near, a near miss is `other`, or has no label
    if several may hold. A policy without `other` gives it the nearest label that is not ruled out; None where all are.
    """
    labels = list(policy.labels)
    centres = np.zeros((len(labels), vectors.shape[1]), np.float32)
    for row, vector in zip(rows, vectors, strict=True):
        for label in set(row.labels).intersection(labels):
            centres[labels.index(label)] += row.weight * vector
    cosines = vectors @ unit(centres).T
    return [row if not row.against else _nearest(policy, row, labels, cosines[place]) for place, row in enumerate(rows)]


def _nearest(policy: Policy, row: Row, labels: Sequence[str], cosines: Floats) -> Row | None:
    allowed = [place for place, label in enumerate(labels) if label not in row.against]
    best = max(allowed, key=lambda place: cosines[place], default=None)
    own = max(cosines[labels.index(label)] for label in row.against)
    if best is None or cosines[best] <= max(own, _NEAR):
        if policy.multi_label:
            return replace(row, against=())
        if policy.other is not None:
            return replace(row, labels=(OTHER,))
    return None if best is None else replace(row, labels=(labels[best],), weight=row.weight / 2, probe=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingText:
    """rows, vectors: (rows, dimensions), to fit on; cleaned: what was removed before, and why; doubts: rows whose text
    looks like another label; dropped: a teacher's sentences in languages that the policy does not list;
    outside: (kind, text) of text out of scope that is only measured on."""

    rows: Sequence[Row]
    vectors: Floats
    cleaned: Cleaned
    doubts: Sequence[Doubt] = ()
    dropped: Sequence[Row] = ()
    outside: Sequence[tuple[str, str]] = ()


def nothing(policy: Policy) -> TrainingText:
    """The text of a policy that learns nothing."""
    return TrainingText(rows=(), vectors=np.zeros((0, 0), np.float32), cleaned=clean(policy, ()))


def prepare_text(
    policy: Policy,
    rows: Sequence[Row],
    encoder: Encoder,
    *,
    progress: Progress,
    seed: int,
    detector: LanguageDetector | None = None,
) -> TrainingText:
    """Clean, encode, label near misses, review. detector: one that is already open. Raises TrainingError where a label
    has no text, or there is no other text."""
    progress.step("clean")
    # names of slots in marks may be in another language than the text
    marked = mark_foreign(policy, with_marks(policy, rows) if policy.slots else rows, detector)
    cleaned = clean(policy, [row for row in marked if not is_dropped(row)])
    progress.step("encode")
    reads = embed if policy.multi_label else wholes
    texts = list(dict.fromkeys(row.text for row in cleaned.rows))
    known = dict(zip(texts, reads(encoder, texts, progress.advance), strict=True))
    vectors = np.stack([known[row.text] for row in cleaned.rows])
    kept, vectors = _in_place(policy, cleaned.rows, vectors)
    _check_contrast(policy, kept)
    ready = TrainingText(
        rows=kept, vectors=vectors, cleaned=cleaned, dropped=[row for row in marked if is_dropped(row)]
    )
    if policy.kind == "safety" or policy.slots:
        return ready
    if policy.multi_label:
        return replace(ready, outside=out_of_scope(policy, kept, vectors, lambda texts: reads(encoder, texts)))
    progress.step("review")
    descriptions = reads(encoder, label_noise.described(policy), progress.advance)
    reviewed = label_noise.review(policy, kept, vectors, descriptions, seed=seed)
    return replace(
        ready,
        rows=held_together(reviewed.rows),
        vectors=reviewed.vectors,
        doubts=reviewed.doubts,
        outside=out_of_scope(policy, reviewed.rows, reviewed.vectors, lambda texts: reads(encoder, texts)),
    )


def services(policy: Policy) -> list[tuple[str, str]]:
    """(kind, text) of messages that people send to other services, and everyday sentences unless the policy learns from
    these. All are English."""
    if not policy.everyday or "en" not in map(code_of, policy.languages):
        return []
    texts = [(SERVICES, text) for text in data.table("tasks.json")["ordinary"]]
    return texts if policy.other is not None else [*texts, *((EVERYDAY, text) for text in data.lines("everyday.txt"))]


def out_of_scope(
    policy: Policy, rows: Sequence[Row], vectors: Floats, read: Callable[[Sequence[str]], Floats]
) -> list[tuple[str, str]]:
    """The texts of `services` without what is too near to the policy's own text."""
    if not (texts := services(policy)):
        return []
    known = {row.text for row in rows}
    own = np.array([row.labels not in {(OTHER,), ()} for row in rows])
    near = (read([text for _, text in texts]) @ vectors[own].T).max(axis=1) > _TOO_NEAR
    pairs = zip(texts, near.tolist(), strict=True)
    return [(kind, text) for (kind, text), is_near in pairs if not is_near and text not in known]


def _in_place(policy: Policy, rows: Sequence[Row], vectors: Floats) -> tuple[list[Row], Floats]:
    """Rows with near misses labelled, without everyday text that is near to the policy's own."""
    near = in_scope_everyday(policy, rows, vectors)
    labelled = enumerate(place_near_misses(policy, rows, vectors))
    keep, kept = zip(*((index, row) for index, row in labelled if row is not None and not near[index]), strict=True)
    if not any(row.probe and row.labels and row.labels != (OTHER,) for row in kept):
        # without a single example there are only descriptions to measure on
        kept = tuple(replace(row, probe=row.source not in PICKED) for row in kept)
    return list(kept), vectors[list(keep)]


def _check_contrast(policy: Policy, rows: Sequence[Row]) -> None:
    """Raises TrainingError where all text has one label: everything would get it. Slots need no contrast."""
    seen = {row.labels for row in rows}
    if policy.kind == "safety" and () not in seen:
        raise TrainingError(
            f"{policy.name}: there is no harmless text to tell its labels from; add not: lines, or rows labelled none"
        )
    if not policy.multi_label and not policy.slots and len(seen) < 2:
        raise TrainingError(
            f"{policy.name}: all of its text is {rows[0].labels[0]}; add rows of what is none of its labels"
        )
