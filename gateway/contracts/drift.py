"""A live contract's calls over time against the period that certified it: how many lie below the threshold, how many
are unlike it, how many audits disagree. Pure.

All figures are of calls that the coin chose, which are a fair sample whatever its rate was.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.contracts.contract import Phase
from gateway.intervals import clopper_pearson

_USUAL: Final = 0.95
"""Of the certified period's calls, those that are less novel than what counts as unlike it."""
_WINDOWS: Final = 8
_FEWEST: Final = 50
"""Pairs of a window."""
_LATEST: Final = (20, 50, 200)
"""Pairs that say whether something has moved: a great change shows in few, a small one only in many."""
_OUTSIDE: Final = 0.0025


class SampledCall(Protocol):
    """A stored pair. novelty: None where it was not kept."""

    @property
    def at(self) -> float: ...
    @property
    def chosen(self) -> bool: ...
    @property
    def threshold(self) -> float | None: ...
    @property
    def confidence(self) -> float: ...
    @property
    def novelty(self) -> float | None: ...
    @property
    def result(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """count of so many."""

    count: int
    total: int

    @property
    def value(self) -> float | None:
        """None of nothing."""
        return self.count / self.total if self.total else None

    def moved_from(self, other: "Share") -> bool:
        """Whether it differs beyond doubt: at 99.5 % each, their limits do not meet."""
        low, high = clopper_pearson(self.total, self.count, _OUTSIDE)
        their_low, their_high = clopper_pearson(other.total, other.count, _OUTSIDE)
        return low > their_high or high < their_low


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """since, until: Unix seconds of its first and last pair; below: of its calls, under the threshold; novel: more so
    than 95 % of the certified period; differ: audits at or above the threshold that the model answered otherwise, or
    not at all; missing: those of them to which no answer came that could be compared."""

    since: float
    until: float
    below: Share
    novel: Share
    differ: Share
    missing: Share


_MEASURES: Final[Sequence[tuple[str, Callable[[Period], Share]]]] = (
    ("below the threshold", lambda period: period.below),
    ("unlike the certified period", lambda period: period.novel),
    ("disagree", lambda period: period.differ),
    ("no answer to compare", lambda period: period.missing),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """certified: what the certificate was seen on; latest: the last 20, 50 and 200 pairs since; windows: all since
    by time."""

    threshold: float
    certified: Period
    latest: tuple[Period, ...]
    windows: tuple[Period, ...]

    def moved(self) -> list[str]:
        """What has moved beyond doubt, in words."""
        moves = []
        for name, of in _MEASURES:
            then = of(self.certified)
            now = next((share for period in self.latest if (share := of(period)).moved_from(then)), None)
            if now is not None:
                moves.append(f"{name} {then.value:.1%} → {now.value:.1%}")
        return moves


def drift(pairs: Iterable[SampledCall], moves: Sequence[tuple[float, str, str]]) -> Drift | None:
    """pairs: by time; moves: (Unix seconds, phase, reason), by time. None where nothing was certified, or no pair came
    since. Of a contract that was withdrawn, the time until then."""
    certified = span(moves)
    if certified is None:
        return None
    begun, live, ended = certified
    chosen = [pair for pair in pairs if pair.chosen and begun < pair.at <= ended]
    before = [pair for pair in chosen if pair.at <= live]
    since = [pair for pair in chosen if pair.at > live and pair.threshold is not None]
    if not before or not since:
        return None
    # thresholds only fall while it is live, and calls under way then still tell of the one before
    threshold = min(pair.threshold for pair in since if pair.threshold is not None)
    after = [pair for pair in since if pair.threshold == threshold]
    known = sorted(pair.novelty for pair in before if pair.novelty is not None)
    limit = known[min(len(known) - 1, int(_USUAL * len(known)))] if known else None
    size = max(_FEWEST, -(-len(after) // _WINDOWS))
    return Drift(
        threshold=threshold,
        certified=_period(before, threshold, limit),
        latest=tuple(_period(after[-count:], threshold, limit) for count in _LATEST),
        windows=tuple(_period(after[start : start + size], threshold, limit) for start in range(0, len(after), size)),
    )


def why(pairs: Iterable[SampledCall], moves: Sequence[tuple[float, str, str]]) -> str:
    """What has moved under a contract that is withdrawn, in words. pairs, moves: as of `drift`."""
    change = drift(pairs, moves)
    moved = change.moved() if change else []
    return f"moved since the certificate: {', '.join(moved)}" if moved else "nothing has moved beyond doubt"


def span(moves: Sequence[tuple[float, str, str]]) -> tuple[float, float, float] | None:
    """After when the pairs came that the latest certificate was seen on, when it was given, and when it ended, in Unix
    seconds; None where there is none. moves: (Unix seconds, phase, reason), by time."""
    last = max((index for index, (_, phase, _) in enumerate(moves) if phase == Phase.LIVE), default=None)
    if last is None:
        return None
    begun = max((at for at, phase, _ in moves[:last] if phase != Phase.LIVE), default=-math.inf)
    ended = moves[last + 1][0] if last + 1 < len(moves) else math.inf
    return begun, moves[last][0], ended


def _period(pairs: Sequence[SampledCall], threshold: float, limit: float | None) -> Period:
    surer = [pair for pair in pairs if pair.confidence >= threshold]
    known = [pair.novelty for pair in pairs if pair.novelty is not None and limit is not None]
    return Period(
        since=pairs[0].at,
        until=pairs[-1].at,
        below=Share(count=len(pairs) - len(surer), total=len(pairs)),
        novel=Share(count=sum(one > limit for one in known if limit is not None), total=len(known)),
        differ=Share(count=sum(pair.result != "agrees" for pair in surer), total=len(surer)),
        missing=Share(count=sum(pair.result == "missing" for pair in surer), total=len(surer)),
    )
