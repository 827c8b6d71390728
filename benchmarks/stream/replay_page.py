"""python -m benchmarks.stream --replay DATA: streams of Banking77 and HWU64 under a contract, without HTTP."""

import logging
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks.machine import machine, versions
from benchmarks.stream.learner import FittedVersion, Messages
from benchmarks.stream.replay import ReplayCase, Replayed, replay

SETS = ("banking77", "hwu64")
PACKAGES = ("numpy", "scipy", "scikit-learn", "onnxruntime", "msgspec")
COINS = 4
CHANGED_AT, OUTAGE = 8000, 300
_ABOUT = """The gateway's own owner of contracts decides, without HTTP: 2 % at 95 %, each message once; its gold label
is the paid model's answer. The policy's own model serves until the first refit; refits come at the gateway's schedule.
Four coins an order; the further ones see the versions of the first. The oracle sets the threshold of each version by
the next 3,000 calls. Cells have the mean over coins, in brackets the lowest and the highest. Constants were chosen on
orders 0 to 4, with a stand-in for the refit."""
_HEAD = (
    "| set | order | answered here | oracle's | last quarter | oracle's | wrong of the answers | first answer at call |"
)
_CHANGED = (
    "| change | order | calls until withdrawn | wrong answers | of | calls until live again | wrong since | alarms |"
)
_LATER = "no model before the first refit"
_KINDS: dict[str, dict[str, Any]] = {
    "ten labels swap": {"swapped_at": CHANGED_AT},
    "5 % of the answers change": {"noisy_at": CHANGED_AT},
    f"no answer for {OUTAGE} calls": {"outage": range(CHANGED_AT, CHANGED_AT + OUTAGE)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """What came after a change: calls until withdrawn, None where it never was; the answers until then, or of the first
    OUTAGE calls, and the wrong ones; calls until it was live again; the answers since; alarms."""

    kind: str
    live: bool
    withdrawn: int | None
    answered: int
    wrong: int
    back: int | None
    answered_since: int
    wrong_since: int
    alarms: int

    @classmethod
    def of(cls, kind: str, seen: Replayed) -> "ChangeRow":
        """By a stream in which something changed."""
        start, out = CHANGED_AT, seen.withdrawn(CHANGED_AT)
        end = start + OUTAGE if out is None else out
        back = end if out is None else next((call for call in range(out, len(seen.live)) if seen.live[call]), None)
        since = len(seen.live) if back is None else back
        return cls(
            kind=kind,
            live=seen.live[start - 1],
            withdrawn=None if out is None else out - start,
            answered=sum(seen.answered[start:end]),
            wrong=sum(seen.wrong[start:end]),
            back=None if out is None or back is None else back - out,
            answered_since=sum(seen.answered[since:]),
            wrong_since=sum(seen.wrong[since:]),
            alarms=sum(call >= start for call in seen.alarms),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """An order's streams, one for each coin. oracles: of the whole and of the last quarter, by the first coin's
    versions."""

    name: str
    order: int
    whole: Sequence[float]
    last: Sequence[float]
    wrong: Sequence[float]
    first: Sequence[int]
    oracles: tuple[float, float]
    moves: Sequence[str]
    changes: Sequence[ChangeRow] = ()

    @classmethod
    def of(cls, name: str, order: int, streams: Sequence[Replayed], gold: Sequence[int]) -> "OrderRow":
        """By its streams. gold: as of `Messages`."""
        begun = streams[0]
        return cls(
            name=name,
            order=order,
            whole=[one.share() for one in streams],
            last=[one.share(one.quarter) for one in streams],
            wrong=[one.wrongly() for one in streams],
            first=[one.answered.index(True) if any(one.answered) else len(one.answered) for one in streams],
            oracles=(begun.oracle(gold), begun.oracle(gold, begun.quarter)),
            moves=[f"- {name}, order {order}, coin {coin}: {_moves(one)}" for coin, one in enumerate(streams)],
        )


def main(data: Path, cache: Path, output: Path, orders: Sequence[int], processes: int) -> None:
    """Replays all orders and writes stream-replay.md. data: the folder of both sets."""
    for name in SETS:
        Messages.load(data / name, cache)
    jobs = [(name, order) for order in orders for name in SETS]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rows: list[OrderRow] = []
        for made in pool.map(partial(rows_of, data, cache), *zip(*jobs, strict=True)):
            rows += made
            print(*_lines(made), *(line for row in made for line in (*row.moves, *row.changes)), sep="\n", flush=True)
            (output / "stream-replay.md").write_text("\n".join(page(rows)) + "\n", encoding="utf-8")


def rows_of(data: Path, cache: Path, name: str, order: int) -> list[OrderRow]:
    """An order of a set, with the policy's own model and without; what changes is measured on Banking77. cache: also of
    versions and rows, so that a run that was cut off goes on."""
    file, done = (cache / name / f"{what}-{order}.pickle" for what in ("versions", "rows"))
    if done.exists():
        return list(pickle.loads(done.read_bytes()))
    logging.getLogger("gateway").setLevel(logging.ERROR)
    # on matrices this small, BLAS threads wait for each other
    with threadpool_limits(1):
        messages = Messages.load(data / name, cache)
        old = pickle.loads(file.read_bytes()) if file.exists() else replay(messages, ReplayCase(order=order)).versions
        file.write_bytes(pickle.dumps(old))
        gold, rows = messages.gold.tolist(), []
        for first in (True, False):
            streams = [replay(messages, ReplayCase(order=order, coin=coin, first=first), old) for coin in range(COINS)]
            rows.append(OrderRow.of(name if first else f"{name}, {_LATER}", order, streams, gold))
            print(*_lines(rows[-1:]), sep="\n", flush=True)
        if name == SETS[0]:
            rows[0] = replace(rows[0], changes=list(_changes(messages, order, old)))
    done.write_bytes(pickle.dumps(rows))
    return rows


def replays(folder: Path, cache: Path, order: int, coins: int) -> list[Replayed]:
    """The streams of one order of a set, one for each coin. folder: the set's."""
    logging.getLogger("gateway").setLevel(logging.ERROR)
    with threadpool_limits(1):
        messages = Messages.load(folder, cache)
        first = replay(messages, ReplayCase(order=order))
        further = range(1, coins)
        return [first, *(replay(messages, ReplayCase(order=order, coin=coin), first.versions) for coin in further)]


def _changes(messages: Messages, order: int, old: Sequence[FittedVersion]) -> Iterator[ChangeRow]:
    for kind, change in _KINDS.items():
        known, until = old, None if "outage" in change else CHANGED_AT
        for coin in range(COINS):
            seen = replay(messages, ReplayCase(order=order, coin=coin, **change), known, until)
            row = ChangeRow.of(kind, seen)
            yield row
            print(f"order {order}, coin {coin}: {row}", flush=True)
            if "swapped_at" not in change:
                # an alarm, which begins the schedule anew, depends on the coin
                known, until = seen.versions, None


def _moves(seen: Replayed) -> str:
    return "; ".join(f"at {call:,} {why}" for call, why in seen.moves) or "never live"


def page(rows: Sequence[OrderRow]) -> Iterator[str]:
    """Lines of Markdown."""
    yield "# Streams under a contract, replayed"
    yield ""
    yield f"Made by `python -m benchmarks.stream --replay` on {machine()}; {versions(PACKAGES)}."
    yield _ABOUT
    yield ""
    yield from _lines(rows)
    yield ""
    yield f"From call {CHANGED_AT:,} on (Banking77; a number for each coin; `-`: it was never withdrawn, or never live"
    yield f"again; where it stays live, answers are of the first {OUTAGE} calls):"
    yield ""
    yield _CHANGED
    yield _ruler(_CHANGED)
    for kind in _KINDS:
        for row in rows:
            if own := [change for change in row.changes if change.kind == kind]:
                yield f"| {kind} | {row.order} | {' | '.join(_cells(own))} |"
        if every := [change for row in rows for change in row.changes if change.kind == kind]:
            yield f"| **{kind}** | median | {' | '.join(_medians(every))} |"


def _cells(rows: Sequence[ChangeRow]) -> Iterator[str]:
    """Of _CHANGED after the order."""
    for part in ("withdrawn", "wrong", "answered", "back"):
        numbers = [getattr(row, part) for row in rows]
        yield ", ".join("-" if number is None else f"{number:,}" for number in numbers)
    yield f"{sum(row.wrong_since for row in rows):,} of {sum(row.answered_since for row in rows):,}"
    yield f"{sum(row.alarms for row in rows)}"


def _medians(rows: Sequence[ChangeRow]) -> Iterator[str]:
    """The same over all orders; the median of calls is over those that came."""
    for part in ("withdrawn", "wrong", "answered", "back"):
        numbers = [getattr(row, part) for row in rows if getattr(row, part) is not None]
        yield (
            f"{median(numbers):,.0f} ({min(numbers):,} to {max(numbers):,}; {len(numbers)} of {len(rows)})"
            if numbers
            else "-"
        )
    yield from list(_cells(rows))[-2:]


def _lines(rows: Sequence[OrderRow]) -> Iterator[str]:
    yield _HEAD
    yield _ruler(_HEAD)
    for name in dict.fromkeys(row.name for row in rows):
        own = [row for row in rows if row.name == name]
        if _LATER not in name or len(own) == 1:
            yield from (_line(name, f"{row.order}", [row]) for row in own)
        if len(own) > 1:
            yield _line(f"**{name}**", "all", own)


def _ruler(head: str) -> str:
    return "|" + "---|" * (head.count("|") - 1)


def _line(name: str, order: str, rows: Sequence[OrderRow]) -> str:
    """The mean of means; the first answer is the median over all streams."""
    parts = (("whole", 1), ("last", 1), ("wrong", 2))
    whole, last, wrong = (_span([getattr(row, part) for row in rows], digits) for part, digits in parts)
    oracles = [f"{mean(row.oracles[part] for row in rows):.1%}" for part in (0, 1)]
    first = [call for row in rows for call in row.first]
    came = f"{median(first):,.0f} ({min(first):,} to {max(first):,})"
    return f"| {name} | {order} | {whole} | {oracles[0]} | {last} | {oracles[1]} | {wrong} | {came} |"


def _span(orders: Sequence[Sequence[float]], digits: int) -> str:
    every = [share for order in orders for share in order]
    return f"{mean(every):.{digits}%} ({min(every):.{digits}%} to {max(every):.{digits}%})"
