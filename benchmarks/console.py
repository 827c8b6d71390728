"""python -m benchmarks.console: how long the console's pages and the report take on a million calls of 30 days."""

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.machine import machine, versions
from classifiers.policy import Policy
from gateway.config.prices import PriceTable
from gateway.config.rules import RuleSettings
from gateway.ledger.call_store import KeptText, TextStore
from gateway.ledger.replay import replay
from gateway.ledger.report import read
from gateway.ledger.store import SQLiteLedger
from gateway.record import Record
from gateway.routes import Routes
from gateway.rules.compile import compile_rules

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
_REPLAYED: Final = 100_000
_LABELS: Final = [f"label{number}" for number in range(40)]
_RUNS: Final = 7
_REVIEWS: Final = 200
_THIRTY_WORDS: Final = (
    "Hello, I ordered two pairs of shoes last Tuesday and only one of them has arrived so far, "
    "so could you please find out where the other parcel is today?"
)


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
        lines = [f"| a row, the ledger's thread (batches of {_BATCH:,}) | {spent_us:.1f} µs |"]
        with console(folder) as link:
            lines += [*_asked(link), *_browsed(link)]
        lines.append(
            f"| {_REPLAYED:,} rows at another threshold, processor, median of {_RUNS} | {_replay_ms(folder):.0f} ms |"
        )
        lines.append(f"| offramp report's queries, processor, median of {_RUNS} | {_report_ms(folder):.0f} ms |")
        for arguments in ((), ("--verify",)):
            began = time.perf_counter()
            command = [sys.executable, "-m", "gateway", "report", str(folder / "gateway.yaml"), "--json", *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            lines.append(
                f"| {' '.join(('offramp report', *arguments))}, the process | {time.perf_counter() - began:.2f} s |"
            )
        starter(folder / "starter")
        lines += _decided(folder / "starter")
    made = f"Made by `python -m benchmarks.console` on {machine()}; {versions(('starlette', 'jinja2'))}."
    head = ["# The console's pages", "", made, f"{options.rows:,} rows in 30 days.", "", "| what | time |", "|---|---|"]
    text = "\n".join([*head, *lines, ""])
    print(text)
    options.output.write_text(text, encoding="utf-8")


def _replay_ms(folder: Path) -> float:
    """Milliseconds of processor time to read the latest rows and replay a label that is likeliest in all of them."""
    policy = Policy.model_validate(
        {"version": 1, "name": "guard", "kind": "safety", "about": "x", "labels": {"harm": {"means": "x"}}}
    )
    rule = RuleSettings.model_validate({"name": "safety", "classifier": "guard", "then": {"harm": "block"}})
    [compiled] = compile_rules([rule], {"guard": policy}, {}, {})
    times = []
    with closing(SQLiteLedger(folder / "offramp.db", read_only=True)) as store:
        for _ in range(_RUNS):
            began = time.process_time()
            calls = store.judged("safety", _REPLAYED)
            made = replay(calls, compiled, 0.6, now={"harm": 0.8}, reviewed={})["harm"]
            times.append(time.process_time() - began)
            assert made.read == len(calls) > made.more > 0
    return median(times) * 1000


def _report_ms(folder: Path) -> float:
    """Milliseconds of processor time to read 30 days."""
    times, now = [], time.time()
    with closing(SQLiteLedger(folder / "offramp.db", read_only=True)) as store:
        for _ in range(_RUNS):
            began = time.process_time()
            made = read(store, now - _SPAN_S, now + 1, prices=PriceTable(as_of="", models={}), routes=Routes({}))
            times.append(time.process_time() - began)
            assert made.rows
    return median(times) * 1000


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
    forward, usd, harm = decision == "forward", chance.random() / 1000, chance.randrange(10**4)
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
        verdicts=f"safety:harm:0.{harm:04d}{':clean' if harm < 8000 else ''},intents:{chance.choice(_LABELS)}:0.9000",
    )


