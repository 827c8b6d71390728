"""What fitting takes and leaves: a training set and a workbench, a model and what was measured of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Encoder
from classifiers.model.model import Band, Floats, Head, Model
from classifiers.policy import OTHER, Policy
from classifiers.training.rows import Row
from classifiers.training.split import Dealt
from classifiers.training.thresholds import ChosenThresholds
from classifiers.training.windows import Windows
from classifiers.verdict import Verdict

SMALL, LARGE = "small", "large"
"""The stages of a cascade of two encoders."""


class Progress(Protocol):
    """A watcher. `step` names what begins; `advance` says how far it is, where that is known."""

    def step(self, name: str) -> None:
        """One of the steps of training begins, or the encoder is prepared."""

    def advance(self, done: int, total: int) -> None:
        """`done` of `total` texts or answers of the current step are ready."""


class Silent:
    """Nobody watches."""

    def step(self, name: str) -> None:
        """Say nothing."""

    def advance(self, done: int, total: int) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPlan:
    """How to tune an encoder. rate: of learning. epochs: the most; fewer where held-out text gains nothing. smoothing:
    of the targets. kept: how many layers, from the lowest, stay as they are. beginning: rows that the head is fitted on
    before."""

    rate: float
    epochs: int
    smoothing: float = 0.1
    kept: int = 0
    beginning: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedHead:
    """What fine-tuning leaves besides the encoder. weights: (classes, dimensions), bias: (classes,): a head on vectors
    of length 1. unseen: (rows,) what the encoder was not tuned on. tokens: the longest window, besides `system_tokens`
    of a system prompt. multi_label: whether a text is read in all of its windows, else as a whole."""

    weights: Floats
    bias: Floats
    unseen: NDArray[np.bool_]
    tokens: int
    system_tokens: int = 0
    multi_label: bool = False


def classes_of(policy: Policy, rows: Sequence[Row]) -> tuple[str, ...]:
    """The classes of a head for these rows."""
    other = not policy.multi_label and any(row.labels == (OTHER,) for row in rows)
    return (*policy.labels, *((OTHER,) if other else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class NGramScores:
    """Probabilities by an n-gram table: (rows, classes) by fits that saw neither the row nor its group, (rows, classes)
    by fits without any row of its label, and (texts, classes) of the text out of scope."""

    held_out: Floats
    left_out: Floats
    outside: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """What a recipe, and heads on an encoder, are fitted on.

    vectors: (rows, dimensions) of length 1 by `encoder`.
    ngrams: what the n-gram table says, which counts with the encoder. None where it has no say.
    tuned: the head of an encoder that was tuned on these rows. It is pooled with one that is fitted anew (of several
    labels, the better is taken), by the rows that it has not seen; nothing else is measured on.
    unseen: (rows,) the only rows that are held out, if given.
    windows: of several labels, what held-out rows are judged by; by default each row as a whole.
    dealt: the folds, where they are known already.
    neighbours: of one label, whether rows are also judged by fits without their label, as text out of scope.
    outside: (kind, text) of text out of scope that nothing is fitted on.
    hidden: of several labels, whether the head has a hidden layer.
    base: of several labels, a head with a hidden layer that what is fitted is added to.
    """

    policy: Policy
    rows: Sequence[Row]
    encoder: Encoder
    vectors: Floats
    outside: Sequence[tuple[str, str]] = ()
    ngrams: NGramScores | None = None
    tuned: TunedHead | None = None
    unseen: NDArray[np.bool_] | None = None
    windows: Windows | None = None
    dealt: Dealt | None = None
    neighbours: bool = True
    hidden: bool = False
    base: Head | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return classes_of(self.policy, self.rows)

    @property
    def weights(self) -> Floats:
        """(rows,)"""
        return np.array([row.weight for row in self.rows], np.float32)

    @property
    def held_out(self) -> NDArray[np.bool_] | None:
        """(rows,) the only rows that are held out, where not all are in turn."""
        return self.tuned.unseen if self.tuned else self.unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """Where and how a run works. base_dir: what the policy's paths are relative to. scratch: an empty folder that
    outlives the export of the model. threads: to compute with."""

    base_dir: Path
    models_dir: Path
    scratch: Path
    seed: int
    threads: int
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredModel:
    """A model and its held-out measures.

    chosen: its thresholds and goals.
    rows: the indexes of held-out rows; read: these as they were read (under a prompt, inside other text).
    verdicts: the calibrated verdict on each, by a fit that has not seen it.
    used: (rows,) which of them calibrated the model.
    settings: of the fit, for the report.
    outside: of one label, text out of scope besides.
    among: of a guard that reads parts, (rows, labels) calibrated probabilities of each among ordinary text.
    """

    model: Model
    chosen: ChosenThresholds
    rows: NDArray[np.intp]
    read: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    used: NDArray[np.bool_]
    settings: dict[str, Any]
    outside: "OutsideText | None" = None
    among: Floats | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideText:
    """Text out of scope as a single-label model judges it, which knows neither the text nor its label. probabilities:
    (n, classes); novel: (n,) what it takes for novel; kinds, bands: (n,)."""

    probabilities: Floats
    novel: NDArray[np.bool_]
    kinds: Sequence[str]
    bands: Sequence[Band]

    @classmethod
    def nothing(cls, classes: int) -> "OutsideText":
        return cls(probabilities=np.zeros((0, classes), np.float32), novel=np.zeros(0, bool), kinds=(), bands=())


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedModel:
    """A measured model with all that serves it. encoders: of the model's stages, in their order. samples: for each
    stage some of its vectors, (n, dimensions). own: the folders of the encoders that the model brings along, by name.
    settings: of the recipe, for the report, besides those of the fit."""

    trained: MeasuredModel
    encoders: tuple[Encoder, ...]
    samples: tuple[Floats, ...]
    own: Mapping[str, Path] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def with_settings(self, **settings: Any) -> "FittedModel":
        """The same, with more settings for the report."""
        return replace(self, settings={**self.settings, **settings})


Recipe = Callable[[TrainingSet, Workbench], FittedModel]
