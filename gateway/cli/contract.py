"""`offramp contract show|pause|resume`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gateway.cli.inputs import GATEWAY, GatewayFile, gateway
from gateway.cli.output import Json, quoted, result, table

if TYPE_CHECKING:
    from rich.table import Table


app = typer.Typer(no_args_is_help=True, help="Bounds on disagreement: where they stand, and holding them.")


@app.command("show")
def show(config: GatewayFile = GATEWAY, json: Json = False) -> None:
    """Where each contract stands: phase, threshold, checks, and the bounds that hold now. The busiest come first."""
    from gateway.contracts.standing import standings
    from gateway.contracts.store import ContractStore
    from gateway.ledger.store import NoLedger
    from gateway.routes import Routes

    loaded = gateway(config)
    if not loaded.ledger.is_file():
        raise NoLedger(loaded.ledger)
    with closing(ContractStore(loaded.ledger, read_only=True)) as store:
        rows = standings(store, Routes(loaded.settings.models).first)
    result(rows, _shown(rows), as_json=json)


def _shown(rows: Sequence[Mapping[str, Any]]) -> "Iterator[str | Table]":
    from gateway.contracts.standing import HEADS, cells, details

    if not rows:
        yield "no call has met a rule with a contract yet"
        return
    yield table("Contracts", HEADS, [map(quoted, cells(row, bound)) for row in rows for bound in row["bounds"]])
    for row in rows:
        yield from map(quoted, details(row))


@app.command("pause")
def pause(rule: str, config: GatewayFile = GATEWAY, json: Json = False) -> None:
    """Let a rule's contracts decide nothing until they are resumed. A running gateway notices within seconds."""
    done = f"{rule} decides nothing from now on; its calls are forwarded, or put to its judge, and checks go on"
    _set_paused(rule, config, done, paused=True, json=json)


@app.command("resume")
def resume(rule: str, config: GatewayFile = GATEWAY, json: Json = False) -> None:
    """Let a paused rule's contracts decide again, as far as they are live."""
    _set_paused(rule, config, f"{rule} decides again where it is live", paused=False, json=json)


def _set_paused(rule: str, config: Path, done: str, *, paused: bool, json: bool) -> None:
    from gateway.contracts.standing import set_paused

    set_paused(gateway(config), rule, paused=paused)
    result({"rule": rule, "paused": paused}, [done], as_json=json)
