"""How many calls a day a contract answers lately: over the running period and the one before, so that a volume that
falls is known within two. A first day that is not over counts as if no more came in it: a few calls in as many seconds
tell nothing of a day."""

from dataclasses import dataclass, field
from typing import Final

_DAY_S: Final = 86400.0


@dataclass(slots=True, kw_only=True)
class Volume:
    """since: Unix seconds from which on it counts."""

    since: float
    _count: int = 0
    _before: tuple[int, float] = field(default=(0, 0.0))

    def add(self) -> None:
        """One more call."""
        self._count += 1

    def a_day(self, *, now: float, period_s: float) -> float:
        """period_s: at least a day counts as one."""
        lasted = now - self.since
        calls, seconds = self._before
        found = (calls + self._count) / max(seconds + lasted, _DAY_S) * _DAY_S
        if lasted >= max(period_s, _DAY_S):
            self._before, self._count, self.since = (self._count, lasted), 0, now
        return found
