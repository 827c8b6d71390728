"""One stream whose sentences pass one by one: how far the client is behind the upstream, in characters and in time.

python -m benchmarks.gateway.sentences [--sentences 200] [--output benchmarks/results/sentences.md]

The provider writes a word each few milliseconds, in sentences of 15 words, none twice. The starter's safety classifier
reads them. Behind is what the provider has written and the client has not got when it writes the next word. The time is
from the word behind a sentence, which shows its end, to the client's having all of that sentence.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from itertools import accumulate
from pathlib import Path

import aiohttp
from aiohttp import web

from benchmarks.gateway.processes import gateway
from benchmarks.gateway.startup import starter
from benchmarks.machine import machine

_CONFIG = """\
version: 1
listen: 127.0.0.1:8080
models_dir: ../models
ledger: ../offramp.db
upstreams:
  provider: {{kind: openai, base_url: "http://127.0.0.1:{port}/v1"}}
models: {{gpt-4o: provider}}
rules:
  - name: safety
    classifier: support-safety
    reads: {{output: true, release: {release}}}
    then: {{"*": flag}}
"""
_LIST = """
order chairs shelf garden parcel courier return label refund invoice colour fabric delivery week warehouse receipt
account address gift voucher size price table lamp cushion store branch button page screen mail letter stamp box
"""
_ASK = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Tell me about my order."}]}


def pieces_of(sentences: int) -> list[str]:
    """Words with their blanks, in sentences of 15, the same in every run."""
    draw, words = random.Random(41), _LIST.split()
    texts = [f"Your {' and the '.join(draw.sample(words, 4))} will follow in turn." for _ in range(sentences)]
    return [f"{word} " for text in texts for word in text.split()]


class Provider:
    """Streams the pieces; notes when each was written, and how many characters there are up to then."""

    def __init__(self, pieces: list[str], pause_s: float) -> None:
        self._pieces, self._pause_s = pieces, pause_s
        self.written: list[tuple[float, int]] = []
        self.got: list[tuple[float, int]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One chat completion."""
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for size, piece in zip(accumulate(map(len, self._pieces)), self._pieces, strict=True):
            await asyncio.sleep(self._pause_s)
            self.written.append((time.perf_counter(), size))
            await response.write(_event({"delta": {"content": piece}, "finish_reason": None}))
        await response.write(_event({"delta": {}, "finish_reason": "stop"}) + b"data: [DONE]\n\n")
        return response

    async def read(self, url: str) -> None:
        """The client's side."""
        size = 0
        async with aiohttp.ClientSession() as session, session.post(url, json=_ASK) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    size += len(json.loads(line[6:])["choices"][0]["delta"].get("content") or "")
                    self.got.append((time.perf_counter(), size))


def _event(choice: dict[str, object]) -> bytes:
    return b"data: " + json.dumps({"id": "x", "model": "m", "choices": [{"index": 0, **choice}]}).encode() + b"\n\n"


def measured(provider: Provider, pieces: list[str]) -> tuple[list[float], list[float]]:
    """Characters behind at each word; milliseconds from the word behind each sentence to the client's having it."""
    at = dict(provider.got[::-1])
    arrived = {size: moment for moment, size in sorted(at.items(), reverse=True)}
    behind: list[float] = []
    place = 0
    for moment, size in provider.written:
        while place < len(provider.got) and provider.got[place][0] <= moment:
            place += 1
        behind.append(size - (provider.got[place - 1][1] if place else 0))
    ends = [place for place, piece in enumerate(pieces[:-1]) if piece.endswith(". ")]
    waits = [(arrived[provider.written[end][1]] - provider.written[end + 1][0]) * 1e3 for end in ends]
    return behind, waits


async def stream(port: int, url: str, pieces: list[str], pause_s: float) -> Provider:
    """One stream through the gateway."""
    provider = Provider(pieces, pause_s)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", provider.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        await provider.read(url)
    finally:
        await runner.cleanup()
    if provider.got[-1][1] != sum(map(len, pieces)):
        raise SystemExit("the client has not got what the provider wrote")
    return provider


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--pause-ms", type=float, default=5.0)
    parser.add_argument("--output", type=Path, help="a file for the table")
    arguments = parser.parse_args()
    pieces = pieces_of(arguments.sentences)
    lines = [
        machine(),
        "",
        f"{arguments.sentences} sentences of 15 words; a word each {arguments.pause_ms} ms.",
        "",
        "| release | characters behind, median | most | ms after a sentence's end, median | 95 % | most |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        config, port = starter(Path(name)), 18440
        for release in ("sentence", "whole"):
            config.write_text(_CONFIG.format(port=port, release=release))
            with gateway(config) as (_, _, address):
                url = f"{address}/v1/chat/completions"
                asyncio.run(stream(port, url, pieces_of(3), 0.0))
                done = asyncio.run(stream(port, url, pieces, arguments.pause_ms / 1e3))
            behind, waits = measured(done, pieces)
            cut = statistics.quantiles(waits, n=20)[-1]
            lines.append(
                f"| `{release}` | {statistics.median(behind):.0f} | {max(behind):.0f} | {statistics.median(waits):.1f} "
                f"| {cut:.1f} | {max(waits):.1f} |"
            )
    print("\n".join(lines))
    if arguments.output:
        arguments.output.write_text("# Streams by sentences\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
