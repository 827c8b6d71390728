"""python -m benchmarks.console: how long the console's pages and the report take on a million calls of 30 days."""

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.cookiejar import CookieJar
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.machine import machine, versions
from gateway.ledger.store import SQLiteLedger
from gateway.record import Record

RESULTS: Final = Path(__file__).parent / "results" / "console.md"
_FILE: Final = "version: 1\nupstreams: {echo: {kind: echo}}\nmodels: {gpt-4o: echo, gpt-4o-mini: echo}\n"
_SPAN_S: Final = 30 * 86400
_BATCH: Final = 2000
_PAGES: Final = {
    "Today, 24 hours": "/today",
    "Today, 30 days": "/today?period=30d",
    "Today, 30 days by model": "/today?period=30d&by=model",
    "Live": "/",
    "Live, a filter that matches nothing": "/?label=none",
    "Live, one label": "/?label=label3",
    "one call": "/calls/500",
}
_LABELS: Final = [f"label{number}" for number in range(40)]


def main() -> None:
    """Fills a ledger, asks for each page and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "gateway.yaml").write_text(_FILE)
        spent_us = _filled(folder / "offramp.db", options.rows)
        lines = [f"| a row, the ledger's thread (batches of {_BATCH:,}) | {spent_us:.1f} µs |", *_asked(folder)]
        for arguments in ((), ("--verify",)):
            began = time.perf_counter()
            command = [sys.executable, "-m", "gateway", "report", str(folder / "gateway.yaml"), "--json", *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            lines.append(
                f"| {' '.join(('offramp report', *arguments))}, the process | {time.perf_counter() - began:.2f} s |"
            )
    made = f"Made by `python -m benchmarks.console` on {machine()}; {versions(('starlette', 'jinja2'))}."
    head = ["# The console's pages", "", made, f"{options.rows:,} rows in 30 days.", "", "| what | time |", "|---|---|"]
    text = "\n".join([*head, *lines, ""])
    print(text)
    options.output.write_text(text, encoding="utf-8")


def _filled(file: Path, rows: int) -> float:
    """Microseconds of processor time a row."""
    chance, begin, spent = random.Random(1), time.time() - _SPAN_S, 0.0
    with closing(SQLiteLedger(file)) as store:
        for first in range(0, rows, _BATCH):
            records = [_row(chance, begin + _SPAN_S * at / rows) for at in range(first, min(rows, first + _BATCH))]
            began = time.process_time()
            store.append(records)
            spent += time.process_time() - began
    return spent / rows * 1e6


def _row(chance: random.Random, at: float) -> Record:
    [decision] = chance.choices(["forward", "answer", "block"], [5, 4, 1])
    forward, usd = decision == "forward", chance.random() / 1000
    return Record(
        request_id=f"req_{chance.getrandbits(96):024x}",
        at=at,
        endpoint="chat.completions",
        requested_model=chance.choice(["gpt-4o", "gpt-4o-mini"]),
        upstream="echo" if forward else "",
        upstream_model="gpt-4o" if forward else "",
        decision=decision,  # type: ignore[arg-type]
        rule={"answer": "intents", "block": "safety"}.get(decision, ""),
        label="" if forward else chance.choice(_LABELS),
        confidence=None if forward else chance.random(),
        abstentions=chance.choice(["", "intents:unsure", "intents:audit"]) if forward else "",
        usage_source="reported" if forward else "estimated",
        spent_usd=usd if forward else 0.0,
        saved_usd=0.0 if forward else usd,
        saved_reason={"answer": "local_answer", "block": "block"}.get(decision),  # type: ignore[arg-type]
        input_tokens=chance.randrange(500),
        output_tokens=chance.randrange(200),
        verdicts=f"safety:harm:0.{chance.randrange(10**4):04d},intents:{chance.choice(_LABELS)}:0.9000",
    )


def _asked(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "gateway", "console", str(folder / "gateway.yaml"), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        link = next(match[1] for line in process.stderr if (match := re.search(r"console (http\S+)", line)))
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        opener.open(link).read()
        base = link.partition("/login")[0]
        for name, path in _PAGES.items():
            times = []
            for _ in range(7):
                began = time.perf_counter()
                opener.open(base + path).read()
                times.append(time.perf_counter() - began)
            yield f"| {name}, median of 7 | {median(times) * 1000:.0f} ms |"
        process.terminate()


if __name__ == "__main__":
    main()
