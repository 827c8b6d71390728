"""`offramp report`."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from classifiers.report.markup import counted
from gateway.cli.inputs import parsed
from gateway.cli.output import Json, result, table

if TYPE_CHECKING:
    from gateway.ledger.savings import Summary


def report(
    config: Annotated[Path, typer.Argument(help="The gateway's file.")] = Path("config/gateway.yaml"),
    since: Annotated[str, typer.Option(help="How far back, such as 24h or 30d.")] = "30d",
    ledger: Annotated[Path | None, typer.Option(help="A ledger file instead of the gateway's.")] = None,
    json: Json = False,
) -> None:
    """What was spent and saved in a period, from the ledger."""
    from classifiers.fields import parse_duration
    from gateway.config.load import load_gateway
    from gateway.ledger.call_store import TextStore
    from gateway.ledger.savings import summarise
    from gateway.ledger.store import SQLiteLedger

    back_s = parsed(parse_duration, since, "--since")
    now = time.time()
    path = ledger or load_gateway(config, os.environ, secrets=False).ledger
    with closing(SQLiteLedger(path, read_only=True)) as store:
        summary = summarise(store.summary(now - back_s, now + 1))
    with closing(TextStore(path, read_only=True)) as texts:
        counts = texts.counts(now - back_s, now + 1)
    value = {"ledger": str(path), "since": now - back_s, "until": now, **summary.as_dict(), "reviews": counts}
    shown = (*summary_shown(summary, f"Savings over the last {since}"), *_reviews_shown(counts))
    result(value, shown, as_json=json)


def summary_shown(summary: "Summary", title: str) -> Iterator[str | Table]:
    """A table, one line for each way that requests went, and notes. What is not in the sum stands in brackets."""
    from gateway.record import ASIDE

    cells = [
        (
            *(line.what, line.rule),
            _figure(f"{line.calls:,}", aside=line.reason in ASIDE),
            f"{line.saved_calls:,}",
            _figure(f"{line.saved_input_tokens + line.saved_output_tokens:,}", aside=line.reason == "block"),
            f"${line.spent_usd:.6f}",
            _figure(f"${line.saved_usd:.6f}", aside=line.reason == "block"),
        )
        for line in summary.lines
    ]
    names = ("calls", "calls\nsaved", "tokens\nsaved", "spent", "saved")
    figures = [Column(name, justify="right", no_wrap=True) for name in names]
    made = table(title, ["what happened", "rule", *figures], cells)
    made.add_section()
    counts = (f"{count:,}" for count in (summary.calls, summary.saved_calls, summary.saved_tokens))
    made.add_row("all", "", *counts, f"${summary.spent_usd:.6f}", f"${summary.saved_usd:.6f}")
    yield made
    yield from (f"· {note}" for note in summary.notes())


def _reviews_shown(counts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """counts: as of TextStore."""
    for row in counts:
        reviewed = row["harmful"] + row["harmless"]
        of = f"· rule {row['rule']}: {counted(row['kept'], 'text')} kept, {reviewed:,} reviewed, "
        if row["kept_as"] == "blocked":
            yield f"{of}{row['harmless']:,} of them wrongly blocked"
        else:
            yield f"{of}{row['harmful']:,} of them harmful; it was in doubt of them"


def _figure(text: str, *, aside: bool) -> str:
    return f"({text})" if aside else text
