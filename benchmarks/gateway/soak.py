"""A hundred thousand mixed calls: wrong answers, rows that the ledger lacks, and memory that grows.

python -m benchmarks.gateway.soak [--calls 100000] [--connections 64]

Whole calls go to nginx, streams and the other formats to the built-in echo; some bodies are wrong. The first tenth of
the calls warms the gateway up and counts for rows alone.
"""

import argparse
import asyncio
import json
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.gateway.processes import gateway, provider, rss_mib
from benchmarks.machine import machine

_CONFIG: Final = """\
version: 1
listen: 127.0.0.1:8080
models_dir: models
ledger: offramp.db
upstreams:
  provider: {{kind: openai, base_url: "{base_url}"}}
  echo: {{kind: echo}}
models:
  gpt-4o: provider
  echo: echo
"""
_WARM: Final = 0.1
_TURNS: Final = [{"role": "user", "content": "some words of text " * 10}]
_CALLS: Final[list[tuple[str, dict[str, Any], int, bytes]]] = [
    ("chat/completions", {"model": "gpt-4o", "messages": _TURNS}, 200, b'"total_tokens":330'),
    ("chat/completions", {"model": "echo", "messages": _TURNS, "stream": True}, 200, b"data: [DONE]"),
    ("chat/completions", {"model": "gpt-4o", "messages": _TURNS, "n": 0}, 400, b'"param":"n"'),
    ("chat/completions", {"model": "echo", "messages": _TURNS}, 200, b'"finish_reason":"stop"'),
    ("responses", {"model": "echo", "input": "some words", "stream": True, "store": False}, 200, b"response.completed"),
    ("messages", {"model": "echo", "max_tokens": 9, "messages": _TURNS}, 200, b'"end_turn"'),
    ("embeddings", {"model": "echo", "input": "some words"}, 200, b'"embedding"'),
    ("chat/completions", {"messages": _TURNS}, 400, b'"param":"model"'),
]
"""Path, body, and what the answer must have: its status and some bytes."""


async def _calls(address: str, number: int, connections: int) -> Counter[str]:
    """Sends so many calls; counts what was no right answer."""
    wrong: Counter[str] = Counter()
    places = iter(range(number))

    async def one(session: aiohttp.ClientSession) -> None:
        for place in places:
            path, body, status, sign = _CALLS[place % len(_CALLS)]
            async with session.post(f"{address}/v1/{path}", json=body) as answer:
                data = await answer.read()
            if answer.status != status or sign not in data:
                wrong[f"{path} {answer.status} {data[:200].decode()}"] += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(one(session) for _ in range(connections)))
    return wrong


def _rows(ledger: Path) -> int:
    with closing(sqlite3.connect(ledger)) as database:
        return int(database.execute("SELECT count(*) FROM requests").fetchone()[0])


def main() -> None:
    """Prints what was wrong, lost and grown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--tree", type=Path, help="another checkout, whose gateway is measured")
    arguments = parser.parse_args()
    warm = int(arguments.calls * _WARM)
    with tempfile.TemporaryDirectory() as folder, provider(core=1) as base_url:
        config = Path(folder, "gateway.yaml")
        config.write_text(_CONFIG.format(base_url=base_url))
        with gateway(config, core=0, tree=arguments.tree) as (pid, _, address):
            wrong = asyncio.run(_calls(address, warm, arguments.connections))
            time.sleep(1)
            before, started = rss_mib(pid), time.perf_counter()
            wrong += asyncio.run(_calls(address, arguments.calls - warm, arguments.connections))
            took = time.perf_counter() - started
            time.sleep(1)
            grown = rss_mib(pid) - before
        rows = _rows(Path(folder, "offramp.db"))
    print(f"{machine()}\n\n| calls | seconds | wrong | rows lost | MiB before | MiB grown |\n|---|---|---|---|---|---|")
    lost = arguments.calls - rows
    print(f"| {arguments.calls} | {took:.0f} | {sum(wrong.values())} | {lost} | {before:.1f} | {grown:.1f} |")
    if wrong:
        print(json.dumps(wrong.most_common(5), indent=1))


if __name__ == "__main__":
    main()
