"""How long something is expected to take, in words and for JSON."""

import math

from gateway.contract.outlook import Wait


def in_words(wait: Wait, what: str = "") -> str:
    """With what nine in ten stay within."""
    if math.isinf(wait.median):
        return f"more {what} than can be told".replace("  ", " ")
    most = "" if math.isinf(wait.most) or wait.most == wait.median else f" (nine in ten within {_number(wait.most)})"
    return f"about {_number(wait.median)}{what and ' ' + what}{most}"


def as_dict(wait: Wait) -> dict[str, float | None]:
    """null where it is beyond what was simulated."""
    return {
        name: None if math.isinf(value) else value for name, value in (("median", wait.median), ("most", wait.most))
    }


def _number(value: float) -> str:
    """Two digits are as much as is known."""
    if value < 10:
        return f"{value:.1f}"
    places = -(len(str(round(value))) - 2)
    return f"{round(value, places):,.0f}"
