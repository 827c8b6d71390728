"""Where held-out text shows that the common threshold keeps no goal: a stricter one for texts of that length or
language. Pure, but for the detector of languages. Why so: docs/design/002-fitting-a-head.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.bands import band_of, families, language_of
from classifiers.model import NEVER, Band, Floats
from classifiers.policy import Policy
from classifiers.text.languages import Detector
from classifiers.text.normalise import normalise
from classifiers.training import calibrate
from classifiers.training.fit.certain import least_share

LEAST_ROWS = 50
"""Held-out rows of a band, below which its texts are judged by the common threshold."""
CONFIDENCE = 0.8
"""That a band errs more than is wanted. What a needless threshold costs is answers, what a missing one costs is
errors."""


def of_texts(policy: Policy, texts: Sequence[str]) -> list[Band]:
    """The band of each text; by language only where the policy names several."""
    known, detector = families(policy.languages), Detector()
    plain = [normalise(text) for text in texts]
    return [band_of(len(text), language_of(detector.stretches(text), known) if known else "") for text in plain]


def stricter(
    bands: Sequence[Band], confidences: Floats, correct: NDArray[np.bool_], *, act: float, max_error: float
) -> dict[Band, float]:
    """The thresholds of bands in which, with 80 % confidence, more than `max_error` of what `act` answers is wrong: the
    lowest that keeps to it on these rows, or `NEVER`'s where there is none.

    act: the common threshold. bands, confidences, correct: (n,) of held-out rows that are named.
    """
    own: dict[Band, float] = {}
    for band, here in _each(bands):
        sure, right = confidences[here], correct[here]
        answered = sure >= act
        wrong = least_share(int((answered & ~right).sum()), int(answered.sum()), CONFIDENCE)
        if len(sure) >= LEAST_ROWS and wrong > max_error:
            # of what is answered alone: with what lies below, however right that is, a lower one might seem to do
            reach = calibrate.act_for_error(sure[answered], right[answered], max_error)
            own[band] = reach.act if reach else NEVER.act
    return own


def told(
    bands: Sequence[Band], confidences: Floats, correct: NDArray[np.bool_], *, act: float, own: Mapping[Band, float]
) -> list[dict[str, Any]]:
    """For the report, the shortest texts first: what the common threshold does in each band, and the one in use."""
    found = []
    for band, here in _each(bands):
        sure, right, used = confidences[here], correct[here], own.get(band, act)
        found.append(
            {
                "above": band.above,
                "up_to": band.up_to,
                "language": band.language,
                "rows": len(sure),
                "common": _shares(sure >= act, right),
                "act": round(min(used, 1.0), 5),
                "own": band in own,
                **_shares(sure >= used, right),
            }
        )
    return found


def _each(bands: Sequence[Band]) -> Iterator[tuple[Band, NDArray[np.bool_]]]:
    for band in sorted(set(bands), key=lambda one: (one.above, one.language)):
        yield band, np.array([one == band for one in bands], bool)


def _shares(answered: NDArray[np.bool_], right: NDArray[np.bool_]) -> dict[str, float | None]:
    wrong = (answered & ~right).sum() / answered.sum() if answered.any() else None
    return {
        "answered": round(float(answered.mean()), 5),
        "error": None if wrong is None else round(float(wrong), 5),
    }
