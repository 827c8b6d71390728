"""The training rows nearest to a text, by what the classifier's encoder reads: read anew, or by the vectors that
training left in `<models>/<name>/training/`."""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from classifiers.encoder.session import Encoder, SystemPrompts, embed
from classifiers.errors import ArtifactError
from classifiers.evaluation.evaluate import shortened
from classifiers.model.model import Floats, Model
from classifiers.runtime.runtime import Runtime
from classifiers.training import data
from classifiers.training.rows import Row
from classifiers.training.windows import wholes

NEAREST: Final = 3
"""How many neighbours are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptNeighbours:
    """A version's training rows with their vectors, (rows, dimensions) of length 1."""

    rows: Sequence[Row]
    vectors: Floats

    @classmethod
    def load(cls, models_dir: Path, name: str, version: str) -> Self | None:
        """None where training left none. Raises ArtifactError for a damaged archive of rows."""
        try:
            with data.vectors_of(models_dir, name, version).open("rb") as file:
                kept = np.load(file, allow_pickle=False)
                places, vectors = kept["rows"].tolist(), kept["vectors"].astype(np.float32)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        rows = data.load(models_dir, name, version) or ()
        if len(places) != len(vectors) or max(places, default=0) >= len(rows):
            raise ArtifactError(f"{data.vectors_of(models_dir, name, version)} is of other rows; delete it")
        return cls(rows=[rows[place] for place in places], vectors=vectors)

    def of(self, runtime: Runtime, name: str, text: str, *, count: int = NEAREST) -> list[dict[str, Any]]:
        """As `nearest`, of one text, which is read without a system prompt, as training read the rows."""
        model = runtime.classifiers[name].model
        reads = embed if model.policy.multi_label else wholes
        vector = reads(runtime.encoders[model.encoding.encoder.sha256], [text])
        return nearest(vector, self.rows, self.vectors, count=count)[0]


def nearest_of(
    runtime: Runtime,
    name: str,
    asked: Sequence[tuple[str, str]],
    trained_on: Sequence[Row],
    *,
    count: int = NEAREST,
    advance: Callable[[int, int], None] | None = None,
) -> list[list[dict[str, Any]]]:
    """The nearest training rows of texts, by the last encoder that makes vectors; none where there is no stage. asked:
    texts, each with its system prompt; trained_on: the training rows; those that the classifier cannot read are left
    out (calls without text; rows under a prompt where it reads none); advance: called with rows read and in all."""
    model = runtime.classifiers[name].model
    if not (asked and model.stages):
        return [[] for _ in asked]
    encoder = runtime.encoders[model.encoding.encoder.sha256]
    rows = [row for row in trained_on if row.text and (model.reads_system or not row.system)]

    vectors = _read(model, encoder, [(row.text, row.system) for row in rows], advance)
    return nearest(_read(model, encoder, asked), rows, vectors, count=count)


def _read(
    model: Model, encoder: Encoder, pairs: Sequence[tuple[str, str]], advance: Callable[[int, int], None] | None = None
) -> Floats:
    """(pairs, dimensions) of length 1, as training reads texts under their system prompts."""
    texts, systems, tokens = [text for text, _ in pairs], [system for _, system in pairs], model.encoding.system_tokens
    if not model.policy.multi_label:
        return wholes(encoder, texts, advance)
    return embed(encoder, texts, advance, prompts=SystemPrompts(systems=systems, tokens=tokens) if tokens else None)


def nearest(
    vectors: Floats,
    rows: Sequence[Row],
    row_vectors: Floats,
    *,
    count: int = NEAREST,
    groups: Sequence[str] | None = None,
) -> list[list[dict[str, Any]]]:
    """For each vector its nearest rows, nearest first: text, labels, source, cosine. vectors: (n, dimensions),
    row_vectors: (rows, dimensions), all of length 1. groups: for each vector a group to leave out, such as its own."""
    own = np.array([row.group for row in rows], object) if groups else np.empty(0)
    found = []
    for index, vector in enumerate(vectors):
        # one text at a time, since all texts against all rows may take gigabytes
        cosines = row_vectors @ vector
        allowed = np.flatnonzero(own != groups[index]) if groups else np.arange(len(rows))
        order = allowed[np.argsort(-cosines[allowed], kind="stable")[:count]].tolist()
        found.append(
            [
                {
                    "text": shortened(rows[place].shown),
                    "labels": list(rows[place].labels),
                    "source": rows[place].source,
                    "cosine": round(float(cosines[place]), 4),
                }
                for place in order
            ]
        )
    return found
