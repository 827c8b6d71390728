"""A contract's calls over time against the period that certified it, as a table or as data."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from gateway.contract.drift import Drift, Period, Share

_BARS = "▁▂▃▄▅▆▇█"
_SHARES: Sequence[tuple[str, Callable[[Period], Share]]] = (
    ("below", lambda period: period.below),
    ("novel", lambda period: period.novel),
    ("disagree", lambda period: period.differ),
    ("missing", lambda period: period.missing),
)
_COLUMNS = ("below the threshold", "unlike the certified", "audits that disagree", "for want of an answer")


def table(found: Drift, title: str) -> Table:
    """One row for the certified period and for each window since, the latest last; bars are to the column's highest."""
    made = Table(title=title, title_justify="left")
    periods = (found.certified, *found.windows)
    for name in ("until (UTC)", "calls chosen", *_COLUMNS):
        made.add_column(name)
    highest = {name: max((of(period).value or 0.0 for period in periods), default=0.0) for name, of in _SHARES}
    for period in periods:
        cells = [_cell(of(period), highest[name]) for name, of in _SHARES]
        when = "certified" if period is found.certified else _time(period.until)
        made.add_row(when, f"{period.below.of:,}", *cells)
    return made


def as_dict(found: Drift) -> dict[str, Any]:
    """For JSON. `moved` says what differs beyond doubt between the certified period and the latest pairs."""
    return {
        "threshold": found.threshold,
        "certified": _as_dict(found.certified),
        "latest": [_as_dict(period) for period in found.latest],
        "windows": [_as_dict(window) for window in found.windows],
        "moved": found.moved(),
    }


def _as_dict(period: Period) -> dict[str, Any]:
    shares = {name: {"count": share.count, "of": share.of, "share": share.value} for name, share in _named(period)}
    return {"since": _time(period.since), "until": _time(period.until), **shares}


def _named(period: Period) -> list[tuple[str, Share]]:
    return [(name, of(period)) for name, of in _SHARES]


def _cell(share: Share, highest: float) -> str:
    if share.value is None:
        return ""
    bar = _BARS[round(share.value / highest * (len(_BARS) - 1))] if highest else _BARS[0]
    return f"{bar} {share.value:6.1%} ({share.count:,})"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
