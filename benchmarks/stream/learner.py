"""Versions of a classifier as a stream of calls makes them: fitted on the policy's own text and on kept calls.

Vectors are those of the encoder that comes with the project; each set's are computed once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.banking77.dataset import Dataset, load
from classifiers.encoder.session import Encoder
from classifiers.encoder.source import PACKAGED
from classifiers.model.model import Calibration, Floats, Nearest
from classifiers.runtime import heads
from classifiers.training import calibrate
from classifiers.training.fit import linear
from classifiers.training.windows import wholes
from gateway.contracts.threshold import ScoreRow

Ints = NDArray[np.int32]
_FOLDS, _SHARPNESS, _SHARE, _CALIBRATED, _STORED = 3, 30.0, 0.5, 300, 2000
"""Of the stand-in: folds; the votes of the nearest sentences; calls from which on each label has an offset;
held-out scores of a version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """A set, and the policy's own text. vectors: (n, dimensions) of the messages; gold: (n,) their labels' places."""

    name: str
    labels: Sequence[str]
    texts: Sequence[str]
    vectors: Floats
    gold: Ints
    own: Floats
    own_labels: Ints

    @classmethod
    def load(cls, folder: Path, cache: Path) -> "Messages":
        """All distinct messages of a set. cache: the folder where vectors lie between runs."""
        dataset = load(folder)
        labels = sorted(dataset.policy.labels)
        rows = {" ".join(text.split()).casefold(): (text, label) for text, label in (*dataset.test, *dataset.train)}
        own = [*dataset.sentences, *_examples(dataset)]
        texts = [text for text, _ in (*rows.values(), *own)]
        file = cache / f"{folder.name}.npy"
        if not file.exists():
            cache.mkdir(parents=True, exist_ok=True)
            np.save(file, wholes(Encoder.open(PACKAGED), texts).astype(np.float16))
        vectors = np.load(file).astype(np.float32)
        places = np.array([labels.index(label) for _, label in (*rows.values(), *own)], np.int32)
        count = len(rows)
        return cls(
            name=folder.name,
            labels=labels,
            texts=texts[:count],
            vectors=vectors[:count],
            gold=places[:count],
            own=vectors[count:],
            own_labels=places[count:],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedVersion:
    """At which call it came, what it says of each message, (n,) each, and how it did on texts that it had not seen."""

    since: int
    labels: Ints
    confidence: Floats
    held_out: tuple[ScoreRow, ...]


def fitted(messages: Messages, kept: Sequence[tuple[int, int, float]], *, since: int, seed: int) -> FittedVersion:
    """A version by the policy's own text and by kept messages: (place, label, weight) each."""
    places, answers = (np.array([one[part] for one in kept], np.int32) for part in (0, 1))
    vectors = np.concatenate([messages.own, messages.vectors[places]])
    labels = np.concatenate([messages.own_labels, answers])
    calls = np.arange(len(labels)) >= len(messages.own)
    fold = np.random.default_rng(seed).permutation(len(labels)) % _FOLDS
    held = np.zeros((len(labels), len(messages.labels)), np.float32)
    for part in range(_FOLDS):
        held[fold == part] = _scores(messages, vectors[fold != part], labels[fold != part], vectors[fold == part], seed)
    shown = calls if kept else ~calls
    scale = calibrate.temperature(held[shown], labels[shown])
    calibration = Calibration(scale=np.array([scale], np.float32), offset=np.zeros(held.shape[1], np.float32))
    unseen = heads.probabilities(calibration, held[shown], multi_label=False)
    if len(kept) >= _CALIBRATED:
        calibration = calibrate.fit_offsets(held[shown], labels[shown], scale)
        unseen = calibrate.unseen(held[shown], labels[shown], np.ones(int(shown.sum()), bool), scale, seed)
    scores = _scores(messages, vectors, labels, messages.vectors, seed)
    found = heads.probabilities(calibration, scores, multi_label=False)
    weights = [one[2] for one in kept] or [1.0] * len(unseen)
    wrong = (unseen.argmax(axis=1) != labels[shown]).tolist()
    return FittedVersion(
        since=since,
        labels=found.argmax(axis=1).astype(np.int32),
        confidence=found.max(axis=1),
        held_out=_as_stored(list(zip(unseen.max(axis=1).tolist(), weights, wrong, strict=True))),
    )


def _as_stored(rows: list[ScoreRow]) -> tuple[ScoreRow, ...]:
    """As an artifact holds them: by confidence, at most 2,000."""
    rows.sort()
    return tuple(rows[place] for place in np.linspace(0, len(rows) - 1, min(len(rows), _STORED)).round().astype(int))


def _scores(messages: Messages, vectors: Floats, labels: Ints, asked: Floats, seed: int) -> Floats:
    made = linear.one_of(vectors, labels, np.ones(len(labels), np.float32), len(messages.labels), seed)
    logits = asked @ made.weights.T + made.bias
    vote = Nearest(owners=made.owners, sharpness=_SHARPNESS, share=_SHARE)
    return logits + heads.among_likeliest(heads.votes(vote, asked @ made.exemplars.T), logits)


def _examples(dataset: Dataset) -> list[tuple[str, str]]:
    return [(text, name) for name, label in dataset.policy.labels.items() for text in label.examples]
