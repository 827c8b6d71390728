"""`offramp models list|rollback|export|import`."""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from gateway.cli.output import Exit, Json, fail, quoted, result, table

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


@app.command("export")
def export(
    name: str,
    to: Annotated[Path | None, typer.Option(help="The file; by default NAME-VERSION.zip.")] = None,
    models: ModelsDir = Path("models"),
    json: Json = False,
) -> None:
    """Write a classifier's version in use to one file, with its card, for `offramp models import` elsewhere."""
    from classifiers.model.artifact import load
    from classifiers.model.registry import Registry, pack

    folder = Registry(models).resolve(name)
    load(folder)
    file = to or Path(f"{name}-{folder.name}.zip")
    pack(folder, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    shown = [f"wrote {file}", f"sha256: {digest}"]
    result({"name": name, "version": folder.name, "file": str(file), "sha256": digest}, shown, as_json=json)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What `offramp models export` has written.", dir_okay=False)],
    sha256: Annotated[str | None, typer.Option(help="What the file's hash must be, as export printed it.")] = None,
    models: ModelsDir = Path("models"),
    json: Json = False,
) -> None:
    """Put an exported classifier in use here. It needs no training, and no torch."""
    from classifiers.encoder.prepare import find
    from classifiers.model.artifact import load
    from classifiers.model.registry import Registry, unpack

    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if sha256 is not None and sha256.lower() != digest:
        raise fail(f"{file} has the sha256 {digest}, not {sha256}; nothing was imported", Exit.USAGE)
    models.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".import-", dir=models) as scratch:
        folder = unpack(file, Path(scratch))
        made = load(folder)
        for stage in made.model.stages:
            if not stage.encoder.own:
                find(stage.encoder, models)
        name, version = Registry(models).install(folder)
    result({"name": name, "version": version, "sha256": digest}, [f"{name} is at {version} now"], as_json=json)
