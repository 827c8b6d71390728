"""Refits: the head of the version in use, fitted anew on the texts of a gateway's calls, with its calibration and
thresholds. Nothing is written, reviewed or tuned.

The rows that are no calls, the filter of tasks and the encoder are those of the version before, and no window is read
twice: vectors of its own rows lie in `<models>/<name>/training/`, and those of calls with the calls' texts.
"""

import os
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.prepare import find
from classifiers.encoder.session import Encoder
from classifiers.errors import ArtifactError, TrainingError
from classifiers.model import artifact
from classifiers.model.model import Floats, Model
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.runtime import cascade
from classifiers.runtime.classifier import from_model
from classifiers.runtime.runtime import Runtime
from classifiers.text.language import LanguageDetector
from classifiers.training import data
from classifiers.training.clean import clean
from classifiers.training.export import with_held_out
from classifiers.training.fit import heads, ngrams
from classifiers.training.fit.fitted import FittedModel, TrainingSet, Workbench
from classifiers.training.language_filter import mark_foreign
from classifiers.training.prepare import TrainingText, out_of_scope, services
from classifiers.training.rows import LabelledCall, Row
from classifiers.training.split import Dealt, folds, held_together
from classifiers.training.windows import wholes

_FOLDS: Final = 2
"""The head of one half of the rows scores the other. Three folds take longer and name no more rightly; one held-out
third names fewer (benchmarks/results/refit.md)."""
_SIGN: Final = 8
"""Bytes before the vectors of a call, which name the encoder and the policy's languages."""

Halves = NDArray[np.float16]


class RefitError(TrainingError):
    """The version in use cannot be fitted anew, only trained as a whole."""


class ReadingOnce(Encoder):
    """An encoder that reads no window twice; to it the tokens of a window have no states."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._vectors: dict[bytes, Halves] = {}
        self._wholes: dict[str, Floats] = {}
        self._cut: dict[str, Sequence[Sequence[int]]] = {}

    def cut(self, text: str) -> Sequence[Sequence[int]]:
        """As of `Encoder`."""
        if text not in self._cut:
            self._cut[text] = super().cut(text)
        return self._cut[text]

    def states(self, windows: Sequence[Sequence[int]]) -> list[tuple[Floats, Floats]]:
        """As of `Encoder`. Vectors are rounded to 16 bits, so that a refit is the same whatever was read before."""
        keys = list(map(_key, windows))
        missing = {key: window for key, window in zip(keys, windows, strict=True) if key not in self._vectors}
        for key, (vector, _) in zip(missing, super().states(list(missing.values())), strict=True):
            self._vectors[key] = vector.astype(np.float16)
        nothing = np.empty((0, self.dimensions), np.float32)
        return [(self._vectors[key].astype(np.float32), nothing) for key in keys]

    def wholes(self, texts: Sequence[str]) -> Floats:
        """(texts, dimensions) as of `windows.wholes`."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._wholes]
        self._wholes.update(zip(missing, wholes(self, missing), strict=True))
        return np.stack([self._wholes[text] for text in texts])

    def take(self, text: str, vectors: bytes) -> bool:
        """Takes over the vectors of a text's windows, in 16 bits; False where they are of other windows."""
        windows = self.cut(text)
        if len(vectors) != 2 * self.dimensions * len(windows):
            return False
        rows = np.frombuffer(vectors, np.float16).reshape(len(windows), -1)
        self._vectors.update(zip(map(_key, windows), rows, strict=True))
        lengths = np.array([len(window) for window in windows], np.float32)
        self._wholes[text] = cascade.whole(rows.astype(np.float32), lengths)[0]
        return True

    def read_own(self, texts: Sequence[str], folder: Path) -> None:
        """Reads texts that may be kept in `folder`, or takes their vectors from there."""
        file = folder / f"windows-{self.id.sha256[:8]}.npy"
        with suppress(OSError, ValueError, EOFError, IndexError):
            # a damaged file is made anew
            kept = np.load(file, allow_pickle=False)
            self._vectors.update(zip(map(bytes, kept["key"]), kept["vector"], strict=True))
        before = len(self._vectors)
        self.wholes(texts)
        if len(self._vectors) > before:
            each = np.empty(len(self._vectors), [("key", "u1", 16), ("vector", "<f2", self.dimensions)])
            each["key"] = np.frombuffer(b"".join(self._vectors), np.uint8).reshape(-1, 16)
            each["vector"] = np.stack(list(self._vectors.values()))
            made = folder / f".{file.name}-{os.getpid()}"
            made.touch(mode=0o600)
            with made.open("wb") as opened:
                np.save(opened, each, allow_pickle=False)
            made.replace(file)


