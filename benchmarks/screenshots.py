"""python -m benchmarks.screenshots: pictures of the console for its page of the documentation (docs/images).

The starter, trained here, decides on the messages of benchmarks/starters; a fortnight before is those calls again.
"""

import json
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from benchmarks.console import browser, console, starter
from gateway.ledger.store import RowFilters, SQLiteLedger

HERE: Final = Path(__file__).parent
PICTURES: Final = HERE.parent / "docs" / "images"
_LARGEST: Final = 600_000
"""Bytes of all pictures."""
_DAYS: Final = 14
_SIZE: Final = {"width": 1100, "height": 720}
_FILES: Final = ("shop-intents", "support-safety", "ordinary")
_EACH: Final = 60
_TEXT: Final = "Are you open on Sundays?"


def main() -> None:
    """Trains, sends, and takes each picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "shop"
        starter(folder)
        file = folder / "config" / "gateway.yaml"
        kept = "content: {recent: 1h, blocked: 1d, unsure: 1d}"
        file.write_text(re.sub(r"(?m)^content:\n(  .*\n)+", f"{kept}\n", file.read_text()))
        _send(folder)
        _repeat(folder / "offramp.db")
        _send(folder)  # so that the newest calls are today's
        PICTURES.mkdir(exist_ok=True)
        with console(folder, "config/gateway.yaml") as link, browser() as chromium:
            page = chromium.new_page(viewport=_SIZE)
            page.goto(link)
            base = link.partition("/login")[0]
            for shown, path in _PAGES.items():
                page.goto(base + path)
                if shown == "try":
                    page.fill("#text", _TEXT)
                    page.click("button.main")
                    page.evaluate("document.querySelector('h2').scrollIntoView()")
                page.screenshot(path=PICTURES / f"console-{shown}.png")
    total = sum(file.stat().st_size for file in PICTURES.glob("console-*.png"))
    print(f"{total / 1000:.0f} kB in {PICTURES}")
    if total > _LARGEST:
        raise SystemExit(f"the pictures may have {_LARGEST / 1000:.0f} kB together")


_PAGES: Final = {
    "today": "/today?period=7d&by=rule",
    "live": "/",
    "call": "/calls/3",
    "try": "/try",
    "review": "/review",
    "threshold": "/classifiers/support-safety/violence?threshold=0.6",
}


def _texts() -> Iterator[str]:
    chance = random.Random(1)
    for name in _FILES:
        lines = (HERE / "starters" / f"{name}.jsonl").read_text("utf-8").splitlines()
        yield from (json.loads(line)["text"] for line in chance.sample(lines, min(_EACH, len(lines))))


def _send(folder: Path) -> None:
    command = [sys.executable, "-m", "gateway", "serve", "config/gateway.yaml", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            url = next(match[1] for line in process.stderr if (match := re.search(r"serves (http\S+)/v1", line)))
            texts = list(_texts())
            random.Random(2).shuffle(texts)
            for text in texts:
                body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).encode()
                sent = urllib.request.Request(f"{url}/v1/chat/completions", body, {"content-type": "application/json"})
                urllib.request.urlopen(sent).read()
        finally:
            process.terminate()


def _repeat(ledger: Path) -> None:
    """The same calls on the days before, more on each."""
    chance = random.Random(3)
    with closing(SQLiteLedger(ledger)) as store:
        rows = [stored.record for stored in store.page(RowFilters(), most=1000)]
        for back in range(1, _DAYS):
            taken = chance.sample(rows, len(rows) - back * len(rows) // (2 * _DAYS))
            store.append([replace(row, at=row.at - back * 86400) for row in taken])


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"{time.perf_counter() - began:.0f} s")
