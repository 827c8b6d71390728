"""`offramp serve`."""

import os
import sys
from contextlib import closing, nullcontext
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.inputs import GATEWAY, GatewayFile
from gateway.cli.output import Exit, fail

if TYPE_CHECKING:
    from gateway.config.load import Loaded


def serve(
    config: GatewayFile = GATEWAY,
    host: Annotated[str | None, typer.Option(help="Listen here instead of the file's listen:.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes any free port.")] = None,
) -> None:
    """Serve the gateway until SIGTERM or Ctrl-C."""
    from classifiers.text.language import LanguageDetector
    from gateway.config.load import load_gateway

    loaded = load_gateway(config, os.environ)
    detector = LanguageDetector()
    if loaded.settings.rules:
        # a third of the start, in parallel with the imports
        Thread(target=detector.open, daemon=True).start()
    from gateway import server
    from gateway.app import create_app
    from gateway.config.prices import load_prices
    from gateway.contracts.store import ContractStore
    from gateway.contracts.tables import sole
    from gateway.ledger.store import SQLiteLedger, closed_on_failure
    from gateway.log import announce, logging_to
    from gateway.serving.snapshot import load_runtime

    host, port = _address(loaded, host, port)
    try:
        listener = server.bind(host, port)
    except OSError as error:
        raise cannot_listen(host, port, error) from error
    alone = sole(loaded.ledger) if any(rule.contract for rule in loaded.settings.rules) else nullcontext()
    with closing(listener), logging_to(sys.stderr, loaded.settings.log) as log, alone:
        runtime = load_runtime(loaded, detector=detector)
        prices = load_prices(loaded.prices, os.environ)
        with (
            closed_on_failure(SQLiteLedger(loaded.ledger)) as store,
            closed_on_failure(ContractStore(loaded.ledger)) as contracts,
        ):
            app = create_app(loaded, runtime=runtime, store=store, contracts=contracts, prices=prices, log=log)
        taken = listener.getsockname()[1]
        try:
            # not before all is ready to answer
            server.listen(listener)
        except OSError as error:
            raise cannot_listen(host, taken, error) from error
        url = f"http://[{host}]:{taken}" if ":" in host else f"http://{host}:{taken}"
        announce(f"offramp serves {url}/v1  metrics {url}/metrics  pages: offramp console {config}")
        server.serve(app, listener)


def _address(loaded: "Loaded", host: str | None, port: int | None) -> tuple[str, int]:
    """The file's `listen`, unless the flags name another address. Raises typer.Exit."""
    from gateway.config.load import listens_on_loopback, no_access_key, split_listen

    default_host, default_port = split_listen(loaded.settings.listen)
    try:
        host, port = split_listen(f"{host or default_host}:{default_port if port is None else port}")
    except ValueError as error:
        raise fail(f"--host: {error}", Exit.USAGE) from error
    if not loaded.settings.access_key and not listens_on_loopback(f"{host}:{port}"):
        mend = no_access_key(loaded.document)
        message = f"{host} can be reached from other machines, and {loaded.file} has no access key; {mend}"
        raise fail(message, Exit.USAGE)
    return host, port


def cannot_listen(host: str, port: int, error: OSError) -> typer.Exit:
    """The error of an address that cannot be used."""
    return fail(f"cannot listen on {host}:{port}: {error.strerror}; --port takes another", Exit.ENVIRONMENT)
