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
    *,
    doubted: Sequence[bool] = (),
) -> list[dict[str, Any]]:
    """The errors made with most confidence, in that order. doubted: which of the texts are not answered, where `said`
    does not tell it; their errors are marked. index: which of the texts each is."""
    order = [int(place) for place in np.argsort(-confidences, kind="stable") if not correct[place]]
    return [
        {
            "index": place,
            "text": shortened(texts[place]),
            "truth": truths[place],
            "said": guesses[place],
            "confidence": round(float(confidences[place]), 4),
            **({"doubt": True} if doubted and doubted[place] else {}),
        }
        for place in order[:_WORST]
    ]
