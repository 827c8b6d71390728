"""The gateway as it is put together, on a real port with a real ledger, used by OpenAI's own client."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import web

from gateway.app import create_app
from gateway.config.load import Loaded
from gateway.config.prices import PriceTable
from gateway.contracts.contract import Contract
from gateway.contracts.owner import Owner
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore, StoredContract
from gateway.ledger.store import SQLiteLedger
from gateway.rules.rule import Terms
from gateway.serving.snapshot import load_runtime
from tests.given import table_text

TEXT = table_text("given/gateway-app-text.yaml")


@dataclass
class Running:
    url: str
    client: openai.AsyncOpenAI
    http: aiohttp.ClientSession


@pytest.fixture
def running(load: Callable[..., Loaded], tmp_path: Path, prices: PriceTable, serving: Any) -> Any:
    """running(**env): the whole gateway."""

    @asynccontextmanager
    async def make(**env: str) -> AsyncIterator[Running]:
        app = create_app(
            load(TEXT, env),
            runtime=None,
            store=SQLiteLedger(tmp_path / "l.db"),
            contracts=ContractStore(tmp_path / "l.db"),
            prices=prices,
        )
        async with (
            serving(app) as url,
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=env.get("KEY", "none"), max_retries=0) as client,
            aiohttp.ClientSession(url) as http,
        ):
            yield Running(url, client, http)

    return make


def calls(folder: Path) -> int:
    with closing(SQLiteLedger(folder / "l.db", read_only=True)) as store:
        return sum(row["calls"] for row in store.sums(0, 1e12))


def stored(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("l.db*"))


async def test_the_client_gets_answers_and_the_ledger_its_rows(running: Any, tmp_path: Path) -> None:
    async with running() as gateway:
        said: Any = [{"role": "user", "content": "hello"}]
        answer = await gateway.client.chat.completions.create(model="dear", messages=said)
        assert answer.choices[0].message.content == "echo: hello"
        stream = await gateway.client.chat.completions.create(model="dear", messages=said, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text == "echo: hello"
        assert [model.id async for model in gateway.client.models.list()] == ["dear", "slow"]
        with pytest.raises(openai.NotFoundError) as caught:
            await gateway.client.chat.completions.create(model="gpt-9", messages=said)
        assert caught.value.code == "model_not_found"
    assert calls(tmp_path) == 3


@pytest.mark.parametrize("endpoint", ["moderations", "classify"])
async def test_a_fault_of_the_gateways_own_is_in_the_log_under_the_requests_id(
    running: Any, endpoint: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: Any) -> None:
        raise RuntimeError("sk-secret in a message")

    monkeypatch.setattr(f"gateway.http.{endpoint}.decoded", fault)
    async with running() as gateway, gateway.http.post(f"/v1/{endpoint}", json={"input": "a"}) as answer:
        told, request_id = await answer.text(), answer.headers["x-request-id"]
    assert answer.status == 500
    assert request_id in told
    assert "sk-secret" not in told
    [logged] = [record for record in caplog.records if request_id in record.getMessage()]
    assert logged.exc_info is not None


async def test_with_a_key_only_its_holder_gets_in(running: Any) -> None:
    async with running(KEY="sesame") as gateway:
        assert len([model async for model in gateway.client.models.list()]) == 2
        async with gateway.http.get("/metrics") as answer:
            assert answer.status == 401
            assert "x-request-id" in answer.headers
        async with gateway.http.get("/ready") as answer:
            assert answer.status == 200
        with pytest.raises(openai.AuthenticationError):
            await gateway.client.with_options(api_key="wrong").models.list()


async def test_a_fault_of_one_look_keeps_no_other_from_what_is_due(
    running: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked, ticks = asyncio.Event(), count()

    async def tick(_: Owner) -> None:
        if not next(ticks):
            raise RuntimeError("odd")
        looked.set()

    monkeypatch.setattr(Owner, "tick", tick)
    monkeypatch.setattr("gateway.app._TICK_S", 0.01)
    async with running():
        await asyncio.wait_for(looked.wait(), 20)
    assert "a look at what is due" in caplog.text


async def test_metrics_say_where_contracts_stand(
    load: Callable[..., Loaded], publish: Callable[..., str], tmp_path: Path, prices: PriceTable, serving: Any
) -> None:
    rule = "{name: intents, classifier: bank, when: {any_system: true}, contract: true, then: {'*': {answer: label}}}"
    loaded = load(f"{TEXT}models_dir: models\nrules: [{rule}]\n")
    publish(datetime(2026, 1, 1, tzinfo=UTC))
    store = ContractStore(tmp_path / "l.db")
    for sent_to in ("one/dear", "two/dear"):
        # no call comes to the second any more
        fields = {"rule": "intents", "model": "dear", "prompt": "", "terms": "", "sent_to": sent_to}
        contract = Contract.new(Terms(target=0.05, confidence=0.95))
        store.put(StoredContract(scope=Scope(**fields, classifier="bank"), contract=contract, at=time.time()))
    app = create_app(
        loaded, runtime=load_runtime(loaded), store=SQLiteLedger(tmp_path / "l.db"), contracts=store, prices=prices
    )
    async with serving(app) as url, aiohttp.ClientSession(url) as http, http.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    assert 'offramp_contracts{phase="shadow",rule="intents"} 1.0' in lines
    assert 'offramp_contracts{phase="live",rule="intents"} 0.0' in lines


async def test_keys_stay_where_they_belong(
    load: Callable[..., Loaded], tmp_path: Path, prices: PriceTable, serving: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    async def provider(request: web.Request) -> web.Response:
        seen.append(str(dict(request.headers)))
        status = 401 if len(seen) == 1 else 500
        return web.json_response({"error": {"message": "no sk-provider-key for you"}}, status=status)

    site = web.Application()
    site.router.add_post("/v1/chat/completions", provider)
    runner = web.AppRunner(site, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    text = f"""\
