"""How often the reference contradicts itself when asked the same again, and what that leaves for a contract. Pure.

Where two answers to one text differ with the chance d, whoever answers once for the reference differs from it in at
least 1 - sqrt(1 - d) of calls: for a text whose answers have the shares p, d = 1 - Σp² and the best guess differs in
e = 1 - max p; Σp² is at least (max p)², so 1 - d >= (1 - e)², and since the root is concave this holds for averages
over texts as well. A target below that cannot be kept by anyone: its contract stays in shadow.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.intervals import clopper_pearson

MOST: Final = 300
"""The latest repeats that count; when this many are known, no more are asked for."""
_OUTSIDE: Final = 0.025
_REFUSED: Final = 0.2
"""Of the usual share of repeats, that which goes on while the target cannot be kept: the model may be mended."""
_FEWEST: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedAnswers:
    """asked: repeats that got an answer; differ: those of which it was another one."""

    asked: int
    differ: int

    @classmethod
    def of(cls, seen: Iterable[tuple[float, bool]]) -> "RepeatedAnswers":
        """seen: (confidence, whether both answers agree)."""
        every = [agrees for _, agrees in seen]
        return cls(asked=len(every), differ=len(every) - sum(every))

    @property
    def limits(self) -> tuple[float, float]:
        """95 % limits of the share that differs."""
        return clopper_pearson(self.asked, self.differ, _OUTSIDE)

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
            f"the model contradicts itself: asked again, "
            f"{self.differ} of {self.asked} calls got another answer (95 %: {low:.1%} to {high:.1%}), "
            f"so that at least {self.least:.1%} of any answers differ from its own, and at most {target:.1%} may"
        )


def share(usual: float, *, known: int, refused: bool) -> float:
    """Of the calls that the coin chose, those to be asked again. usual: as the rule says; known: repeats so far."""
    if refused:
        return usual * _REFUSED
    return usual if known < MOST else 0.0
