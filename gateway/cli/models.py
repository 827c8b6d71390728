"""`offramp models list|rollback`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from gateway.cli.output import Json, print_json, quoted, result, stdout

app = typer.Typer(no_args_is_help=True, help="Trained classifiers and their versions.")
ModelsDir = Annotated[Path, typer.Option("--models", file_okay=False, help="The models folder.")]


@app.command("list")
def list_models(models: ModelsDir = Path("models"), json: Json = False) -> None:
    """List classifiers, their versions and the one in use."""
    from classifiers.model.registry import Registry

    registry = Registry(models)
    rows: list[dict[str, str | bool]] = []
    for name in registry.names():
        current, there = registry.named(name), registry.versions(name)
        gone = [current] if current is not None and current not in there else []
        rows += [
            {"name": name, "version": version, "current": version == current, "there": version in there}
            for version in (*there, *gone)
        ]
    if json:
        print_json(rows)
        return
    if not rows:
        stdout().print(f"no classifier is trained in {models} yet")
        return
    table = Table(*(Column(name, overflow="fold") for name in ("classifier", "version", "in use")))
    for row in rows:
        state = "yes" if row["there"] else "yes, but gone: roll back, or train"
        table.add_row(str(row["name"]), quoted(str(row["version"])), state if row["current"] else "")
    stdout().print(table)


@app.command("rollback")
def rollback(name: str, models: ModelsDir = Path("models"), json: Json = False) -> None:
    """Put a classifier's version before the current one in use. A running gateway takes it within seconds."""
    from classifiers.model.registry import Registry

    version = Registry(models).rollback(name)
    result({"name": name, "version": version}, f"{name} is at {version} now", as_json=json)