@contextmanager
def console(folder: Path, file: str = "gateway.yaml") -> Iterator[str]:
    """A console of a folder's file; the link that it prints."""
    command = [sys.executable, "-m", "gateway", "console", file, "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield next(match[1] for line in process.stderr if (match := re.search(r"console (http\S+)", line)))
        finally:
            process.terminate()


def starter(folder: Path) -> None:
    """The trained starter, after the demo's calls."""
    folder.mkdir()
    command = [sys.executable, "-m", "gateway", "demo", "--once", "--port", "0"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium, driven by playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield made
        made.close()


def _asked(link: str) -> Iterator[str]:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    opener.open(link).read()
    for name, path in _PAGES.items():
        yield f"| {name}, median of {_RUNS} | {_median_ms(lambda url: opener.open(url).read(), _base(link) + path)} |"


def _browsed(link: str) -> Iterator[str]:
    """What a browser needs until a page is whole, and what its first view moves."""
    with browser() as chromium:
        page = chromium.new_page()
        network, moved = page.context.new_cdp_session(page), list[float]()
        network.send("Network.enable")
        network.on("Network.loadingFinished", lambda event: moved.append(event["encodedDataLength"]))
        page.goto(link, wait_until="networkidle")
        # the link itself is answered by a redirect, which is not finished by itself
        yield f"| first view | {sum(moved) / 1000:.1f} kB in {len(moved)} requests |"
        for path in ("/today?period=30d", "/"):
            took = []
            for _ in range(_RUNS):
                page.goto(_base(link) + path)
                took.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
            yield f"| {path} in the browser, median of {_RUNS} | {median(took):.0f} ms |"


def _decided(folder: Path) -> Iterator[str]:
    """Try it, and 200 reviews by keyboard."""
    kept = {"rule": "safety", "label": "violence", "classifier": "support-safety", "version": "v"}
    with closing(TextStore(next(folder.rglob("offramp.db")))) as texts:
        for number in range(_REVIEWS):
            text = f"{_THIRTY_WORDS} {'x' * number}"
            of = {"request_id": f"r{number}", "at": time.time(), "latest": time.time(), "confidence": number / 1000}
            texts.append([KeptText(**kept, **of, kept_as="unsure", text=text)])
    with console(folder, "config/gateway.yaml") as link:
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        opener.open(link).read()
        posted = urllib.parse.urlencode({"text": _THIRTY_WORDS}).encode()
        attempt = urllib.request.Request(f"{_base(link)}/try", posted, {"origin": _base(link)})
        yield f"| Try it, 30 words, median of {_RUNS} | {_median_ms(lambda url: opener.open(url).read(), attempt)} |"
        with browser() as chromium:
            page, served = chromium.new_page(), list[float]()
            page.goto(link)
            page.goto(f"{_base(link)}/review?rule=safety")
            page.on("requestfinished", lambda one: served.append(_server_ms(one)) if "/review" in one.url else None)
            began = time.perf_counter()
            for _ in range(_REVIEWS):
                item = page.input_value("#decide [name=id]")
                page.keyboard.press("1")
                page.wait_for_function("id => document.querySelector('#decide [name=id]')?.value !== id", arg=item)
            took = time.perf_counter() - began
        # each is a decision and the page of the next text
        each = [sum(pair) for pair in zip(served[::2], served[1::2], strict=True)]
        what = f"| {_REVIEWS} reviews by keyboard"
        yield f"{what}, each with the next text: server, median; slowest | {median(each):.0f} ms; {max(each):.0f} ms |"
        yield f"{what}, in all | {took:.0f} s |"


def _server_ms(request: Any) -> float:
    return float(request.timing["responseStart"] - request.timing["requestStart"])


def _base(link: str) -> str:
    return link.partition("/login")[0]


def _median_ms(ask: Any, what: Any) -> str:
    ask(what)
    times = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        ask(what)
        times.append(time.perf_counter() - began)
    return f"{median(times) * 1000:.0f} ms"


if __name__ == "__main__":
    main()
