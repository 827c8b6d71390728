"""Texts → verdicts: each distinct window is encoded once, whatever reads it, and remembered.

One encoder serves all classifiers of a Runtime. The turns of a chat are texts of their own, so when the chat
goes on, only its new turn is encoded.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from classifiers import artifact, selftest
from classifiers.classifier import Classifier, broken, from_artifact
from classifiers.encoder.prepare import find
from classifiers.encoder.session import Encoder
from classifiers.errors import ArtifactError
from classifiers.model import Floats
from classifiers.recent import Recent
from classifiers.registry import Registry
from classifiers.text.spans import Span, read
from classifiers.text.windows import Window
from classifiers.verdict import Reading, Verdict

_REMEMBERED_CHARS = 4_000_000
"""Of the texts whose windows are remembered; a text read again is then not tokenised again."""

_FOREIGN_SHARE = 0.3
_FOREIGN_LETTERS = 20


class _DeadlinePassed(Exception):
    """Time ran out between two texts or windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Windows since the Runtime was made: computed, and taken from memory instead."""

    encoded: int
    cached: int


class Runtime:
    """Classifiers on their shared encoder. For one thread at a time: put a Worker in front of it.

    classifiers: by the name that readings call them by; all trained on this very encoder.
    cache_windows: how many windows' vectors are remembered (about 2 kB each).
    """

    def __init__(self, encoder: Encoder, classifiers: Mapping[str, Classifier], cache_windows: int = 10_000) -> None:
        """Raises ArtifactError where a classifier was trained on another encoder."""
        for name, classifier in classifiers.items():
            _check_encoder(name, classifier, encoder)
        self.encoder = encoder
        self.classifiers = dict(classifiers)
        self._vectors: Recent[bytes, Floats] = Recent(cache_windows)
        self._spans: Recent[tuple[str, int, int, int], Span] = Recent(
            _REMEMBERED_CHARS if cache_windows else 0, lambda key, _: len(key[0]) + 64
        )
        self._encoded = 0
        self._cached = 0

    @classmethod
    def load(
        cls,
        models_dir: Path,
        names: Iterable[str],
        threads: int = 1,
        self_test: bool = True,
        cache_windows: int = 10_000,
    ) -> Self:
        """Load the versions in use, and their encoder; prepare it if it is not there yet.

        Raises ArtifactError where one is missing, changed, on another encoder or (self_test) fails a test of
        its own policy, and EncoderError where the encoder is out of reach or computes wrongly here.
        """
        registry = Registry(models_dir)
        loaded = {name: from_artifact(artifact.load(registry.resolve(name))) for name in dict.fromkeys(names)}
        if not loaded:
            raise ArtifactError("there is no classifier to load; name at least one")
        first = next(iter(loaded.values())).model.encoder
        runtime = cls(Encoder.open(find(first, models_dir), threads), loaded, cache_windows)
        if self_test:
            runtime.self_test()
        return runtime

    @property
    def counts(self) -> Counts:
        """How many windows were encoded and how many were not, because they were remembered."""
        return Counts(encoded=self._encoded, cached=self._cached)

    def classify(self, readings: Sequence[Reading], deadline: float | None = None) -> list[Verdict]:
        """A verdict for each reading, in order.

        deadline: by time.monotonic(). What is not encoded by then gets a broken verdict; readings whose windows
        are all at hand get theirs. A classifier that is not loaded gives a broken verdict, too.
        """
        vectors: dict[bytes, Floats] = {}
        spans: list[list[Span] | None] = [None] * len(readings)
        with suppress(_DeadlinePassed):
            for index, reading in enumerate(readings):
                spans[index] = self._read(reading, deadline)
            self._encode([span for found in spans for span in found or ()], vectors, deadline)
        return [self._judge(reading, found, vectors) for reading, found in zip(readings, spans, strict=True)]

    def self_test(self) -> None:
        """Run every policy's own tests. Raises ArtifactError listing those that fail."""
        failed: list[str] = []
        for name, classifier in self.classifiers.items():
            policy = classifier.model.policy
            readings = [Reading(classifier=name, texts=(test.text,)) for test in policy.tests]
            lines = selftest.failures(policy, self.classify(readings))
            failed += [f"{name} {classifier.version}: {line}" for line in lines]
        if failed:
            raise ArtifactError("classifiers fail their own tests:\n" + "\n".join(failed))

    def _read(self, reading: Reading, deadline: float | None) -> list[Span] | None:
        """The windows of each text, the latest text first to be given its share of the budget."""
        classifier = self.classifiers.get(reading.classifier)
        if classifier is None:
            return None
        windowing = classifier.model.windowing
        room = min(windowing.tokens, self.encoder.max_tokens) - self.encoder.specials
        overlap = min(windowing.overlap, room - 1)
        left = reading.max_windows
        spans: list[Span] = []
        for text in reversed(reading.texts):
            _check_time(deadline)
            span = self._span(text, room, overlap, reading.max_windows if left > 0 else 0, deadline).first(left)
            left -= len(span.windows)
            spans.append(span)
        return spans[::-1]

    def _span(self, text: str, room: int, overlap: int, max_windows: int, deadline: float | None) -> Span:
        key = (text, room, overlap, max_windows)
        span = self._spans.get(key)
        if span is None:
            span = read(
                text,
                self.encoder.tokenize,
                room=room,
                overlap=overlap,
                max_windows=max_windows,
                between=lambda: _check_time(deadline),
            )
            self._spans.put(key, span)
        return span

    def _encode(self, spans: Sequence[Span], vectors: dict[bytes, Floats], deadline: float | None) -> None:
        """Fill in the vector of every window, as far as time goes."""
        missing: dict[bytes, Window] = {}
        for span in spans:
            for key, window in zip(span.keys, span.windows, strict=True):
                if key in vectors or key in missing:
                    continue
                held = self._vectors.get(key)
                if held is None:
                    missing[key] = window
                else:
                    vectors[key] = held
        self._cached += len(vectors)
        keys, step = list(missing), self.encoder.threads
        for start in range(0, len(keys), step):
            _check_time(deadline)
            part = keys[start : start + step]
            for key, vector in zip(part, self.encoder.encode([missing[key] for key in part]), strict=True):
                vectors[key] = vector
                self._vectors.put(key, vector)
            self._encoded += len(part)

    def _judge(self, reading: Reading, spans: list[Span] | None, vectors: Mapping[bytes, Floats]) -> Verdict:
        classifier = self.classifiers.get(reading.classifier)
        if classifier is None:
            return broken(reading.classifier, "no such classifier is loaded")
        keys = [key for span in spans or () for key in span.keys]
        if spans is None or not all(key in vectors for key in keys):
            return broken(reading.classifier, "deadline", classifier.version)
        lengths = np.array([len(window) for span in spans for window in span.windows], np.float32)
        return classifier.judge(
            np.stack([vectors[key] for key in keys]) if keys else np.empty((0, self.encoder.dimensions), np.float32),
            lengths,
            unread=sum(span.unread for span in spans) + reading.incomplete,
            foreign=_foreign(classifier, spans),
        )


