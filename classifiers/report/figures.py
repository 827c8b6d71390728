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


def interval(bounds: Sequence[float] | None) -> str:
    """`80.1 – 85.2 %`."""
    return "" if bounds is None else f"{bounds[0] * 100:.1f} – {bounds[1] * 100:.1f} %"


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
