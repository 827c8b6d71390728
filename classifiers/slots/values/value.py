"""A value as it is read from a slot's words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """value: as a verdict's slot gives it; currency: of money, ISO 4217."""

    value: str | int | float
    currency: str | None = None
