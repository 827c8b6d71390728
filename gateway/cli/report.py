"""`offramp report`."""

import os
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from gateway.cli.inputs import parsed
from gateway.cli.output import Json, print_json, stdout, table

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

    back_s = parsed(parse_duration, since, "--since")
    now = time.time()
    path = ledger or load_gateway(config, os.environ, secrets=False).ledger
    with closing(SQLiteLedger(path, read_only=True)) as store:
        summary = summarise(store.summary(now - back_s, now + 1))
    if json:
        print_json({"ledger": str(path), "since": now - back_s, "until": now, **summary.as_dict()})
        return
    print_summary(summary, f"Savings over the last {since}")


def print_summary(summary: "Summary", title: str) -> None:
    """Prints a table and notes."""
    stdout().print(_summary_table(summary, title))
    for note in summary.notes():
        stdout().print(f"· {note}", soft_wrap=True)


def _summary_table(summary: "Summary", title: str) -> Table:
    """One line for each way that requests went, and the sum. What is not in the sum stands in brackets."""
    from gateway.ledger.record import ASIDE

    cells = [
        (
            line.what,
            line.rule,
            f"({line.calls:,})" if line.reason in ASIDE else f"{line.calls:,}",
            f"{line.saved_calls:,}",
            _aside(line, f"{line.saved_input_tokens + line.saved_output_tokens:,}"),
            f"${line.spent_usd:.6f}",
            _aside(line, f"${line.saved_usd:.6f}"),
        )
        for line in summary.lines
    ]
    names = ("calls", "calls\nsaved", "tokens\nsaved", "spent", "saved")
    figures = [Column(name, justify="right", no_wrap=True) for name in names]
    made = table(title, ["what happened", "rule", *figures], cells)
    made.add_section()
    made.add_row(
        "all",
        "",
        f"{summary.calls:,}",
        f"{summary.saved_calls:,}",
        f"{summary.saved_tokens:,}",
        f"${summary.spent_usd:.6f}",
        f"${summary.saved_usd:.6f}",
    )
    return made


def _aside(line: "Line", figure: str) -> str:
    return f"({figure})" if line.reason == "block" else figure
