"""A contract for real: a gateway process, a paid model's server, kill -9, and the command line beside it."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from openai import OpenAI

GATEWAY = """\
version: 1
models_dir: {models}
ledger: offramp.db
upstreams:
  paid: {{kind: openai, base_url: "{paid}"}}
models:
  gpt-4o: paid
rules:
  - name: intents
    classifier: shop-intents
    contract: {{max_disagreement: 10%, confidence: 80%}}
    then: {{"*": {{answer: label}}, other: {{answer: label}}}}
"""
SYSTEM = "Name the intent: greeting, opening_hours or other. Answer with the intent only."
TEXTS = ("Hello there!", "What time do you open on Saturday?", "hi", "Are you open on Sundays?", "Good morning")


class Paid:
    """A server that answers with the intent; with nonsense while `right` is False."""

    def __init__(self) -> None:
        self.right = True
        self.calls = 0
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        text = (await request.json())["messages"][-1]["content"]
        intent = ("opening_hours" if "open" in text else "greeting") if self.right else "other"
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": intent}}
        usage = {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32}
        return web.json_response({"id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o",
                                  "choices": [choice], "usage": usage})  # fmt: skip


@pytest.fixture
def paid() -> Iterator[Paid]:
    server = Paid()
    yield server
    server.close()


def decisions(url: str, count: int) -> list[str]:
    with OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        found = []
        for number in range(count):
            messages: Any = [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": TEXTS[number % len(TEXTS)]},
            ]
            raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=messages)
            assert raw.parse().choices[0].message.content in ("greeting", "opening_hours", "other")
            found.append(raw.headers["x-offramp-decision"])
        return found


def stored_pairs(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "offramp.db")) as db:
        return int(db.execute("SELECT count(*) FROM contract_pairs").fetchone()[0])


def test_certified_killed_paused_and_withdrawn(
    start_gateway: Callable[..., Any], run_offramp: Callable[..., Any], workspace: Path, paid: Paid
) -> None:
    text = GATEWAY.format(models=workspace / "models", paid=f"http://127.0.0.1:{paid.port}/v1")
    gateway = start_gateway(text)
    file = gateway.folder / "gateway.yaml"
    seen = decisions(gateway.url, 400)
    assert seen[0] == "forward"
    assert seen[-40:].count("answer") > 10
    assert paid.calls == seen.count("forward") == stored_pairs(gateway.folder)
    assert gateway.metric('offramp_contracts{phase="live",rule="intents"}') == 1

    gateway.process.kill()
    gateway.process.wait(10)
    gateway = start_gateway(file)
    assert decisions(gateway.url, 40).count("answer") > 10
    [shown] = json.loads(run_offramp("contract", "show", str(file), "--json", cwd=gateway.folder).stdout)
    assert (shown["rule"], shown["phase"]) == ("intents", "live")
    assert shown["moves"][0]["phase"] == "live"
    assert shown["pairs"] == stored_pairs(gateway.folder) == paid.calls
    assert shown["at_most"] < 0.1

    assert run_offramp("contract", "pause", "intent", str(file), cwd=gateway.folder).returncode == 2
    assert run_offramp("contract", "pause", "intents", str(file), cwd=gateway.folder).returncode == 0
    _until(lambda: decisions(gateway.url, 8) == ["forward"] * 8)
    assert "paused" in run_offramp("contract", "show", str(file), cwd=gateway.folder).stdout
    assert run_offramp("contract", "resume", "intents", str(file), cwd=gateway.folder).returncode == 0
    _until(lambda: "answer" in decisions(gateway.url, 8))

    paid.right = False
    decisions(gateway.url, 300)
    assert decisions(gateway.url, 20) == ["forward"] * 20
    assert gateway.metric('offramp_contract_moves_total{phase="demoted",rule="intents"}') == 1
    assert "disagreed" in gateway.log.read_text()


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(40):
        if holds():
            return
    raise AssertionError("it never came to hold")
