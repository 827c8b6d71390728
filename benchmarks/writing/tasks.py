"""The tasks that writing is measured on: a policy, rows to draw from, rows to measure on. No test set is opened."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.banking77 import dataset
from classifiers.encoder.session import Encoder, embed
from classifiers.model.model import Floats
from classifiers.policy import Policy
from classifiers.runtime.cascade import score
from classifiers.training.fit.fitted import MeasuredModel, Silent, TrainingSet, Workbench
from classifiers.training.fit.heads import fit
from classifiers.training.rows import Row

_HELD = 3000
_SEED = 77

Labelled = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """pool: rows to draw training rows from; sentences: of a teacher, where there are any; held: rows to measure on,
    of the training set as well, none of them in the pool."""

    name: str
    policy: Policy
    pool: Labelled
    held: Labelled
    sentences: Labelled = ()


def tasks(data: Path) -> Iterator[Task]:
    """data: holds banking77/ and snips/. Raises OSError where a file is missing."""
    banking = dataset.load(data / "banking77")
    shuffled = random.Random(_SEED).sample(banking.train, len(banking.train))
    yield Task(
        name="Banking77",
        policy=banking.policy,
        pool=shuffled[_HELD:],
        held=shuffled[:_HELD],
        sentences=banking.sentences,
    )
    described = json.loads((Path(__file__).parent / "snips.json").read_text(encoding="utf-8"))
    rows = _snips(data / "snips" / "train")
    shuffled = random.Random(_SEED).sample(rows, len(rows))
    yield Task(
        name="SNIPS",
        policy=Policy.model_validate(described),
        pool=shuffled[_HELD : 2 * _HELD],
        held=shuffled[:_HELD],
    )


def _snips(folder: Path) -> list[tuple[str, str]]:
    texts, labels = ((folder / name).read_text(encoding="utf-8").splitlines() for name in ("seq.in", "label"))
    return [(text.strip(), label.strip()) for text, label in zip(texts, labels, strict=True)]


@dataclass(slots=True)
class Vectors:
    """Vectors of texts, each encoded once."""

    encoder: Encoder
    _known: dict[str, Floats] = field(default_factory=dict)

    def of(self, texts: Sequence[str]) -> Floats:
        """(n, dimensions)."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known |= dict(zip(fresh, embed(self.encoder, fresh), strict=True))
        return np.stack([self._known[text] for text in texts])


def accuracy(task: Task, rows: Sequence[Row], vectors: Vectors, seed: int) -> float:
    """Of a head fitted on the rows, on what the task holds back."""
    own, here = vectors.of([row.text for row in rows]), Path()
    training = TrainingSet(policy=task.policy, rows=rows, encoder=vectors.encoder, vectors=own)
    bench = Workbench(base_dir=here, models_dir=here, scratch=here, seed=seed, threads=1, progress=Silent())
    found: MeasuredModel = fit(training, bench)
    stage = found.model.last
    scores, _ = score(stage, vectors.of([text for text, _ in task.held]))
    classes = stage.head.classes
    said = [classes[index] for index in scores.argmax(axis=1).tolist()]
    right: int = sum(guess == label for guess, (_, label) in zip(said, task.held, strict=True))
    return right / len(said)
