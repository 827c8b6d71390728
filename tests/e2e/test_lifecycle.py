"""A gateway's life: starting, refusing to start, clients that leave, stopping without losing anything."""

import asyncio
import contextlib
import http.client
import json
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from openai import APIError, AsyncOpenAI, AuthenticationError, InternalServerError, OpenAI

from tests.given import table_text

Offramp = Callable[..., Any]
HI = [{"role": "user", "content": "hi"}]
CONFIG = table_text("given/e2e-lifecycle-config.yaml")
SLOW = """
from gateway.upstreams import dispatch
fast = dispatch.EchoUpstream
dispatch.EchoUpstream = lambda name: fast(name, delay_s={})
"""


NOWHERE = CONFIG.format(base_url="http://127.0.0.1:9/v1")


def refusal(run_offramp: Offramp, config: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and the message of a gateway that does not start."""
    done = run_offramp("serve", str(config), *(arguments or ("--port", "0")), cwd=config.parent)
    return done.returncode, done.stderr


async def until_in_flight(running: Any, count: int) -> None:
    for _ in range(500):
        if await asyncio.to_thread(running.metric, "offramp_in_flight_requests") == count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"there were never {count} requests in flight")


def rows(folder: Path) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(folder / "offramp.db")) as db:
        db.row_factory = sqlite3.Row
        return db.execute("SELECT * FROM requests ORDER BY at").fetchall()


class Provider:
    """A provider that never finishes, and tells what it was sent and when its callers left."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.called = asyncio.Event()
        self.left = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        stream = (await request.json()).get("stream")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            if stream:
                await response.prepare(request)
                await response.write(b'data: {"choices":[{"index":0,"delta":{"content":"first"}}]}\n\n')
            self.called.set()
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.left.set()
            raise
        return response


@pytest.fixture
async def provider() -> AsyncIterator[tuple[Provider, str]]:
    made = Provider()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", made.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    yield made, f"http://127.0.0.1:{port}/v1"
    await runner.cleanup()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_cancels_the_upstream_call(provider, start_gateway, stream: bool) -> None:
    made, base_url = provider
    running = await asyncio.to_thread(start_gateway, CONFIG.format(base_url=base_url))
    body = {"model": "gpt-4o", "messages": HI, "stream": stream}
    async with aiohttp.ClientSession() as session:
        call = asyncio.ensure_future(session.post(f"{running.url}/v1/chat/completions", json=body))
        await asyncio.wait_for(made.called.wait(), 10)
        if stream:
            (await call).close()
        else:
            call.cancel()
        await asyncio.wait_for(made.left.wait(), 10)
    await asyncio.to_thread(running.stop)
    (row,) = rows(running.folder)
    assert (row["status"], row["error"]) == (499, "client_closed")


async def test_the_clients_key_never_goes_upstream_and_the_gateways_never_to_the_log(provider, start_gateway) -> None:
    made, base_url = provider
    config = CONFIG.format(base_url=base_url)
    running = await asyncio.to_thread(start_gateway, config, PROVIDER_KEY="provider-secret", OFFRAMP_KEY="")
    headers = {"Authorization": "Bearer client-secret", "api-key": "client-secret", "Cookie": "client-secret"}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        with contextlib.suppress(TimeoutError):
            await session.post(
                f"{running.url}/v1/chat/completions", json={"model": "gpt-4o", "messages": HI}, headers=headers
            )
    sent = made.headers[0]
    assert sent["Authorization"] == "Bearer provider-secret"
    assert "client-secret" not in str(sent)
    await asyncio.to_thread(running.stop)
    assert "secret" not in running.log.read_text()
    assert "secret" not in str([tuple(row) for row in rows(running.folder)])


def test_an_access_key_is_asked_for(start_gateway) -> None:
    running = start_gateway(NOWHERE, OFFRAMP_KEY="the-key")
    with OpenAI(base_url=f"{running.url}/v1", api_key="the-key", max_retries=0) as client:
        assert client.chat.completions.create(model="slow", messages=HI).choices[0].message.content == "echo: hi"
    with OpenAI(base_url=f"{running.url}/v1", api_key="another", max_retries=0) as client:
        with pytest.raises(AuthenticationError) as caught:
            client.chat.completions.create(model="slow", messages=HI)
        assert caught.value.code == "invalid_api_key"
    assert "the-key" not in running.log.read_text()


def test_an_unreachable_upstream_is_a_502(start_gateway) -> None:
    running = start_gateway(NOWHERE)
    with OpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response
        with pytest.raises(Exception, match="upstream provider could not be reached") as caught:
            raw.create(model="gpt-4o", messages=HI)
        assert caught.value.status_code == 502
    assert running.metric('offramp_upstream_failures_total{reason="upstream_failed",upstream="provider"}') == 1


@pytest.fixture
def terminal() -> Iterator[None]:
    """Processes begin as in a terminal: under nohup, which tests may run under, they would ignore that it is closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP])
async def test_a_gateway_that_is_told_to_stop_drains_and_loses_no_row(start_gateway, by: signal.Signals) -> None:
    running = await asyncio.to_thread(start_gateway, NOWHERE, patch=SLOW.format(1))
    async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as client:
        calls = [asyncio.ensure_future(client.chat.completions.create(model="slow", messages=HI)) for _ in range(20)]
        await until_in_flight(running, 20)
        code = asyncio.ensure_future(asyncio.to_thread(running.stop, by))
        answers = await asyncio.gather(*calls)
        assert await code == 0
    assert [answer.choices[0].message.content for answer in answers] == ["echo: hi"] * 20
    assert [row["status"] for row in rows(running.folder)] == [200] * 20


@pytest.mark.parametrize("drain", [1, 0])
async def test_what_the_drain_does_not_wait_for_is_told_so(start_gateway, drain: int) -> None:
    patch = SLOW.format(20) + f"import gateway.server; gateway.server.DRAIN_S = {drain}\n"
    running = await asyncio.to_thread(start_gateway, NOWHERE, patch=patch)
    async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as client:
        call = asyncio.ensure_future(client.chat.completions.create(model="slow", messages=HI))
        stream = await client.chat.completions.create(model="slow", messages=HI, stream=True)
        await until_in_flight(running, 2)
        assert await asyncio.to_thread(running.stop) == 0
        with pytest.raises(InternalServerError, match="the gateway is stopping") as caught:
            await call
        assert caught.value.status_code == 503
        with pytest.raises(APIError, match="the gateway is stopping and breaks its answer off"):
            _ = [chunk async for chunk in stream]
    assert [row["status"] for row in rows(running.folder)] == [503, 503]


async def test_a_second_ctrl_c_waits_for_no_answer_and_loses_no_row(start_gateway) -> None:
    running = await asyncio.to_thread(start_gateway, NOWHERE, patch=SLOW.format(20))
    async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as client:
        call = asyncio.ensure_future(client.chat.completions.create(model="slow", messages=HI))
        await until_in_flight(running, 1)
        running.process.send_signal(signal.SIGINT)
        # told twice before it has heard it once, it would have been told once
        with contextlib.suppress(OSError):
            while True:
                (await asyncio.to_thread(socket.create_connection, ("127.0.0.1", running.port))).close()
        assert await asyncio.to_thread(running.stop, signal.SIGINT) == 0
        with pytest.raises(InternalServerError, match="the gateway is stopping"):
            await call
    assert [row["status"] for row in rows(running.folder)] == [503]
    assert "Traceback" not in running.log.read_text()


def test_what_cannot_be_served_is_refused(run_offramp: Offramp, tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(NOWHERE)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        code, message = refusal(run_offramp, config, "--port", str(port))
    assert (code, f"cannot listen on 127.0.0.1:{port}" in message) == (5, True)
    code, message = refusal(run_offramp, config, "--host", "0.0.0.0")
    assert (code, "access_key" in message) == (2, True)
    for file in tmp_path.glob("offramp.db*"):
        file.unlink()
    (tmp_path / "offramp.db").mkdir()
    code, message = refusal(run_offramp, config)
    assert (code, "offramp.db cannot be used" in message) == (5, True)


def test_damaged_or_missing_classifiers_and_unknown_labels_are_refused(
    run_offramp: Offramp, workspace: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(workspace, copy, symlinks=True, ignore=shutil.ignore_patterns("offramp.db*", "*.log"))
    file = copy / "config" / "gateway.yaml"
    text = file.read_text()
    file.write_text(text.replace("greeting: {", "greting: {"))
    code, message = refusal(run_offramp, file)
    assert code == 2
    assert "rules[1].then.greting: no such label in shop-intents" in message
    assert 'did you mean "greeting"?' in message
    file.write_text(text)

    (weights,) = (copy / "models" / "shop-intents").glob("*/head.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    code, message = refusal(run_offramp, file)
    assert (code, "head.safetensors" in message) == (2, True)

    shutil.rmtree(copy / "models" / "shop-intents")
    mend = f"run: offramp train {copy / 'config' / 'policies' / 'shop-intents.yaml'}"
    code, message = refusal(run_offramp, file)
    assert (code, message.strip().endswith(mend)) == (2, True)
    # training finds the models folder of a file of that name only
    _, message = refusal(run_offramp, file.rename(copy / "config" / "prod.yaml"))
    assert message.strip().endswith(f"{mend} --models {copy / 'models'}")


async def test_a_flood_with_a_new_header_each_call_leaves_others_their_share(
    start_gateway: Callable[..., Any], workspace: Path
) -> None:
    gateway, numbers = start_gateway(workspace / "config" / "gateway.yaml"), count()

    async def judged(session: aiohttp.ClientSession) -> bool:
        number = next(numbers)
        text = f"Which shelf holds order {number} of the green garden chairs?"
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
        headers = {"authorization": f"Bearer {number}"}
        async with session.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers) as answer:
            return answer.status == 200 and ":late" not in answer.headers.get("x-offramp-abstained", "")

    async def flood(session: aiohttp.ClientSession) -> None:
        while True:
            await judged(session)

    def client(address: str) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, local_addr=(address, 0)))

    async with client("127.0.0.1") as many, client("127.0.0.2") as honest:
        flooding = asyncio.gather(*(flood(many) for _ in range(400)))
        await asyncio.sleep(2)
        answered = sum([await judged(honest) for _ in range(47)])
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
    assert answered >= 45


def test_a_kill_loses_the_rows_of_a_tenth_of_a_second_at_most(start_gateway) -> None:
    """Even where the event loop is busy all the time; twice that here, for a busy machine."""
    running = start_gateway(NOWHERE)
    body, ended = json.dumps({"model": "slow", "messages": HI}), dict[str, float]()

    def ask() -> None:
        client = http.client.HTTPConnection("127.0.0.1", running.port)
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                client.request("POST", "/v1/chat/completions", body)
                response = client.getresponse()
                response.read()
                ended[response.headers["x-request-id"]] = time.monotonic()

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    killed = time.monotonic()
    running.stop(by=signal.SIGKILL)
    for thread in threads:
        thread.join()
    stored = {row["request_id"] for row in rows(running.folder)}
    assert len(stored) > 100
    assert not [request for request, at in ended.items() if at < killed - 0.2 and request not in stored]
