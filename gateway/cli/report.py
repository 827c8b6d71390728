"""`offramp report`."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from gateway.cli.output import Json, print_json, stdout

if TYPE_CHECKING:
    from gateway.ledger.savings import Line, Summary


def report(
    config: Annotated[Path, typer.Argument(help="The gateway's file.")] = Path("config/gateway.yaml"),
    since: Annotated[str, typer.Option(help="How far back, such as 24h or 30d.")] = "30d",
    ledger: Annotated[Path | None, typer.Option(help="A ledger file instead of the gateway's.")] = None,
    json: Json = False,
) -> None:
    """What was spent and saved in a period, from the ledger."""
    from classifiers.fields import parse_duration
    from gateway.config.load import load_gateway
    from gateway.ledger.savings import summarise
    from gateway.ledger.store import SQLiteLedger

    try:
        back_s = parse_duration(since)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error
    now = time.time()
    path = ledger or load_gateway(config, os.environ, secrets=False).ledger
    store = SQLiteLedger(path, read_only=True)
    try:
        summary = summarise(store.summary(now - back_s, now + 1))
    finally:
        store.close()
    if json:
        print_json({"ledger": str(path), "since": now - back_s, "until": now, **summary.as_dict()})
        return
    console = stdout()
    console.print(summary_table(summary, f"Savings over the last {since}"))
    for note in summary.notes():
        console.print(f"· {note}", soft_wrap=True)


def summary_table(summary: "Summary", title: str) -> Table:
    """One line for each way that requests went, and the sum. What is not in the sum stands in brackets."""
    from gateway.ledger.record import ASIDE

    table = Table(title=title, title_justify="left")
    table.add_column("what happened")
    table.add_column("rule")
    for name in ("calls", "calls\nsaved", "tokens\nsaved", "spent", "saved"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in summary.lines:
        table.add_row(
            line.what,
            line.rule,
            f"({line.calls:,})" if line.reason in ASIDE else f"{line.calls:,}",
            f"{line.saved_calls:,}",
            _aside(line, f"{line.saved_input_tokens + line.saved_output_tokens:,}"),
            f"${line.spent_usd:.6f}",
            _aside(line, f"${line.saved_usd:.6f}"),
        )
    table.add_section()
    table.add_row(
        "all",
        "",
        f"{summary.calls:,}",
        f"{summary.saved_calls:,}",
        f"{summary.saved_tokens:,}",
        f"${summary.spent_usd:.6f}",
        f"${summary.saved_usd:.6f}",
    )
    return table


def _aside(line: "Line", figure: str) -> str:
    return f"({figure})" if line.reason == "block" else figure
