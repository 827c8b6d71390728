"""`offramp report`."""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer
from rich.table import Column, Table

from classifiers.report.markup import counted
from gateway.cli.inputs import GATEWAY, GatewayFile, gateway, parsed
from gateway.cli.output import Exit, Json, fail, quoted, result, table

if TYPE_CHECKING:
    from gateway.ledger.report import By, Figures, Report

_SHOWN: Final = 10
"""Lines of what is not known, and of why calls were forwarded."""


def report(
    config: GatewayFile = GATEWAY,
    since: Annotated[str, typer.Option(help="How far back, such as 24h or 30d.")] = "30d",
    begin: Annotated[str, typer.Option("--from", help="The first day, in UTC, instead of --since.")] = "",
    end: Annotated[str, typer.Option("--to", help="The last day, in UTC; without it, until now.")] = "",
    by: Annotated[
        Literal["day", "rule", "model", "reason", "why"], typer.Option(help="What each line stands for.")
    ] = "reason",
    form: Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="What is printed.")] = "table",
    ledger: Annotated[Path | None, typer.Option(help="A ledger file instead of the gateway's.")] = None,
    verify: Annotated[bool, typer.Option(help="Hold the sums of all hours against the ledger's rows instead.")] = False,
    refill: Annotated[bool, typer.Option(help="As --verify, and count the sums anew from the rows.")] = False,
    json: Json = False,
) -> None:
    """What was spent and saved in a period, from the ledger."""
    from classifiers.fields import parse_duration
    from gateway.config.prices import load_prices
    from gateway.ledger.call_store import TextStore
    from gateway.ledger.report import as_csv, read
    from gateway.ledger.store import SQLiteLedger
    from gateway.routes import Routes

    now = time.time()
    since_s = parsed(_day, begin, "--from") if begin else now - parsed(parse_duration, since, "--since")
    until_s = parsed(_day, end, "--to") + 86400 if end else now + 1
    loaded = None if ledger else gateway(config)
    path = loaded.ledger if loaded else ledger or Path()
    own_prices, models = (loaded.prices, loaded.settings.models) if loaded else (None, {})
    prices, routes = load_prices(own_prices, os.environ), Routes(models)
    if verify or refill:
        _verify(path, refill=refill, as_json=json or form == "json")
        return
    with closing(SQLiteLedger(path, read_only=True)) as store:
        made = read(store, since_s, until_s, prices=prices, routes=routes)
    if form == "csv":
        sys.stdout.write(as_csv(made.lines(by), by))
        return
    with closing(TextStore(path, read_only=True)) as texts:
        counts = texts.counts(since_s, until_s)
    shown = (*report_shown(made, by, own_prices), *_reviews_shown(counts))
    value = {"ledger": str(path), **made.as_dict(by), "reviews": counts}
    result(value, shown, as_json=json or form == "json")


