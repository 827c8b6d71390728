"""Figures as people read them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any


def percent(share: float | None) -> str:
    """`0.123` → `12.3 %`; a dash where there was nothing to measure."""
    return "–" if share is None else f"{share:.1%}".replace("%", " %")


def number(value: float | None) -> str:
    """Three digits; a dash where there was nothing to measure."""
    return "–" if value is None else f"{value:.3f}"


def wrong(measures: Mapping[str, Any]) -> str:
    """How an answer that is an error is called: where several labels may hold, a missed one makes it so as well, which
    a goal for the labels given does not count. measures: of intents or topics."""
    return "with a label wrong or missed" if "flagged" in measures else "wrong"


def interval(share: float | None, bounds: Sequence[float] | None) -> str:
    """The bounds of the share, `80.1 – 85.2 %`; nothing where there was nothing to measure, which bounds of 0 and 1
    would not tell from a share that rows leave open."""
    return "" if share is None or bounds is None else f"{bounds[0] * 100:.1f} – {bounds[1] * 100:.1f} %"


def within(share: float | None, bounds: Sequence[float]) -> str:
    """`82.0 % (80.1 – 85.2 %)`; a dash where there was nothing to measure."""
    return percent(share) if share is None else f"{percent(share)} ({interval(share, bounds)})"


def counted(count: int, name: str) -> str:
    """`1 row`, `2 rows`. name: of one."""
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def plain(value: Any) -> str:
    """A setting, whatever it is: `{"sharpness": 20.0, "share": 0.5}` → `sharpness 20.0, share 0.5`."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        inner = ((name, f"({plain(one)})" if isinstance(one, Mapping) else plain(one)) for name, one in value.items())
        return ", ".join(f"{name} {told}" for name, told in inner)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    return str(value)
