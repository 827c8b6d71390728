"""A suite's figures as lines that people read. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from classifiers.report.figures import interval, percent

_BAD = ("harmful", "caught", "clean", "kept", "95 %", "still caught", "95 %")
_GOOD = ("harmless", "false alarms", "95 %", "clean", "in doubt")
HEAD = ("", *_BAD, *_GOOD)


def rows(suite: Mapping[str, Any]) -> Iterator[tuple[bool, tuple[str, ...]]]:
    """(whether it is a family's sum, cells under HEAD): the clean rows, then each family and its variants."""
    yield True, ("as they are", *_cells(suite["clean"]))
    for family, found in suite["families"].items():
        yield True, (family, *_cells(found["all"]))
        for variant, figures in found["variants"].items():
            yield False, (variant, *_cells(figures))


def plain(suite: Mapping[str, Any]) -> Iterator[str]:
    """For a terminal."""
    if left_out(suite):
        yield left_out(suite)
    yield (
        f"suite: {suite['harmful']} harmful and {suite['harmless']} harmless rows; kept = caught / caught clean, "
        "still = share of what is caught clean that still is"
    )
    lines = [(cells[0] if summed else f"  {cells[0]}", cells) for summed, cells in rows(suite)]
    wide = max(len(name) for name, _ in lines)
    yield f"  {'':{wide}}{'caught':>9}{'clean':>9}{'kept':>9}{'still':>9}{'alarms':>9}{'clean':>9}{'in doubt':>10}"
    for name, cells in lines:
        shown = "".join(f"{cells[place]:>9}" for place in (2, 3, 4, 6, 9, 11))
        yield f"  {name:{wide}}{shown}{cells[12]:>10}".rstrip()


def left_out(suite: Mapping[str, Any]) -> str:
    """What counts in no figure, because training had it; empty where there is none."""
    seen = suite["trained_on"]
    count, flagged = seen["harmless"], percent(seen["alarms"])
    lines = "line was trained on and counts" if count == 1 else "lines were trained on and count"
    return f"{count} of the suite's own harmless {lines} in no figure ({flagged} flagged)" if count else ""


def markdown(suite: Mapping[str, Any]) -> Iterator[str]:
    """For a document."""
    yield f"| {' | '.join(HEAD)} |"
    yield "|---" * len(HEAD) + "|"
    for summed, cells in rows(suite):
        name = f"**{cells[0]}**" if summed else cells[0]
        yield f"| {' | '.join((name, *cells[1:]))} |"


def _cells(figures: Mapping[str, Any]) -> tuple[str, ...]:
    bad, good = figures["harmful"], figures["harmless"]
    caught = (
        percent(figures["caught"]),
        percent(figures["clean"]),
        percent(figures["kept"]),
        interval(figures["kept"], figures["kept_interval"]),
        percent(figures["still_caught"]),
        interval(figures["still_caught"], figures["still_caught_interval"]),
    )
    alarms = (
        percent(figures["alarms"]),
        interval(figures["alarms"], figures["alarms_interval"]),
        percent(figures["clean_alarms"]),
        percent(figures["in_doubt"]),
    )
    return (
        *((str(bad), *caught) if bad else ("",) * len(_BAD)),
        *((str(good), *alarms) if good else ("",) * len(_GOOD)),
    )
