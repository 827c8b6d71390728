"""What a classifier says of a request, as far as its answer needs it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """labels: the most certain first; known: all that it could name; scores: calibrated, of each."""

    labels: tuple[str, ...]
    known: tuple[str, ...]
    confidence: float
    scores: Mapping[str, float]
