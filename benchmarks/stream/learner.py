"""Versions of a classifier as a gateway's refits make them, from the policy's own text and from kept calls. None is
refused: a benchmark of contracts."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.banking77.dataset import load, with_rows
from classifiers import Reading, Runtime
from classifiers.model.model import Floats
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.text.language import LanguageDetector
from classifiers.training.accept import Incumbent
from classifiers.training.examine import alone
from classifiers.training.fit.fitted import Silent, Workbench
from classifiers.training.refit import Base, ReadingOnce
from classifiers.training.rows import LabelledCall
from classifiers.training.run import train
from gateway.contracts.scope import likeliest
from gateway.contracts.threshold import ScoreRow

Ints = NDArray[np.int32]
_TOGETHER = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedVersion:
    """since: the call at which it came. labels, confidence: (n,) of each message to come, as a contract takes them; 0
    where it takes none. held_out: how it did on kept texts without seeing them."""

    since: int
    labels: Ints
    confidence: Floats
    held_out: Sequence[ScoreRow]


@dataclass(frozen=True, kw_only=True)
class Messages:
    """All distinct messages of a set, and the version that refits begin with. gold: (n,) the places of their labels;
    vectors: of each text what a refit has read."""

    policy: Policy
    labels: Sequence[str]
    texts: Sequence[str]
    gold: Ints
    base: Base
    encoder: ReadingOnce
    vectors: Sequence[bytes]
    models: Path

    @classmethod
    def load(cls, folder: Path, cache: Path) -> "Messages":
        """cache: a folder where the version and the vectors lie between runs; nothing of the set stays elsewhere."""
        dataset, place = load(folder), cache / folder.name
        place.mkdir(parents=True, exist_ok=True)
        policy = with_rows(dataset.policy, dataset.sentences, "teacher", place)
        if Registry(place).current(policy.name) is None:
            train(policy, base_dir=place, models_dir=place, threads=1)
        rows = {" ".join(text.split()).casefold(): (text, label) for text, label in (*dataset.test, *dataset.train)}
        texts, labels = [text for text, _ in rows.values()], sorted(policy.labels)
        base = Base.find(policy, place)
        encoder, file = base.encoder(place), place / "vectors.msgpack"
        known = msgspec.msgpack.decode(file.read_bytes(), type=list[bytes]) if file.exists() else [b""] * len(texts)
        calls = [LabelledCall(text=text, label=labels[0], vector=one) for text, one in zip(texts, known, strict=True)]
        _, made = base.read(calls, encoder, LanguageDetector())
        vectors = [new or old for new, old in zip(made, known, strict=True)]
        if any(made):
            file.write_bytes(msgspec.msgpack.encode(vectors))
        gold = np.array([labels.index(label) for _, label in rows.values()], np.int32)
        return cls(
            policy=policy,
            labels=labels,
            texts=texts,
            gold=gold,
            base=base,
            encoder=encoder,
            vectors=vectors,
            models=place,
        )

    @cached_property
    def detector(self) -> LanguageDetector:
        """Of languages, which takes a while to open."""
        return LanguageDetector()

    def fitted(
        self, kept: Sequence[tuple[int, int, float]], asked: Sequence[int], *, since: int, seed: int
    ) -> FittedVersion:
        """A version by kept messages: (place, label, weight) each. asked: the messages to come."""
        calls = [
            LabelledCall(text=self.texts[at], label=self.labels[label], weight=weight, vector=self.vectors[at])
            for at, label, weight in kept
        ]
        rows, _ = self.base.read(calls, self.encoder, self.detector)
        places = {"base_dir": self.models, "models_dir": self.models}
        with tempfile.TemporaryDirectory() as scratch:
            bench = Workbench(scratch=Path(scratch), seed=seed, threads=1, progress=Silent(), **places)
            # a tenth is kept for comparisons with the version before, as in the product
            spared = Incumbent.find(self.policy, rows, self.models).spared(rows)
            _, made = self.base.refit(spared, self.encoder, bench)
            model = made.trained.model
            return self._scored(alone(model, made.encoders, self.detector), model.held_out, asked, since)

    def own(self, asked: Sequence[int]) -> FittedVersion:
        """The version that refits begin with."""
        runtime = self.base.opened(self.encoder, self.models)
        return self._scored(runtime, self.base.model.held_out, asked, 0)

    def _scored(
        self, runtime: Runtime, held_out: Sequence[ScoreRow], asked: Sequence[int], since: int
    ) -> FittedVersion:
        name, place = self.policy.name, {label: number for number, label in enumerate(self.labels)}
        labels, confidence = np.zeros(len(self.texts), np.int32), np.zeros(len(self.texts), np.float32)
        for start in range(0, len(asked), _TOGETHER):
            part = asked[start : start + _TOGETHER]
            readings = [Reading(classifier=name, texts=(self.texts[at],)) for at in part]
            for at, verdict in zip(part, runtime.classify(readings), strict=True):
                if (taken := likeliest(verdict)).labels:
                    labels[at], confidence[at] = place[taken.labels[0]], taken.confidence
        return FittedVersion(since=since, labels=labels, confidence=confidence, held_out=held_out)
