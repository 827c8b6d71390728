"""What fitting leaves: a model and what was measured of it, or an encoder's own head."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats, Model
from classifiers.training.goals import Chosen
from classifiers.training.rows import Row
from classifiers.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """model; chosen: its thresholds and goals; rows, read, verdicts: held-out rows (by index), these as they were read
    (under a prompt, inside other text) and what the model's calibration makes of scores that were given without having
    seen them; used: (rows,) which of them calibrated it; settings: of the fit, for the report."""

    model: Model
    chosen: Chosen
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
