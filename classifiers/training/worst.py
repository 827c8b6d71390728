"""The errors to read first. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.training.confusion import shortened

_WORST = 40


def worst(
    texts: Sequence[str],
    truths: Sequence[str],
    guesses: Sequence[str],
    confidences: NDArray[np.floating],
    correct: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """The errors made with most confidence, in that order. index: which of the texts each is."""
    order = [int(place) for place in np.argsort(-confidences, kind="stable") if not correct[place]]
    return [
        {
            "index": place,
            "text": shortened(texts[place]),
            "truth": truths[place],
            "said": guesses[place],
            "confidence": round(float(confidences[place]), 4),
        }
        for place in order[:_WORST]
    ]
