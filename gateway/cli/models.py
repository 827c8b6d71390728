"""`offramp models list|rollback`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.output import Json, quoted, result, table

app = typer.Typer(no_args_is_help=True, help="Trained classifiers and their versions.")
ModelsDir = Annotated[Path, typer.Option("--models", file_okay=False, help="The models folder.")]


@app.command("list")
def list_models(models: ModelsDir = Path("models"), json: Json = False) -> None:
    """List classifiers, their versions and the one in use."""
    from classifiers.model.registry import Registry

    registry = Registry(models)
    rows: list[dict[str, Any]] = []
    for name in registry.names():
        current, there = registry.named(name), registry.versions(name)
        versions = there if current is None or current in there else [*there, current]
        rows += [
            {"name": name, "version": version, "current": version == current, "there": version in there}
            for version in versions
        ]
    cells = ((row["name"], quoted(row["version"]), _state(row)) for row in rows)
    shown = table("", ("classifier", "version", "in use"), cells)
    result(rows, [shown if rows else f"no classifier is trained in {models} yet"], as_json=json)


def _state(row: dict[str, Any]) -> str:
    return "" if not row["current"] else "yes" if row["there"] else "yes, but gone: roll back, or train"


@app.command("rollback")
def rollback(name: str, models: ModelsDir = Path("models"), json: Json = False) -> None:
    """Put a classifier's version before the current one in use. A running gateway takes it within seconds."""
    from classifiers.model.registry import Registry

    version = Registry(models).rollback(name)
    result({"name": name, "version": version}, [f"{name} is at {version} now"], as_json=json)