def _key(window: Sequence[int]) -> bytes:
    return sha256(array("i", window).tobytes()).digest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The version that a refit begins with. rows: what it was trained on, without calls."""

    version: str
    model: Model
    rows: tuple[Row, ...]

    @classmethod
    def find(cls, policy: Policy, models_dir: Path) -> Self:
        """The version in use. Raises RefitError where it stands on more than heads on an encoder of its own kind, or
        where its rows are gone or its policy has changed."""
        registry = Registry(models_dir)
        try:
            version = registry.current(policy.name)
            if version is None:
                raise RefitError("no version is in use")
            model = artifact.load(registry.resolve(policy.name, version)).model
            rows = data.load(models_dir, policy.name, version)
        except ArtifactError as error:
            raise RefitError(str(error)) from error
        if rows is None:
            raise RefitError(f"{version}'s rows are not kept here")
        if artifact.policy_text(model.policy) != artifact.policy_text(policy):
            raise RefitError(f"the policy is not that of {version} any more")
        own = [stage for stage in model.stages if stage.name != ngrams.NAME]
        if policy.multi_label or model.tagger or len(own) != 1 or own[0].encoder.own:
            raise RefitError(f"{version} has more than a head on an encoder that others share")
        return cls(version=version, model=model, rows=tuple(row for row in rows if not row.digest))

    def encoder(self, models_dir: Path, threads: int = 1) -> ReadingOnce:
        """The encoder, which has read all but calls. Raises EncoderError, OSError."""
        opened = ReadingOnce.open(find(self.model.last.encoder, models_dir), threads)
        texts = [row.text for row in self.rows] + [text for _, text in services(self.model.policy)]
        opened.read_own(texts, data.file_of(models_dir, self.model.policy.name, self.version).parent)
        return opened

    def opened(self, encoder: ReadingOnce, models_dir: Path) -> Runtime:
        """A runtime that holds the version. Raises ArtifactError, EncoderError."""
        policy, folder = self.model.policy, Registry(models_dir).resolve(self.model.policy.name, self.version)
        own = [stage.encoder.own for stage in self.model.stages if stage.encoder.own]
        encoders = [encoder, *(Encoder.open(folder / artifact.ENCODERS / name) for name in own)]
        return Runtime(encoders, {policy.name: from_model(self.model, self.version)}, cache_windows=0)

    def read(
        self, calls: Sequence[LabelledCall], encoder: ReadingOnce, detector: LanguageDetector
    ) -> tuple[list[Row], list[bytes]]:
        """The rows of calls, and of each call the vectors that it came without; empty of others."""
        policy = self.model.policy
        sign = sha256(f"{self.model.last.encoder.sha256} {policy.languages}".encode()).digest()[:_SIGN]
        vectors, rows = [b""] * len(calls), []
        for place, row in enumerate(data.read_calls(policy, calls)):
            if row is None:
                continue
            head, foreign, packed = _unpacked(calls[place].vector)
            if head == sign and encoder.take(row.text, packed):
                rows.append(replace(row, foreign=foreign))
                continue
            rows += mark_foreign(policy, [row], detector)
            name = rows[-1].foreign.encode()
            halves = encoder.encode(encoder.cut(row.text)).astype(np.float16)
            vectors[place] = b"".join([sign, bytes([len(name)]), name, halves.tobytes()])
        return rows, vectors

    def refit(self, calls: Sequence[Row], encoder: ReadingOnce, bench: Workbench) -> tuple[TrainingText, FittedModel]:
        """What the model is fitted on, without a review (what the model says of a call counts), and the model: heads,
        with the filter of the version before. calls: as of `read`."""
        policy = self.model.policy
        cleaned = clean(policy, [*self.rows, *calls])
        vectors, rows = encoder.wholes([row.text for row in cleaned.rows]), held_together(cleaned.rows)
        outside = out_of_scope(policy, cleaned.rows, vectors, encoder.wholes)
        text = TrainingText(rows=rows, vectors=vectors, cleaned=cleaned, outside=outside)
        training = TrainingSet(
            policy=policy,
            rows=rows,
            encoder=encoder,
            vectors=vectors,
            outside=outside,
            dealt=Dealt(folds=folds(rows, _FOLDS, bench.seed), number=_FOLDS),
            neighbours=False,
        )
        made = ngrams.with_ngrams(_heads)(training, bench)
        model = made.trained.model
        last = replace(model.last, tasks=self.model.last.tasks)
        trained = replace(made.trained, model=replace(model, stages=(*model.stages[:-1], last)))
        why = f"the head of {self.version}, fitted anew"
        return text, with_held_out(replace(made, trained=trained).with_settings(recipe="refit", because=why))


def _unpacked(vector: bytes) -> tuple[bytes, str, bytes]:
    """The sign of a call's vectors, its foreign language, and the vectors."""
    length = vector[_SIGN] if len(vector) > _SIGN else 0
    start = _SIGN + 1 + length
    return vector[:_SIGN], vector[_SIGN + 1 : start].decode(errors="replace"), vector[start:]


def _heads(training: TrainingSet, bench: Workbench) -> FittedModel:
    made = heads.fit(training, bench)
    return FittedModel(trained=made, encoders=(training.encoder,), samples=(training.vectors,))
