"""How often the reference contradicts itself when asked the same again, and what that leaves for a contract. Pure.

Where two answers to one text differ with the chance d, whoever answers once for the reference differs from it in at
least 1 - sqrt(1 - d) of calls: for a text whose answers have the shares p, d = 1 - Σp² and the best guess differs in
e = 1 - max p; Σp² is at least (max p)², so 1 - d >= (1 - e)², and since the root is concave this holds for averages
over texts as well. A target below that cannot be kept by anyone, and no attempt at it begins.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.contracts.bounds import lower_at_any_time, upper_at_any_time

MOST: Final = 300
"""The latest repeats that count; when this many are known, no more are asked for."""
REFUSED: Final = "refused: "
"""So begins the reason of a contract that begins no attempt since the reference contradicts itself."""
_OUTSIDE: Final = 0.025
_REFUSED: Final = 0.2
"""Of the usual share of repeats, that which goes on while attempts are refused: the reference may be mended."""
_FEWEST: Final = 20
_ENOUGH: Final = 100
"""Repeats at or above a threshold that speak for it alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedAnswers:
    """asked: repeats that got an answer; differ: those of which it was another one."""

    asked: int
    differ: int

    @classmethod
    def of(cls, seen: Iterable[tuple[float, bool]], threshold: float = 0.0) -> "RepeatedAnswers":
        """seen: (confidence, whether both answers agree); threshold: from which confidence on they count, where there
        are enough of those; else all do."""
        every = list(seen)
        surer = [agrees for confidence, agrees in every if confidence >= threshold]
        counted = surer if len(surer) >= _ENOUGH else [agrees for _, agrees in every]
        return cls(asked=len(counted), differ=len(counted) - sum(counted))

    @property
    def limits(self) -> tuple[float, float]:
        """95 % limits of the share that differs, however often one looks."""
        counts = self.asked, self.differ, _OUTSIDE
        return (lower_at_any_time(*counts), upper_at_any_time(*counts)) if self.asked else (0.0, 1.0)

    @property
    def least(self) -> float:
        """Of any answers given instead, the share that at least differs from the reference, as far as is known beyond
        doubt."""
        return 1 - math.sqrt(1 - self.limits[0])

    def refusal(self, target: float) -> str:
        """Why no contract can keep the target; empty where one may."""
        if self.asked < _FEWEST or self.least <= target:
            return ""
        low, high = self.limits
        return (
            f"{REFUSED}the model contradicts itself: asked again, "
            f"{self.differ} of {self.asked} calls got another answer (95 %: {low:.1%} to {high:.1%}), "
            f"so that at least {self.least:.1%} of any answers differ from its own, and at most {target:.1%} may"
        )


def share(usual: float, *, known: int, refused: bool) -> float:
    """Of the calls that the coin chose, those to be asked again. usual: as the rule says; known: repeats so far."""
    if refused:
        return usual * _REFUSED
    return usual if known < MOST else 0.0