def _check_time(deadline: float | None) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise _DeadlinePassed


def _check_encoder(name: str, classifier: Classifier, encoder: Encoder) -> None:
    wanted = classifier.model.encoder
    if wanted.sha256 != encoder.id.sha256:
        raise ArtifactError(
            f"{name} {classifier.version} was trained on the encoder {wanted.source} ({wanted.sha256[:12]}…), but "
            f"{encoder.id.source} ({encoder.id.sha256[:12]}…) is loaded; all classifiers of a gateway share one"
        )
    dimensions = classifier.model.head.weights.shape[1]
    if dimensions != encoder.dimensions:
        raise ArtifactError(f"{name} reads {dimensions} dimensions, but the encoder gives {encoder.dimensions}")


def _foreign(classifier: Classifier, spans: Sequence[Span]) -> str:
    """The strangest script, where the text has more than a few words of it.

    For safety a passage is enough, however long the text around it.
    """
    counts: Counter[str] = Counter()
    for span in spans:
        counts.update({script: n for script, n in span.foreign.items() if script not in classifier.scripts})
    total = sum(span.chars for span in spans)
    strange = counts.total()
    passage = classifier.model.policy.multi_label and strange >= _FOREIGN_LETTERS
    return counts.most_common(1)[0][0] if strange and (passage or strange >= _FOREIGN_SHARE * total) else ""
