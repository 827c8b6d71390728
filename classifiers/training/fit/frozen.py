"""The shared encoder as it is, and what it makes of a run's rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Encoder
from classifiers.model import Floats
from classifiers.policy import Policy
from classifiers.training.crossfit import Dealt
from classifiers.training.fit.model import fit
from classifiers.training.fit.trained import Trained
from classifiers.training.rows import Row
from classifiers.training.windows import Windows

if TYPE_CHECKING:
    from classifiers.training.fit.recipe import Bench


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """vectors: (rows, dimensions) by `encoder`; before: (rows, classes) what a stage in front of it says, as
    `fit.model` has it."""

    encoder: Encoder
    vectors: Floats
    before: Floats | None = None

    def fit(
        self,
        policy: Policy,
        rows: Sequence[Row],
        bench: "Bench",
        *,
        unseen: NDArray[np.bool_] | None = None,
        windows: Windows | None = None,
        dealt: Dealt | None = None,
    ) -> Trained:
        """Heads on it, as `fit.model` fits them."""
        return fit(
            policy,
            rows,
            self.vectors,
            encoder=self.encoder.id,
            seed=bench.seed,
            advance=bench.progress.advance,
            unseen=unseen,
            windows=windows,
            dealt=dealt,
            before=self.before,
        )
