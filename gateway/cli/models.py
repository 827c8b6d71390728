"""`offramp models list|rollback`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gateway.cli.output import Json, print_json, stdout

app = typer.Typer(no_args_is_help=True, help="Trained classifiers and their versions.")
ModelsDir = Annotated[Path, typer.Option("--models", help="The models folder.")]


@app.command("list")
def list_models(models: ModelsDir = Path("models"), json: Json = False) -> None:
    """List classifiers, their versions and the one in use."""
    from classifiers.registry import Registry

    registry = Registry(models)
    rows = [
        {"name": name, "version": version, "current": version == registry.current(name)}
        for name in registry.names()
        for version in registry.versions(name)
    ]
    if json:
        print_json(rows)
        return
    if not rows:
        stdout().print(f"no classifier is trained in {models} yet")
        return
    table = Table("classifier", "version", "in use")
    for row in rows:
        table.add_row(str(row["name"]), str(row["version"]), "yes" if row["current"] else "")
    stdout().print(table)


@app.command("rollback")
def rollback(name: str, models: ModelsDir = Path("models"), json: Json = False) -> None:
    """Put a classifier's version before the current one in use. A running gateway takes it within seconds."""
    from classifiers.registry import Registry

    version = Registry(models).rollback(name)
    if json:
        print_json({"name": name, "version": version})
    else:
        stdout().print(f"{name} is at {version} now")
