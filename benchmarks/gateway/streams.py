"""Streams through the gateway, 16 at once: processor time for each event, and what their first event waits.

python -m benchmarks.gateway.streams [--rounds 4] [--repeat 5] [--tree ../parent]

What is measured is alone on the first core; the provider, an event each 10 ms for each stream, and the clients share
the second. The first event's time is over that of a direct call.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from benchmarks.gateway.passthrough import STACKS, Stack, gateway_of
from benchmarks.gateway.processes import cpu_seconds, free_port, nginx_version, running
from benchmarks.machine import machine, versions

_EVENTS = 100
_STREAMS = 16
_EVENT = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"gpt-4o","choices":[{"index":0,'
    b'"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}\n\n'
)
_LAST = _EVENT.replace(b'{"content":" word"}', b"{}").replace(b"null}]}", b'"stop"}]}') + b"data: [DONE]\n\n"
_BODY = b'{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"Tell me a story."}]}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            writer.write(_HEAD)
            for event in (*[_EVENT] * (_EVENTS if length else 0), _LAST):
                writer.write(b"%x\r\n%b\r\n" % (len(event), event))
                await asyncio.sleep(0.01)
            writer.write(b"0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve(port: int) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", port)
    await server.serve_forever()


@contextmanager
def _provider() -> Iterator[str]:
    address = f"http://127.0.0.1:{(port := free_port())}"
    with running([sys.executable, "-m", "benchmarks.gateway.streams", "--serve", str(port)], address, core=1):
        yield address


async def _read(address: str, after_s: float) -> tuple[int, float]:
    """Events of one stream, and seconds to its first."""
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    await asyncio.sleep(after_s)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json"
    started = time.perf_counter()
    writer.write(b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head.encode(), len(_BODY), _BODY))
    events, first_s = 0, 0.0
    tail = b""
    while not tail.endswith(b"0\r\n\r\n"):
        data = await reader.read(65_536)
        if not data:
            raise SystemExit(f"a stream broke off: {tail!r}")
        events += data.count(b"data: {")
        first_s = first_s or (time.perf_counter() - started if events else 0.0)
        tail = (tail + data)[-1000:]
    writer.close()
    return events, first_s


async def _round(address: str) -> tuple[int, list[float]]:
    done = await asyncio.gather(*(_read(address, 0.01 * number / _STREAMS) for number in range(_STREAMS)))
    return sum(events for events, _ in done), [first_s for _, first_s in done]


def measure(stack: Stack, rounds: int) -> tuple[float, float]:
    """Microseconds of processor time for each event, and milliseconds that the first event comes later."""
    with tempfile.TemporaryDirectory() as folder, _provider() as base_url, stack(folder, base_url) as (pid, address):
        uvloop.run(_round(address))
        _, direct = uvloop.run(_round(base_url))
        before, events, firsts = cpu_seconds(pid), 0, list[float]()
        for _ in range(rounds):
            count, first = uvloop.run(_round(address))
            events += count
            firsts += first
        used = cpu_seconds(pid) - before
    return used / events * 1e6, 1000 * (statistics.median(firsts) - statistics.median(direct))


def main() -> None:
    """Prints a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="of 16 streams with 100 events each")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--tree", type=Path, action="append", default=[], help="another checkout; may be repeated")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(_serve(arguments.serve))
        return
    os.sched_setaffinity(0, {1})
    stacks = {f"gateway of {tree.name}": gateway_of(tree.resolve()) for tree in arguments.tree}
    stacks |= {name: stack for name, stack in STACKS.items() if not name.startswith("bare")}
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in stacks}
    for _ in range(arguments.repeat):
        for name, stack in stacks.items():
            runs[name].append(measure(stack, arguments.rounds))
    print(f"{machine()}; {nginx_version()}, {versions(['uvicorn', 'uvloop', 'httptools', 'aiohttp'])}\n")
    print(f"{_STREAMS} streams at once, an event each 10 ms; medians of {arguments.repeat} (lowest and highest).\n")
    print("| stack | CPU µs / event | first event later, ms |\n|---|---|---|")
    for name, done in runs.items():
        used = [cpu_us for cpu_us, _ in done]
        later = statistics.median(later_ms for _, later_ms in done)
        print(f"| {name} | {statistics.median(used):.0f} ({min(used):.0f}-{max(used):.0f}) | {later:.2f} |")


if __name__ == "__main__":
    main()
