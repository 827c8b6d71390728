"""What `offramp eval --fail-under` and `--fail-over` hold figures against."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite

import typer

_NO_SHARES = frozenset({"mean_ms", "p50_ms", "p95_ms", "kept"})
"""The last parts of figures that may be above 1. All others are shares."""

_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A figure's name and what it must not be under, or over."""

    name: str
    limit: float
    over: bool = False


def parse(under: Iterable[str], over: Iterable[str]) -> list[Bound]:
    """NAME=x each; x alone is of the accuracy. Raises typer.BadParameter, also where x is no value of that figure:
    such a bound would always hold."""
    return [
        *(_bound(text, "--fail-under", over=False) for text in under),
        *(_bound(text, "--fail-over", over=True) for text in over),
    ]


def _bound(text: str, flag: str, *, over: bool) -> Bound:
    name, sign, number = text.rpartition("=")
    try:
        # 5.6 / 100 is a little less than 0.056, which figures are rounded to
        limit = round(float(number.removesuffix("%")) / (100 if number.endswith("%") else 1), _DIGITS)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not NAME=x, such as accuracy=0.9 or ece=2%", param_hint=flag) from error
    if sign and not name:
        raise typer.BadParameter(f"{text!r} names no figure before its =", param_hint=flag)
    bound = Bound(name=name or "accuracy", limit=limit, over=over)
    if not isfinite(limit):
        raise typer.BadParameter(f"{text!r} bounds nothing: {number} is no number", param_hint=flag)
    # no figure is over 1, so that whoever writes ece=1 means 1 %
    always = over and limit == 1 and not number.endswith("%")
    if bound.name.rpartition(".")[2] not in _NO_SHARES and (always or not 0 <= limit <= 1):
        hint = f"; write {number}%" if 1 <= limit <= 100 and not number.endswith("%") else ""
        raise typer.BadParameter(
            f"{text!r}: {bound.name} is a share of 0 to 1, or of 0% to 100%{hint}", param_hint=flag
        )
    return bound


def check(bounds: Iterable[Bound], known: Iterable[str]) -> None:
    """Raises typer.BadParameter where a bound's name is none of the figures'."""
    names = list(known)
    for bound in bounds:
        if bound.name not in names:
            near = get_close_matches(bound.name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names[:12])} …"
            raise typer.BadParameter(f"no figure is called {bound.name!r}; {hint}")


def failures(bounds: Iterable[Bound], figures: Mapping[str, float | None]) -> Iterator[str]:
    """A line for each bound that does not hold. A figure that is None or not there could not be measured
    and holds none."""
    for bound in bounds:
        value = figures.get(bound.name)
        if value is None:
            yield f"{bound.name} could not be measured on these rows"
        elif (value > bound.limit) if bound.over else (value < bound.limit):
            yield f"{bound.name} is {value:.4g}, {'over' if bound.over else 'under'} {bound.limit:g}"
