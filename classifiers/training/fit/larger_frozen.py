"""A larger frozen encoder beside the small one, for a policy that names one label. Nothing is tuned; what it takes is
reading the rows once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.encoder.session import Encoder
from classifiers.policy import Policy
from classifiers.training.fit import heads_first
from classifiers.training.fit.frozen import Frozen
from classifiers.training.fit.larger import LARGE, SMALL, milliseconds
from classifiers.training.fit.lesson import targets_of
from classifiers.training.fit.pair import joined
from classifiers.training.fit.tuned import exported
from classifiers.training.rows import Row
from classifiers.training.windows import wholes

if TYPE_CHECKING:
    from classifiers.training.fit.recipe import Bench, Made

_COMPARED = 200


def make(policy: Policy, rows: Sequence[Row], frozen: Frozen, bench: "Bench") -> "Made | None":
    """frozen: the small one. None where held-out text gained nothing.

    Raises TrainingError, EncoderError.
    """
    from classifiers.training.fit.recipe import Made

    first = frozen.fit(policy, rows, bench)
    larger, folder, agreed = _larger(policy, rows, bench)
    bench.progress.step("larger_encoder: reading the rows")
    seen = wholes(larger, [row.text for row in rows], bench.progress.advance)
    last = Frozen(encoder=larger, vectors=seen).fit(policy, rows, bench)
    trained = joined(policy, rows, first, last, names=(SMALL, LARGE))
    if trained is None:
        return None
    trained.settings["two_encoders"] |= {
        "larger": policy.larger_encoder,
        "export": agreed,
        "ms": [round(milliseconds(one), 2) for one in (frozen.encoder, larger)],
    }
    return Made(trained=trained, encoders=(frozen.encoder, larger), samples=(frozen.vectors, seen), own={LARGE: folder})


def _larger(policy: Policy, rows: Sequence[Row], bench: "Bench") -> tuple[Encoder, Path, dict[str, Any]]:
    """The larger encoder as it serves, in int8 where that agrees with what it was."""
    from classifiers.training.fit.torch_encoder import TorchEncoder, torch_threads
    from classifiers.training.fit.weights import find_weights

    bench.progress.step("larger_encoder: exporting it to int8")
    with torch_threads(bench.threads, bench.seed):
        whole = TorchEncoder(find_weights(policy.larger_encoder, bench.base_dir, bench.models_dir), tokens=128)
        some = rows[:: max(1, len(rows) // _COMPARED)]
        texts = [row.text for row in some]
        before = whole.vectors(whole.tokenize(texts), bf16=False)
        head = heads_first.centroids(before, targets_of(policy, some), np.ones(len(some), np.float32))
        return exported(whole, head, texts, LARGE, bench, multi_label=False)
