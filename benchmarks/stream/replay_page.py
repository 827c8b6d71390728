"""python -m benchmarks.stream --replay DATA: streams of Banking77 and HWU64 under a contract, without HTTP."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks.machine import machine, versions
from benchmarks.stream.learner import Messages
from benchmarks.stream.replay import ReplayCase, Replayed, replay

SETS = ("banking77", "hwu64")
PACKAGES = ("numpy", "scipy", "scikit-learn", "onnxruntime", "msgspec")
COINS = 4
CHANGED_AT, OUTAGE = 8000, 300
_ABOUT = """The gateway's own owner of contracts decides on recorded vectors, without HTTP: 2 % at 95 %, each message
once, its gold label is the paid model's answer. Versions are heads on the project's encoder, fitted to the policy's own
text and to kept calls; there is none before 125 calls. Four coins an order; the further ones see the versions of the
first. The oracle knows the next 3,000 calls. Constants were chosen on orders 0 to 4."""
_RULE = "|{}"
_HEAD = "| set | order | answered here | last quarter | oracle's | wrong of the answers, highest coin | first answer |"
_CHANGED = (
    "| change | order | calls until withdrawn | answered of them | wrong | until live again | wrong since | alarms |"
)
_KINDS: dict[str, dict[str, Any]] = {
    "ten labels swap": {"swapped_at": CHANGED_AT},
    "5 % of the answers change": {"noisy_at": CHANGED_AT},
    "no answer for 300 calls": {"outage": range(CHANGED_AT, CHANGED_AT + OUTAGE)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """An order's streams, one for each coin. oracle: of the last quarter, with the first coin's versions; changes: the
    lines of what came after each kind of change."""

    name: str
    order: int
    whole: Sequence[float]
    last: Sequence[float]
    wrong: Sequence[float]
    first: Sequence[int]
    oracle: float
    moves: Sequence[str]
    changes: Sequence[str]


def main(data: Path, cache: Path, output: Path, orders: Sequence[int], processes: int) -> None:
    """Replays all orders and writes stream-replay.md. data: the folder of both sets."""
    for name in SETS:
        Messages.load(data / name, cache)
    jobs = [(name, order) for order in orders for name in SETS]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rows = []
        for row in pool.map(partial(row_of, data, cache), *zip(*jobs, strict=True)):
            rows.append(row)
            print(*_lines([row]), *row.moves, *row.changes, sep="\n", flush=True)
            (output / "stream-replay.md").write_text("\n".join(page(rows)) + "\n", encoding="utf-8")


def row_of(data: Path, cache: Path, name: str, order: int) -> OrderRow:
    """An order of a set; what changes is measured on Banking77."""
    # on matrices this small, BLAS threads wait for each other
    with threadpool_limits(1):
        messages = Messages.load(data / name, cache)
        begun = replay(messages, ReplayCase(order=order))
        again = [replay(messages, ReplayCase(order=order, coin=coin), begun.versions) for coin in range(1, COINS)]
        changes = []
        for kind, change in _KINDS.items() if name == SETS[0] else ():
            until = None if "outage" in change else CHANGED_AT
            seen = replay(messages, ReplayCase(order=order, **change), begun.versions, until)
            changes.append(f"| {kind} | {order} | {' | '.join(_change(seen))} |")
    every = [begun, *again]
    return OrderRow(
        name=name,
        order=order,
        whole=[one.share() for one in every],
        last=[one.share(one.quarter) for one in every],
        wrong=[one.wrongly() for one in every],
        first=[one.answered.index(True) if any(one.answered) else len(one.answered) for one in every],
        oracle=begun.oracle(messages.gold.tolist(), begun.quarter),
        moves=[f"- {name}, order {order}, coin {coin}: {_moves(one)}" for coin, one in enumerate(every)],
        changes=changes,
    )


def _change(seen: Replayed) -> Iterator[str]:
    """The cells of _CHANGED after the order."""
    start, out = CHANGED_AT, seen.withdrawn(CHANGED_AT)
    end = start + OUTAGE if out is None else out
    yield "not" if out is None else f"{out - start:,}" if out > start else "was in shadow"
    yield f"{sum(seen.answered[start:end]):,}"
    yield f"{sum(seen.wrong[start:end]):,}"
    back = end if out is None else next((call for call in range(out, len(seen.live)) if seen.live[call]), None)
    yield "never" if back is None else "" if out is None else f"{back - out:,}"
    yield "" if back is None else f"{sum(seen.wrong[back:]):,} of {sum(seen.answered[back:]):,}"
    yield f"{sum(call >= start for call in seen.alarms)}"


def _moves(seen: Replayed) -> str:
    return "; ".join(f"at {call:,} {why}" for call, why in seen.moves) or "never live"


def page(rows: Sequence[OrderRow]) -> Iterator[str]:
    """Lines of Markdown."""
    yield "# Streams under a contract, replayed"
    yield ""
    yield f"Made by `python -m benchmarks.stream --replay` on {machine()}; {versions(PACKAGES)}. Other work shared the"
    yield f"machine. {_ABOUT}"
    yield ""
    yield from _lines(rows)
    yield ""
    yield f"From call {CHANGED_AT:,} on (Banking77, first coin; where it stays live, of the first {OUTAGE} calls):"
    yield ""
    yield _CHANGED
    yield _RULE.format("---|" * 8)
    for kind in _KINDS:
        yield from (line for row in rows for line in row.changes if kind in line)
    yield ""
    yield from (line for row in rows for line in row.moves)


def _lines(rows: Sequence[OrderRow]) -> Iterator[str]:
    yield _HEAD
    yield _RULE.format("---|" * 7)
    for name in SETS:
        own = [row for row in rows if row.name == name]
        for row in own:
            yield _line(name, f"{row.order}", [row])
        if len(own) > 1:
            yield _line(f"**{name}**", "mean, median", own)


def _line(name: str, order: str, rows: Sequence[OrderRow]) -> str:
    whole, last, wrong = (mean(mean(getattr(row, part)) for row in rows) for part in ("whole", "last", "wrong"))
    most, oracle = max(max(row.wrong) for row in rows), mean(row.oracle for row in rows)
    first = median([call for row in rows for call in row.first])
    cells = (name, order, f"{whole:.1%}", f"{last:.1%}", f"{oracle:.1%}", f"{wrong:.2%}, {most:.2%}", f"{first:,.0f}")
    return "| " + " | ".join(cells) + " |"
