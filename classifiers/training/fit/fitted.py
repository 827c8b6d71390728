"""What fitting leaves: a model and what was measured of it, or an encoder's own head.

x

x

x

How training tells whoever watches what it is doing.

x
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Encoder
from classifiers.model.model import Floats, Model
from classifiers.training.rows import Row
from classifiers.training.thresholds import ChosenThresholds
from classifiers.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPlan:
    """How to tune. rate: of learning; epochs: at most so many, fewer where held-out text gains nothing for `patience`
    epochs of the second half; smoothing: of the targets; kept: how many layers, from the lowest, stay as they are;
    beginning: rows that the head is fitted on before.
    """

    rate: float
    epochs: int
    patience: int = 2
    batch: int = 32
    smoothing: float = 0.1
    kept: int = 0
    beginning: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredModel:
    """model; chosen: its thresholds and goals; rows, read, verdicts: held-out rows (by index), these as they were read
    (under a prompt, inside other text) and what the model's calibration makes of scores that were given without having
    seen them; used: (rows,) which of them calibrated it; settings: of the fit, for the report."""

    model: Model
    chosen: ChosenThresholds
    rows: NDArray[np.intp]
    read: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]
    used: NDArray[np.bool_]
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedHead:
    """What fine-tuning left besides the encoder. weights: (classes, dimensions), bias: (classes,): a head on vectors
    of length 1; unseen: (rows,) what it was not tuned on; tokens: the longest window, beside system_tokens of a
    system prompt; multi_label: so that it is read in all windows, else in the first."""

    weights: Floats
    bias: Floats
    unseen: NDArray[np.bool_]
    tokens: int
    system_tokens: int = 0
    multi_label: bool = False


SMALL, LARGE = "small", "large"


_TIMED_TOKENS, _TIMES = 32, 15


def milliseconds(encoder: Encoder) -> float:
    """For a window of 32 tokens, the least of some tries: what else runs here does not count."""
    window = [7] * (_TIMED_TOKENS - encoder.specials)
    taken = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        encoder.encode([window])
        taken.append(time.perf_counter() - began)
    return 1000 * min(taken)


Names = tuple[str, str]


class Progress(Protocol):
    """A watcher. `step` names what begins; `advance` says how far it is, where that is known."""

    def step(self, name: str) -> None:
        """One of the nine steps, or preparing the encoder, begins."""

    def advance(self, done: int, total: int) -> None:
        """`done` of `total` texts or answers of the current step are ready."""


class Silent:
    """Nobody watches."""

    def step(self, name: str) -> None:
        """Say nothing."""

    def advance(self, done: int, total: int) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedModel:
    """trained: the model and what was measured; encoders: of the model's stages, in their order; samples: for each
    stage some of its vectors, (n, dimensions); own: the folders of the encoders that the model brings along, by name.
    """

    trained: MeasuredModel
    encoders: tuple[Encoder, ...]
    samples: tuple[Floats, ...]
    own: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """Where and how a run works. base_dir: what the policy's paths are relative to; scratch: an empty folder that
    outlives the export of the model; threads: to compute with."""

    base_dir: Path
    models_dir: Path
    scratch: Path
    seed: int
    threads: int
    progress: Progress
