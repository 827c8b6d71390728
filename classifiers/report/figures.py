"""Figures as people read them. Pure."""

from collections.abc import Sequence


def percent(share: float | None) -> str:
    """`0.123` → `12.3 %`; a dash where there was nothing to measure."""
    return "–" if share is None else f"{share:.1%}".replace("%", " %")


def number(value: float | None) -> str:
    """Three digits; a dash where there was nothing to measure."""
    return "–" if value is None else f"{value:.3f}"


def interval(bounds: Sequence[float] | None) -> str:
    """`80.1 – 85.2 %`."""
    return "" if bounds is None else f"{bounds[0] * 100:.1f} – {bounds[1] * 100:.1f} %"