version: 1
access_key: "${{ACCESS}}"
upstreams:
  real:
    kind: openai
    base_url: http://127.0.0.1:{runner.addresses[0][1]}/v1
    api_key: "${{PROVIDER}}"
  gone: {{kind: openai, base_url: "http://127.0.0.1:1", api_key: "${{PROVIDER}}"}}
models:
  dear: real
  lost: gone
"""
    loaded = load(text, {"ACCESS": "sk-access-key", "PROVIDER": "sk-provider-key"})
    bodies: list[str] = []
    with caplog.at_level(logging.DEBUG):
        app = create_app(
            loaded,
            runtime=None,
            store=SQLiteLedger(tmp_path / "l.db"),
            contracts=ContractStore(tmp_path / "l.db"),
            prices=prices,
        )
        async with serving(app) as url, aiohttp.ClientSession(url) as http:
            for model, key in [("dear", "sk-access-key"), ("lost", "sk-access-key"), ("dear", "sk-wrong-key")]:
                headers = {"Authorization": f"Bearer {key}", "Cookie": "a=sk-cookie"}
                body = {"model": model, "messages": []}
                async with http.post("/v1/chat/completions", json=body, headers=headers) as answer:
                    bodies.append(f"{answer.status} {await answer.text()} {dict(answer.headers)}")
            async with http.get("/metrics", headers={"Authorization": "Bearer sk-access-key"}) as answer:
                bodies.append(await answer.text())
    await runner.cleanup()
    assert [body[:3] for body in bodies[:3]] == ["502", "502", "401"]
    assert len(seen) == 1
    assert "sk-provider-key" in seen[0]
    assert "sk-access-key" not in seen[0]
    assert "sk-cookie" not in seen[0]
    assert "sk-" not in "".join(bodies)
    assert "sk-" not in caplog.text
    assert b"sk-" not in stored(tmp_path)


async def test_the_endpoints_have_pages(running: Any) -> None:
    async with running() as gateway:
        async with gateway.http.get("/openapi.json") as answer:
            paths = (await answer.json())["paths"]
        async with gateway.http.get("/docs") as answer:
            assert answer.status == 200
    assert {"/v1/moderations", "/v1/classify", "/v1/models", "/v1/models/{name}", "/health", "/metrics"} <= set(paths)


async def test_other_paths_and_methods_are_refused_in_openais_shape(running: Any) -> None:
    async with running() as gateway:
        for path in ("/v1/chat/completions/", "/chat/completions"):
            async with gateway.http.post(path, json={"model": "dear", "messages": []}) as answer:
                assert answer.status == 200
        for method, path, status in [
            ("GET", "/", 404),
            ("GET", "/v1/chat/completions", 405),
            ("POST", "/v1/models", 405),
            ("POST", "/v1/embeddings", 400),
            ("POST", "/v1/chat/completions/x", 404),
            ("POST", "/v1/moderations", 404),
            ("POST", "/v1/classify", 400),
        ]:
            async with gateway.http.request(method, path, json={"input": "x"}) as answer:
                assert answer.status == status, (method, path)
                assert set((await answer.json())["error"]) == {"message", "type", "param", "code"}
                assert answer.headers["x-request-id"].startswith("req_")
                if status == 405:
                    assert answer.headers["allow"]