def report_shown(made: "Report", by: "By", prices: Path | None) -> Iterator[str | Table]:
    """What is not known first, then a table, then notes. Figures in brackets are not in the sum."""
    total, unknown = made.total, made.unknown
    yield " to ".join(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" for at in (made.since, made.until)) + " UTC"
    spent = f"spent ${total.spent_usd:.6f}{_and_calls(total.unknown_spent_calls, 'cost')}"
    yield f"{spent}, saved ${total.saved_usd:.6f}{_and_calls(total.unknown_saved_calls, 'saving')}"
    if unknown:
        yield "not known, and in no dollar figure:"
    for one in unknown[:_SHOWN]:
        yield f"  {one.calls:,} of {quoted(one.model) or 'no model'}{f' ({one.tier})' if one.tier else ''}: {one.why}"
    lines = [quoted(line) for one in unknown for line in one.lines]
    if lines:
        where = f"{prices}" if prices else "prices.yaml, with `prices: prices.yaml` in the gateway's file"
        yield f"  to price them, in dollars a million tokens, write under models: in {where}:"
        yield from (f"    {line}" for line in lines[:_SHOWN])
    yield _table(made, by)
    if unknown:
        yield "· ?: calls of which it is not known"
    yield from (f"· {note}" for note in (*_interval_notes(made), *total.notes()))
    if made.why_forwarded and by != "why":
        yield "why calls were forwarded:"
        yield from (f"  {calls:,} of {total.forwarded_calls:,}: {why}" for why, calls, _ in made.why_forwarded[:_SHOWN])


def _and_calls(unknown: int, what: str) -> str:
    return f" + {counted(unknown, 'call')} of unknown {what}" if unknown else ""


def _table(made: "Report", by: "By") -> Table:
    total = made.total
    places = 6 if abs(total.spent_usd) + abs(total.saved_usd) < 1 else 2
    figures = ("calls", "calls\nsaved", "tokens\nsaved", "spent", "saved")
    name = "what happened" if by in ("reason", "why") else by
    columns = [name, *(Column(one, justify="right", no_wrap=True) for one in figures)]
    cells = [(quoted(line.name) or "–", *_cells(line.figures, places)) for line in made.lines(by)]
    shown = table("", columns, cells)
    shown.add_section()
    shown.add_row("all", *_cells(total, places))
    return shown


def _cells(figures: "Figures", places: int) -> tuple[str, ...]:
    aside = figures.judge_calls + figures.repeat_calls
    blocks = 0 < figures.calls == figures.blocked_calls and not aside
    apart = f"({_dollars(figures.blocked_usd, figures.unknown_blocked_calls, places)})" if blocks else ""
    return (
        f"({aside:,})" if aside and not figures.calls else f"{figures.calls:,}",
        f"{figures.saved_calls:,}",
        f"{figures.saved_tokens:,}",
        _dollars(figures.spent_usd, figures.unknown_spent_calls, places),
        apart if blocks else _dollars(figures.saved_usd, figures.unknown_saved_calls, places),
    )


def _dollars(usd: float, unknown: int, places: int) -> str:
    return f"${usd:.{places}f}" + (f"\n+ {unknown:,} ?" if unknown else "")


def _interval_notes(made: "Report") -> Iterator[str]:
    one, rest = made.interval, made.total.saved_calls
    if one is not None:
        rest = one.rest
        yield (
            f"by audited calls, ${one.low_usd:.6f} to ${one.high_usd:.6f} were saved (95 %); "
            f"it rests on {counted(one.calls, 'local answer')}"
        )
    if rest:
        yield f"output tokens of {counted(rest, 'local answer')} are from our own text, rather low: under 20 audits"


def _verify(path: Path, *, refill: bool, as_json: bool) -> None:
    """Exit code 5 where sums are not those of their rows and stay so."""
    from gateway.ledger.store import SQLiteLedger

    with closing(SQLiteLedger(path, read_only=not refill)) as store:
        found = store.verify()
        if refill:
            store.refill()
    figures = [{"figure": one.figure, "stored": one.stored, "counted": one.counted, **one.key} for one in found]
    shown = [f"{one.figure}: {one.stored}, counted {one.counted}, of {dict(one.key)}" for one in found[:_SHOWN]]
    end = (
        f"{counted(len(found), 'figure')} of hours differ from the rows" if found else "all sums are those of the rows"
    )
    result({"differences": figures, "refilled": refill}, (*map(quoted, shown), end), as_json=as_json)
    if found and not refill:
        raise fail("offramp report --refill counts them anew from the rows", Exit.ENVIRONMENT)


def _day(text: str) -> float:
    """A day such as 2026-11-30 → the Unix seconds at which it begins, in UTC. Raises ValueError."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ValueError(f"{text!r} is not a day such as 2026-11-30") from None


def _reviews_shown(counts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """counts: as of TextStore."""
    for row in counts:
        reviewed = row["harmful"] + row["harmless"]
        of = f"· rule {row['rule']}: {counted(row['kept'], 'text')} kept, {reviewed:,} reviewed, "
        if row["kept_as"] == "blocked":
            yield f"{of}{row['harmless']:,} of them wrongly blocked"
        else:
            yield f"{of}{row['harmful']:,} of them harmful; it was in doubt of them"
