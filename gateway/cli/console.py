"""`offramp console`."""

import os
import secrets
import sys
from contextlib import closing
from typing import Annotated

import typer

from gateway.cli.inputs import GATEWAY, GatewayFile
from gateway.cli.output import Exit, fail


def console(
    config: GatewayFile = GATEWAY,
    host: Annotated[str | None, typer.Option(help="Listen here instead of the file's console: listen:.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Listen on this port; 0 takes any free port.")
    ] = None,
) -> None:
    """Serve pages that show what was saved, decided and why, until SIGTERM or Ctrl-C."""
    from gateway import server
    from gateway.cli.serve import cannot_listen
    from gateway.config.load import is_loopback, load_gateway, split_listen
    from gateway.config.problems import ConfigError
    from gateway.console.access import ConsoleKey
    from gateway.console.app import create_console
    from gateway.console.data import ConsoleData
    from gateway.log import announce, logging_to

    loaded = load_gateway(config, os.environ, secrets=False)
    if missing := [problem for problem in loaded.lacking if problem.path == ("console", "key")]:
        raise ConfigError(missing)
    settings = loaded.settings.console
    own_host, own_port = split_listen(settings.listen)
    host, port = host or own_host, own_port if port is None else port
    if not settings.key and not is_loopback(host):
        raise fail(
            f'{host} can be reached from other machines; set console: key: "${{OFFRAMP_CONSOLE_KEY}}"', Exit.USAGE
        )
    try:
        listener = server.bind(host, port)
        server.listen(listener)
    except OSError as error:
        raise cannot_listen(host, port, error) from error
    with closing(listener), logging_to(sys.stderr, loaded.settings.log):
        taken = listener.getsockname()[1]
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
        url = (settings.url or f"http://{shown}:{taken}").rstrip("/")
        key = ConsoleKey(key=settings.key or secrets.token_urlsafe(24), url=url)
        app = create_console(ConsoleData(loaded, f"http://{loaded.settings.listen}"), key)
        # a key that the file names is in no log
        announce(f"offramp console {f'{url}/' if settings.key else key.link()}")
        server.serve(app, listener)
