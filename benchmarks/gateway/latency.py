"""What the gateway adds to a call at 50 calls a second: median and 99th percentile over calls that go straight there.

python -m benchmarks.gateway.latency [--seconds 20] [--repeat 3] [--tree ../parent]

Gateway and provider (nginx) have a core each; the client, a raw socket, shares the provider's. Calls go to each stack
in turn, so that what else the machine does meets all of them.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.gateway.passthrough import _BODY as BODY
from benchmarks.gateway.passthrough import gateway_of
from benchmarks.gateway.processes import provider
from benchmarks.machine import machine

_PER_SECOND = 50


class Caller:
    """One kept connection."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.removeprefix("http://").partition(":")
        self._port = int(port)
        self.seconds: list[float] = []

    async def connect(self) -> None:
        """Opens the connection."""
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)

    async def call(self) -> None:
        """Sends the call and waits for its whole answer."""
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/json\r\n"
        started = time.perf_counter()
        self._writer.write(f"{head}content-length: {len(BODY)}\r\n\r\n{BODY}".encode())
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        assert answer.startswith(b"http/1.1 200"), answer
        await self._reader.readexactly(int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        self.seconds.append(time.perf_counter() - started)


async def _measure(addresses: dict[str, str], seconds: int) -> dict[str, list[float]]:
    callers = {name: Caller(address) for name, address in addresses.items()}
    for caller in callers.values():
        await caller.connect()
    for number in range(seconds * _PER_SECOND):
        if number == _PER_SECOND:
            for caller in callers.values():
                caller.seconds.clear()
        for caller in callers.values():
            await asyncio.sleep(1 / _PER_SECOND / len(callers))
            await caller.call()
    return {name: caller.seconds for name, caller in callers.items()}


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--tree", type=Path, action="append", default=[], help="another checkout; may be repeated")
    arguments = parser.parse_args()
    trees = {"gateway": None} | {f"gateway of {tree.name}": tree.resolve() for tree in arguments.tree}
    added: dict[str, list[tuple[float, float]]] = {name: [] for name in trees}
    for _ in range(arguments.repeat):
        with ExitStack() as open_:
            base_url = open_.enter_context(provider(core=1))
            addresses = {"direct": base_url}
            for name, tree in trees.items():
                folder = open_.enter_context(tempfile.TemporaryDirectory())
                addresses[name] = open_.enter_context(gateway_of(tree)(folder, base_url))[1]
            seconds = asyncio.run(_measure(addresses, arguments.seconds))
        cuts = {name: statistics.quantiles(one, n=100) for name, one in seconds.items()}
        for name in trees:
            added[name].append((cuts[name][49] - cuts["direct"][49], cuts[name][98] - cuts["direct"][98]))
    print(f"{machine()}\n\nAdded at {_PER_SECOND} calls a second, ms, medians of {arguments.repeat}.\n")
    print("| stack | p50 | p99 |\n|---|---|---|")
    for name, pairs in added.items():
        p50, p99 = (statistics.median(values) * 1000 for values in zip(*pairs, strict=True))
        print(f"| {name} | {p50:.2f} | {p99:.2f} |")


if __name__ == "__main__":
    main()
