"""Own code of a forwarded request: processor time of the event loop's thread, without server, client and sockets.

python -m benchmarks.gateway.own_code [--requests 20000] [--profile] [--log]

The app is called as uvicorn would call it, with an upstream that answers at once; no rules, ledger and metrics on, and
with --log a line of text for each request to /dev/null. The process's time has the threads of ledger and log in it.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from starlette.types import ASGIApp, Message

from benchmarks.gateway.passthrough import _BODY, _CONFIG
from benchmarks.gateway.processes import ANSWER
from gateway.app import create_app
from gateway.config.load import load_gateway
from gateway.config.prices import load_prices
from gateway.config.settings import LogSettings
from gateway.contracts.store import ContractStore
from gateway.ledger.store import SQLiteLedger
from gateway.log import logging_to
from gateway.upstreams.base import Answer, UpstreamCall

_ROUNDS = 5


class Instant:
    """An upstream that answers at once."""

    name = "provider"
    notional = False
    ask_usage = True
    speaks = frozenset({"chat.completions"})

    async def send(self, _: UpstreamCall) -> Answer:
        """The same answer to every call."""
        return Answer(status=200, headers=[(b"content-type", b"application/json")], body=ANSWER.encode())

    async def close(self) -> None:
        """Holds nothing."""


async def _once(app: ASGIApp) -> None:
    body = _BODY.encode()
    length = b"%d" % len(body)
    headers = [(b"host", b"127.0.0.1:8080"), (b"content-type", b"application/json"), (b"content-length", length)]

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(_: Message) -> None:
        pass

    await app({"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}, receive, send)


async def _measure(app: ASGIApp, requests: int, *, profile: bool) -> None:
    profiler = cProfile.Profile()
    rounds: list[float] = []
    whole: list[float] = []
    for number in range(_ROUNDS + 1):
        if profile and number:
            profiler.enable()
        started, process = time.thread_time(), time.process_time()
        for _ in range(requests // _ROUNDS):
            await _once(app)
        rounds.append((time.thread_time() - started) / (requests // _ROUNDS) * 1e6)
        whole.append((time.process_time() - process) / (requests // _ROUNDS) * 1e6)
        profiler.disable()
    # the first round warms up
    print(f"{min(rounds[1:]):.1f} µs a request (worst round {max(rounds[1:]):.1f}), the process {min(whole[1:]):.1f}")
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


def main() -> None:
    """Prints the best round's mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--log", action="store_true")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        patch("gateway.app.build_upstreams", lambda _: {"provider": Instant()}),
        Path(os.devnull).open("w", encoding="utf-8") as null,
        logging_to(null, LogSettings(format="text" if arguments.log else "none")) as log,
    ):
        folder = Path(name)
        (folder / "gateway.yaml").write_text(_CONFIG.format(base_url="http://127.0.0.1:9", more=""))
        loaded = load_gateway(folder / "gateway.yaml", {})
        app = create_app(
            loaded,
            runtime=None,
            store=SQLiteLedger(loaded.ledger),
            contracts=ContractStore(loaded.ledger),
            prices=load_prices(loaded.prices),
            log=log,
        )
        asyncio.run(_measure(app, arguments.requests, profile=arguments.profile))


if __name__ == "__main__":
    main()
