"""`offramp models list|rollback|export|import`."""

from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from urllib.error import HTTPError
from urllib.request import urlopen

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
    from classifiers.encoder.source import sha256_of
    from classifiers.model.artifact import load
    from classifiers.model.registry import Registry, pack

    folder = Registry(models).resolve(name)
    load(folder)
    file = to or Path(f"{name}-{folder.name}.zip")
    pack(folder, file)
    digest = sha256_of(file)
    shown = [f"wrote {file}", f"sha256: {digest}"]
    result({"name": name, "version": folder.name, "file": str(file), "sha256": digest}, shown, as_json=json)


@app.command("import")
def import_(
    file: Annotated[
        str, typer.Argument(help="What `offramp models export` has written: a path, an address or hub:ORG/NAME.")
    ],
    sha256: Annotated[str | None, typer.Option(help="What the file's hash must be, as export printed it.")] = None,
    models: ModelsDir = Path("models"),
    json: Json = False,
) -> None:
    """Put an exported classifier in use here. It needs no training, and no torch."""
    made = install(file, models, sha256)
    result(made, [f"{made['name']} is at {made['version']} now"], as_json=json)


_ELSEWHERE = "a file that another machine has fetched: offramp models import FILE"
_PATIENCE_S, _PIECE = 60, 1_000_000


def install(source: str, models: Path, sha256: str | None, *, guard: bool = False) -> dict[str, str]:
    """Put an exported classifier in use. source: a path, an address or a repository of the hub; sha256: what its hash
    must be; guard: whether it must be able to stand behind another guard. Returns its name, version and sha256.

    Ends the command where it cannot be had. Raises ArtifactError and EncoderError where it is of no use.
    """
    from classifiers.encoder.guard import as_guard
    from classifiers.encoder.prepare import find
    from classifiers.encoder.source import sha256_of
    from classifiers.errors import ArtifactError
    from classifiers.model.artifact import load
    from classifiers.model.registry import Registry, unpack

    models.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".import-", dir=models) as scratch:
        file = _fetched(source, Path(scratch), sha256)
        digest = sha256_of(file)
        if sha256 is not None and sha256.lower() != digest:
            raise fail(f"{source} has the sha256 {digest}, not {sha256}; nothing was imported", Exit.USAGE)
        try:
            held = load(folder := unpack(file, Path(scratch)))
        except ArtifactError as error:
            message = str(error).replace(str(file), source).replace(f"{scratch}/", f"{source}: ")
            raise ArtifactError(message) from error
        if guard:
            as_guard(held)
        for stage in held.model.stages:
            if not stage.encoder.own:
                find(stage.encoder, models)
        name, version = Registry(models).install(folder)
    return {"name": name, "version": version, "sha256": digest}


def _fetched(source: str, scratch: Path, sha256: str | None) -> Path:
    """The exported file. scratch: a folder that an address is fetched into."""
    from classifiers.encoder.source import fetched
    from classifiers.errors import EncoderError
    from classifiers.model.registry import MOST_BYTES

    if source.startswith("hub:"):
        try:
            folder = fetched(source.removeprefix("hub:"), ["*.zip"], what="classifier", instead=_ELSEWHERE)
        except EncoderError as error:
            raise fail(str(error), Exit.UPSTREAM) from error
        files = sorted(folder.glob("*.zip"))
        if len(files) != 1:
            raise fail(f"{source} holds {len(files)} zip files, not one; fetch the one and name its path", Exit.USAGE)
        return files[0]
    if not source.lower().startswith(("http://", "https://")):
        return Path(source)
    if sha256 is None:
        raise fail("an address may come to hold another file: give --sha256, as export printed it", Exit.USAGE)
    file = scratch / "fetched.zip"
    try:
        with urlopen(source, timeout=_PATIENCE_S) as answer, file.open("wb") as target:  # noqa: S310 - http or https
            while piece := answer.read(_PIECE):
                if target.tell() + target.write(piece) > MOST_BYTES:
                    raise fail(f"{source} is larger than {MOST_BYTES:,} bytes; nothing was imported", Exit.USAGE)
    except (OSError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()  # it holds the connection
        raise fail(f"{source} could not be fetched: {error!r}; nothing was imported", Exit.UPSTREAM) from error
    return file
