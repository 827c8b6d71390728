"""Twice the load that the classifiers can take: what is refused, what passes, and how long others wait.

python -m benchmarks.gateway.load --models models [--seconds 8]

`models` holds a trained support-safety (`offramp init`, `offramp train`). The rule reads calls to the model `judged`;
no rule names `plain`. Everything runs on loopback, the provider is the built-in echo; clients share the machine.
"""

import argparse
import asyncio
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from openai import AsyncOpenAI, InternalServerError

from benchmarks.gateway.processes import gateway
from benchmarks.machine import machine

_CONFIG = """\
version: 1
listen: 127.0.0.1:8080
models_dir: {models}
ledger: offramp.db
upstreams:
  echo: {{kind: echo}}
models:
  judged: echo
  plain: echo
rules:
  - name: safety
    classifier: support-safety
    when: {{model: judged}}
    then: {{"*": block}}
"""
_PLAIN_A_SECOND = 40
_CLIENTS = {"one": "127.0.0.1", "light": "127.0.0.2", "heavy": "127.0.0.3"}
_COLOURS = ("blue", "grey", "green", "white", "black", "brown")
_number = itertools.count()


def harmless() -> str:
    """A short text that was not sent before."""
    number = next(_number)
    return f"Which shelf holds order {number} of the {_COLOURS[number % len(_COLOURS)]} garden chairs?"


def long(chars: int) -> str:
    """Harmless text of so many characters, none of it sent before."""
    sentences: list[str] = []
    while sum(map(len, sentences)) < chars:
        sentences.append(f"On day {next(_number)} we moved {next(_number)} boxes of tiles to the {_COLOURS[1]} hall. ")
    return "".join(sentences)[:chars]


@dataclass
class Tally:
    """What became of calls: seconds of each, and their number by outcome."""

    seconds: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def at(self, share: float) -> float:
        """Milliseconds at a quantile."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0

    def row(self, name: str) -> str:
        """A line of the table."""
        total = sum(self.outcomes.values())
        shares = ", ".join(f"{outcome} {count / total:.1%}" for outcome, count in sorted(self.outcomes.items()))
        return f"| {name} | {total} | {shares} | {self.at(0.5):.1f} | {self.at(0.99):.1f} |"


class Clients:
    """Calls to a gateway at an address. sessions: by client, each from an address of its own."""

    def __init__(self, sessions: Mapping[str, aiohttp.ClientSession], address: str) -> None:
        self._sessions = sessions
        self._url = f"{address}/v1/chat/completions"

    async def call(self, tally: Tally, model: str, text: str, client: str = "one") -> None:
        """One call. A refusal is false where the text was not judged."""
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        started = time.perf_counter()
        async with self._sessions[client].post(self._url, json=body) as answer:
            await answer.read()
        tally.seconds.append(time.perf_counter() - started)
        decision, label = (answer.headers.get(f"x-offramp-{name}", "") for name in ("decision", "label"))
        unjudged = decision == "block" and label in ("late", "broken", "unread")
        tally.outcomes["falsely refused" if unjudged else f"{answer.status} {decision}".strip()] += 1


async def closed(seconds: float, workers: int, call: Callable[[], Awaitable[None]]) -> float:
    """Calls a second with so many workers, each of which asks again once it has its answer."""
    end, calls = time.perf_counter() + seconds, 0

    async def work() -> None:
        nonlocal calls
        while time.perf_counter() < end:
            await call()
            calls += 1

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(workers)))
    return calls / (time.perf_counter() - started)


async def opened(seconds: float, rate: float, call: Callable[[], Awaitable[None]]) -> None:
    """So many calls a second, whether or not earlier ones have their answers."""
    started, tasks = time.perf_counter(), []
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        tasks.append(asyncio.ensure_future(call()))
    await asyncio.gather(*tasks)


async def _retried(address: str, calls: int) -> Tally:
    """Calls by the openai client as it is, with its two retries."""
    tally = Tally()
    async with AsyncOpenAI(base_url=f"{address}/v1", api_key="retries") as client:

        async def one() -> None:
            started = time.perf_counter()
            try:
                await client.chat.completions.create(model="judged", messages=[{"role": "user", "content": harmless()}])
            except InternalServerError as error:
                tally.outcomes[f"failed with {error.status_code}"] += 1
            else:
                tally.outcomes["answered"] += 1
            tally.seconds.append(time.perf_counter() - started)

        await asyncio.gather(*(one() for _ in range(calls)))
    return tally


async def measure(address: str, seconds: float) -> Iterable[str]:
    """The lines of the report."""
    async with AsyncExitStack() as entered:
        sessions = {
            name: await entered.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, local_addr=(own, 0)))
            )
            for name, own in _CLIENTS.items()
        }
        call = Clients(sessions, address).call
        warm, plain, busy, over = Tally(), Tally(), Tally(), Tally()
        await closed(1, 4, lambda: call(warm, "judged", harmless()))
        capacity = await closed(seconds / 2, 16, lambda: call(Tally(), "judged", harmless()))
        await opened(seconds, _PLAIN_A_SECOND, lambda: call(plain, "plain", harmless()))
        load = opened(seconds, 2 * capacity, lambda: call(over, "judged", harmless()))
        others = opened(seconds, _PLAIN_A_SECOND, lambda: call(busy, "plain", harmless()))
        retries = asyncio.ensure_future(_after(seconds - 1.5, _retried(address, 20)))
        await asyncio.gather(load, others)
        retried = await retries
        alone, short, heavy = Tally(), Tally(), Tally()
        await opened(seconds / 2, 20, lambda: call(alone, "judged", harmless(), "light"))
        bodies = asyncio.ensure_future(closed(seconds / 2, 2, lambda: call(heavy, "judged", long(30_000), "heavy")))
        await opened(seconds / 2, 20, lambda: call(short, "judged", harmless(), "light"))
        await bodies
        lengths = [Tally() for _ in range(2)]
        for chars, tally in zip((30_000, 200_000), lengths, strict=True):
            for _ in range(3):
                await call(tally, "judged", long(chars))
    return [
        f"{capacity:.0f} new short texts a second are judged with 16 at once.",
        "",
        "| calls | number | what became of them | p50 ms | p99 ms |",
        "|---|---|---|---|---|",
        plain.row("no rule, nothing else going on"),
        busy.row("no rule, beside twice the capacity"),
        over.row("judged, at twice the capacity"),
        retried.row("judged, openai client with retries, from 1.5 s before the load ends"),
        alone.row("short, 20 a second, alone"),
        short.row("short, 20 a second, beside two with 30,000 characters"),
        heavy.row("30,000 characters, two at once, beside them"),
        lengths[0].row("30,000 characters, one at a time"),
        lengths[1].row("200,000 characters, one at a time"),
        "",
        f"p99 without a rule: {busy.at(0.99) / plain.at(0.99):.1f} times the idle one.",
    ]


async def _after(seconds: float, work: Awaitable[Tally]) -> Tally:
    await asyncio.sleep(seconds)
    return await work


def main() -> None:
    """Prints the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"), help="a folder with a trained support-safety")
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "gateway.yaml")
        config.write_text(_CONFIG.format(models=arguments.models.resolve()))
        with gateway(config) as (_, _, address):
            lines = asyncio.run(measure(address, arguments.seconds))
    print("\n".join([machine(), *lines]))


if __name__ == "__main__":
    main()
