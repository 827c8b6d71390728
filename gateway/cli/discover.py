"""`offramp discover`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from gateway.cli.output import Exit, Json, fail, print_json, stderr, stdout

if TYPE_CHECKING:
    from gateway.discover.call import Log
    from gateway.discover.finding import Finding

_SHOWN_PROBLEMS = 20


def discover(
    source: Annotated[list[Path], typer.Argument(help="Exported logs: files, or folders of .jsonl and .json files.")],
    models: Annotated[Path, typer.Option("--models", help="Where the prepared encoder is kept.")] = Path("models"),
    bound: Annotated[str, typer.Option(help="The most disagreement among what would be answered here.")] = "2%",
    period: Annotated[str, typer.Option(help="How long the log took, such as 7d, where its records do not say.")] = "",
    top: Annotated[int, typer.Option("--top", min=1, help="How many groups to show.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the cross-validation.")] = 0,
    json: Json = False,
) -> None:
    """Find calls in a log that ask a model for a small decision: what they cost, and whether a classifier would do."""
    from gateway.config.shipped import shipped_dir
    from gateway.discover.finding import look, measure, ranked
    from gateway.savings.prices import load_prices

    limit, length = _share(bound), _duration(period)
    log = _read(source)
    _say_skipped(log)
    if not log.calls:
        raise fail("no chat call with its answer could be read", Exit.USAGE)
    prices = load_prices(shipped_dir() / "prices.yaml")
    with _bars() as advance:
        advance("templates", 0, None)
        found = look(log.calls, prices, period=length)
        if any(one.obstacle is None for one in found):
            encoder = _encoder(models)
            found = ranked([measure(one, encoder, bound=limit, seed=seed, advance=advance) for one in found])
    if json:
        print_json(
            {
                "calls": len(log.calls),
                "skipped": dict(log.skipped),
                "problems": list(log.problems),
                "prices_as_of": prices.as_of,
                "groups": [_as_dict(number, one) for number, one in enumerate(found, 1)],
            }
        )
        return
    _print(found[:top], limit)
    if len(found) > top:
        stdout().print(f"and {len(found) - top} more groups (--top)")


def _read(source: Sequence[Path]) -> "Log":
    from gateway.discover.read.log import Files

    files: list[Path] = []
    for path in source:
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.suffix in (".jsonl", ".json") and one.is_file())
            if not inside:
                raise fail(f"{path}: holds no .jsonl or .json file", Exit.USAGE)
            files += inside
        elif not path.is_file():
            raise fail(f"{path}: there is no such file", Exit.USAGE)
        else:
            files.append(path)
    with _bars() as advance:
        return Files(files).read(lambda done: advance("records", done, None))


def _say_skipped(log: "Log") -> None:
    console = stderr()
    for problem in log.problems[:_SHOWN_PROBLEMS]:
        console.print(problem, style="red", markup=False, soft_wrap=True)
    if len(log.problems) > _SHOWN_PROBLEMS:
        console.print(f"… and {len(log.problems) - _SHOWN_PROBLEMS} more that cannot be read", style="red")
    for reason, count in log.skipped.most_common():
        console.print(f"{count:,} skipped: {reason}", markup=False, soft_wrap=True)


def _encoder(models: Path) -> Any:
    from classifiers.encoder.prepare import prepare
    from classifiers.encoder.session import Encoder
    from classifiers.encoder.source import resolve

    def step(name: str) -> None:
        stderr().print(name, markup=False)

    return Encoder.open(prepare(resolve(None), models, step))


@contextmanager
def _bars() -> Iterator[Any]:
    """Bars on a terminal, nothing elsewhere."""
    console = stderr()
    if not console.is_terminal:
        yield lambda _what, _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda what, done, total: progress.update(task, description=what, completed=done, total=total)


def _print(found: Sequence["Finding"], bound: float) -> None:
    console = stdout()
    month = found[0].month
    table = Table(title="Calls by template", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("name", overflow="fold")
    for name in ("calls", "$ a month" if month else "$ in the log", "answers", "agreement (95 %)"):
        table.add_column(name, justify="right")
    table.add_column(f"at a {bound:.0%} bound")
    for number, one in enumerate(found, 1):
        table.add_row(
            str(number),
            one.name,
            f"{one.calls:,}",
            f"{one.spend.usd * (month or 1):,.2f}",
            f"{one.labels.distinct:,}",
            _agreement(one),
            _at_bound(one),
        )
    console.print(table)
    for number, one in enumerate(found, 1):
        for line in _lines(one):
            console.print(f"{number}. {line}", markup=False, soft_wrap=True)


def _agreement(one: "Finding") -> str:
    return (
        "" if one.agreement is None else f"{one.agreement.share:.1%} ({one.agreement.low:.1%}–{one.agreement.high:.1%})"
    )


def _at_bound(one: "Finding") -> str:
    if one.agreement is None:
        return one.obstacle or ""
    if not one.agreement.answered:
        return f"none yet ({one.agreement.inputs:,} different inputs)"
    saved = one.spend.usd * (one.month or 1) * one.saved_share
    return f"saves {one.saved_share:.0%} of calls, ${saved:,.2f}" + (" a month" if one.month else "")


def _lines(one: "Finding") -> Iterator[str]:
    """What the table has no room for."""
    yield f"{', '.join(one.models)}; reads {one.group.reads}"
    if one.group.frame.gaps:
        spans = len(one.group.frame.gaps) + 1
        between = ", ".join(repr(gap) for gap in one.group.frame.gaps)
        yield f"{spans} spans vary (parted by {between}); they are read together, with the words between them"
    if one.consistency.agree is not None and one.consistency.agree < 1:
        yield (
            f"the model contradicts itself: {1 - one.consistency.agree:.1%} of {one.consistency.pairs:,} pairs of calls"
            " with the same input differ"
        )
    if one.spend.unpriced:
        yield f"{one.spend.unpriced:,} calls have no known price"
    if one.spend.estimated:
        yield f"tokens of {one.spend.estimated:,} calls are estimated from their length"


def _as_dict(number: int, one: "Finding") -> dict[str, Any]:
    group, agreement = one.group, one.agreement
    return {
        "group": number,
        "name": one.name,
        "models": list(one.models),
        "calls": one.calls,
        "inputs": len(set(group.inputs)),
        "system": group.system,
        "reads": {"roles": list(group.reads.roles), "after": group.reads.after, "before": group.reads.before},
        "varying_spans": len(group.frame.gaps) + 1,
        "constant": group.constant,
        "conversation": group.conversation,
        "answers": one.labels.distinct,
        "labels": list(one.labels.names),
        "label_field": one.labels.field,
        "entropy_bits": round(one.bits, 4),
        "answer_chars": one.chars,
        "repeated": {"inputs": one.consistency.inputs, "pairs": one.consistency.pairs, "agree": one.consistency.agree},
        "usd": one.spend.usd,
        "usd_a_month": one.spend.usd * one.month if one.month else None,
        "calls_a_month": one.calls * one.month if one.month else None,
        "estimated_calls": one.spend.estimated,
        "unpriced_calls": one.spend.unpriced,
        "obstacle": one.obstacle,
        "agreement": None
        if agreement is None
        else {
            "inputs": agreement.inputs,
            "share": agreement.share,
            "low": agreement.low,
            "high": agreement.high,
            "bound": agreement.bound,
            "threshold": agreement.threshold,
        },
        "saved_share": one.saved_share,
        "saved_usd_a_month": one.spend.usd * one.month * one.saved_share if one.month else None,
    }


def _share(text: str) -> float:
    from classifiers.units import parse_share

    try:
        found = parse_share(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--bound") from error
    if not 0 < found < 1:
        raise typer.BadParameter("must be between 0 and 100 %", param_hint="--bound")
    return found


def _duration(text: str) -> float | None:
    from classifiers.units import parse_duration

    try:
        return parse_duration(text) if text else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--period") from error
