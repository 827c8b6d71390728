"""The gateway as it is put together, given a new version while a call is awaited."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from classifiers.policy import Policy
from gateway.app import create_app
from gateway.config.load import Loaded
from gateway.config.prices import PriceTable
from gateway.contracts.store import ContractStore
from gateway.ledger.store import SQLiteLedger
from gateway.serving.snapshot import load_runtime
from tests.given import table_text

READS_ANSWERS = table_text("given/gateway-while_awaited-reads_answers.yaml")


def guard(label: str) -> Policy:
    return Policy.model_validate(
        {"version": 1, "name": "guard", "kind": "safety", "about": "tests", "labels": {label: {"means": label}}}
    )


async def test_an_answer_is_read_by_the_version_that_its_request_began_with(
    load: Callable[..., Loaded],
    publish: Callable[..., str],
    tmp_path: Path,
    prices: PriceTable,
    serving: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.app._TICK_S", 0.05)
    called, taken_up = asyncio.Event(), asyncio.Event()

    async def provider(_: web.Request) -> web.Response:
        called.set()
        await taken_up.wait()
        choice = {"index": 0, "message": {"role": "assistant", "content": "violence"}, "finish_reason": "stop"}
        return web.json_response({"id": "1", "object": "chat.completion", "model": "dear", "choices": [choice]})

    site = web.Application()
    site.router.add_post("/v1/chat/completions", provider)
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    first = publish(datetime(2026, 1, 1, tzinfo=UTC), guard("violence"))
    loaded = load(READS_ANSWERS.format(port=runner.addresses[0][1]))
    app = create_app(
        loaded,
        runtime=load_runtime(loaded),
        store=SQLiteLedger(tmp_path / "l.db"),
        contracts=ContractStore(tmp_path / "l.db"),
        prices=prices,
    )
    async with serving(app) as url, aiohttp.ClientSession(url) as http:
        body = {"model": "dear", "messages": [{"role": "user", "content": "hi"}]}
        call = asyncio.ensure_future(http.post("/v1/chat/completions", json=body))
        await called.wait()
        second = publish(datetime(2026, 1, 2, tzinfo=UTC), guard("harm"))
        metrics = ""
        while f'offramp_classifier_info{{classifier="guard",version="{second}"}} 1.0' not in metrics:
            await asyncio.sleep(0.05)
            async with http.get("/metrics") as answer:
                metrics = await answer.text()
        taken_up.set()
        begun = await call
        later = await http.post("/v1/chat/completions", json=body)
        told = []
        for answer in (begun, later):
            await answer.read()
            told.append(tuple(answer.headers.get(f"x-offramp-{name}") for name in ("decision", "label", "classifier")))
    await runner.cleanup()
    assert told == [("block", "violence", f"guard@{first}"), ("block", "harm", f"guard@{second}")]
