"""`offramp doctor`."""

import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.inputs import GATEWAY, GatewayFile
from gateway.cli.output import Exit, Json, result

if TYPE_CHECKING:
    from gateway.config.load import Loaded


def doctor(
    config: GatewayFile = GATEWAY,
    models: Annotated[Path, typer.Option(help="The models folder, where there is no gateway file.")] = Path("models"),
    json: Json = False,
) -> None:
    """Look at the machine and the set-up: what works, what does not, and how to mend it."""
    checks = [{"check": name, "ok": ok, "detail": detail} for name, ok, detail in _checks(config, models)]
    lines = (f"{'ok ' if check['ok'] else 'BAD'} {check['check']}: {check['detail']}" for check in checks)
    result(checks, lines, as_json=json)
    if not all(check["ok"] for check in checks):
        raise typer.Exit(Exit.ENVIRONMENT)


def _checks(config: Path, models: Path) -> Iterator[tuple[str, bool, str]]:
    yield "python", sys.version_info >= (3, 11), platform.python_version()
    yield "sqlite", sqlite3.sqlite_version_info >= (3, 37), sqlite3.sqlite_version
    for name in ("onnxruntime", "tokenizers", "fastapi", "uvicorn", "aiohttp"):
        yield _try(name, partial(metadata.version, name))
    for extra, module in (("train", "sklearn"), ("finetune", "torch"), ("providers", "litellm")):
        installed = util.find_spec(module) is not None
        yield f"extra {extra}", True, "installed" if installed else f"not installed (pip install 'offramp[{extra}]')"
    if config == GATEWAY and not config.exists():
        yield "gateway file", True, f"no {config}; offramp init writes one"
    else:
        from gateway.config.load import load_gateway

        try:
            loaded = load_gateway(config, os.environ)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            yield "gateway file", False, str(error)
        else:
            yield "gateway file", True, str(config)
            models = loaded.models_dir
            yield _try("prices", partial(_prices, loaded.prices))
            yield _try("ledger", partial(_writable, loaded.ledger.parent))
            yield _try("port", partial(_port, loaded.settings.listen))
            yield _try("classifiers", partial(_classifiers, loaded))
    yield _try("encoder", partial(_encoder, models))


def _try(name: str, look: Callable[[], str]) -> tuple[str, bool, str]:
    """A check's outcome: any failure is what this command is there to show."""
    try:
        return name, True, look()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
        return name, False, str(error) or type(error).__name__


def _prices(file: Path | None) -> str:
    from gateway.config.prices import load_prices

    return f"{file or 'those that come with Offramp'}, as of {load_prices(file, os.environ).as_of}"


def _writable(folder: Path) -> str:
    """Of a folder that is not there yet, whether it can be made, as the gateway does."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    with tempfile.TemporaryFile(dir=there):
        return f"{folder} can be {'written' if there == folder else 'made'}"


def _port(listen: str) -> str:
    from gateway import server
    from gateway.config.load import split_listen

    try:
        server.bind(*split_listen(listen)).close()
    except OSError as error:
        message = f"{listen}: {error.strerror} (is the gateway running?)"
        raise OSError(message) from error
    return f"{listen} is free"


def _classifiers(loaded: "Loaded") -> str:
    from gateway.serving.snapshot import load_runtime

    runtime = load_runtime(loaded)
    if runtime is None:
        return "no rule needs one"
    return ", ".join(f"{name}@{classifier.version}" for name, classifier in runtime.classifiers.items())


def _encoder(models: Path) -> str:
    from classifiers.encoder.prepare import prepare
    from classifiers.encoder.session import Encoder
    from classifiers.encoder.source import resolve

    encoder = Encoder.open(prepare(resolve(None), models))
    return f"{encoder.id.source}, sha256 {encoder.id.sha256[:12]}; int8 agrees with the stored vectors"
