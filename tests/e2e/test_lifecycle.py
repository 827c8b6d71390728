"""A gateway's life: starting, refusing to start, clients that leave, stopping without losing anything."""

import asyncio
import contextlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from openai import APIError, AsyncOpenAI, AuthenticationError, InternalServerError, OpenAI

HI = [{"role": "user", "content": "hi"}]
CONFIG = """\
version: 1
listen: 127.0.0.1:8080
access_key: "${{OFFRAMP_KEY:-}}"
models_dir: models
ledger: offramp.db
upstreams:
  provider:
    kind: openai
    base_url: {base_url}
    api_key: "${{PROVIDER_KEY:-}}"
  echo: {{kind: echo}}
models:
  gpt-4o: provider
  slow: echo
"""
SLOW = """
from gateway.upstreams import build
fast = build.EchoUpstream
build.EchoUpstream = lambda name: fast(name, delay_s={})
"""


NOWHERE = CONFIG.format(base_url="http://127.0.0.1:9/v1")


def serve_once(config: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A gateway that is expected to refuse to start."""
    command = [sys.executable, "-m", "gateway", "serve", str(config), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=config.parent, env=environment or None
    )


def rows(folder: Path) -> list[sqlite3.Row]:
    with contextlib.closing(sqlite3.connect(folder / "offramp.db")) as db:
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
    running = start_gateway(CONFIG.format(base_url="http://127.0.0.1:9/v1"), OFFRAMP_KEY="the-key")
    with OpenAI(base_url=f"{running.url}/v1", api_key="the-key", max_retries=0) as client:
        assert client.chat.completions.create(model="slow", messages=HI).choices[0].message.content == "echo: hi"
    with OpenAI(base_url=f"{running.url}/v1", api_key="another", max_retries=0) as client:
        with pytest.raises(AuthenticationError) as caught:
            client.chat.completions.create(model="slow", messages=HI)
        assert caught.value.code == "invalid_api_key"
    assert "the-key" not in running.log.read_text()


def test_an_unreachable_upstream_is_a_502(start_gateway) -> None:
    running = start_gateway(CONFIG.format(base_url="http://127.0.0.1:9/v1"))
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
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGHUP])
async def test_a_gateway_that_is_told_to_stop_drains_and_loses_no_row(start_gateway, told: signal.Signals) -> None:
    running = await asyncio.to_thread(start_gateway, NOWHERE, patch=SLOW.format(1))
    async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as client:
        calls = [asyncio.ensure_future(client.chat.completions.create(model="slow", messages=HI)) for _ in range(20)]
        for _ in range(100):
            if await asyncio.to_thread(running.metric, "offramp_in_flight_requests") == 20:
                break
            await asyncio.sleep(0.02)
        code = asyncio.ensure_future(asyncio.to_thread(running.stop, told))
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
        for _ in range(100):
            if await asyncio.to_thread(running.metric, "offramp_in_flight_requests") == 2:
                break
            await asyncio.sleep(0.02)
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
        while not await asyncio.to_thread(running.metric, "offramp_in_flight_requests"):
            pass
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


def test_a_port_in_use(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG.format(base_url="http://127.0.0.1:9/v1"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve_once(config, "--port", str(port))
    assert done.returncode == 5
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_other_machines_need_a_key(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG.format(base_url="http://127.0.0.1:9/v1"))
    done = serve_once(config, "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "access_key" in done.stderr


def test_a_ledger_that_cannot_be_written(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG.format(base_url="http://127.0.0.1:9/v1"))
    (tmp_path / "offramp.db").mkdir()
    done = serve_once(config, "--port", "0")
    assert done.returncode == 5
    assert "offramp.db cannot be used" in done.stderr


@pytest.fixture
def copy(workspace: Path, tmp_path: Path) -> Path:
    """The starter workspace, to be damaged."""
    folder = tmp_path / "copy"
    shutil.copytree(workspace, folder, symlinks=True, ignore=shutil.ignore_patterns("offramp.db*", "*.log"))
    return folder


def test_a_missing_artifact_names_the_command_that_makes_it(copy: Path) -> None:
    shutil.rmtree(copy / "models" / "shop-intents")
    done = serve_once(copy / "config" / "gateway.yaml", "--port", "0")
    assert done.returncode == 2
    assert "gateway.yaml:" in done.stderr
    assert "no trained classifier shop-intents" in done.stderr
    policy = copy / "config" / "policies" / "shop-intents.yaml"
    mend = f"run: offramp train {policy}"
    assert done.stderr.strip().endswith(mend)
    # training finds the models folder of a file of that name only
    other = (copy / "config" / "gateway.yaml").rename(copy / "config" / "prod.yaml")
    done = serve_once(other, "--port", "0")
    assert done.stderr.strip().endswith(f"{mend} --models {copy / 'models'}")


def test_a_tampered_artifact_is_refused(copy: Path) -> None:
    (weights,) = (copy / "models" / "shop-intents").glob("*/head.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    done = serve_once(copy / "config" / "gateway.yaml", "--port", "0")
    assert done.returncode == 2
    assert "head.safetensors" in done.stderr


def test_a_rule_that_names_a_label_which_does_not_exist(copy: Path) -> None:
    file = copy / "config" / "gateway.yaml"
    file.write_text(file.read_text().replace("greeting: {", "greting: {"))
    done = serve_once(file, "--port", "0")
    assert done.returncode == 2
    assert "rules[1].then.greting: no such label in shop-intents" in done.stderr
    assert 'did you mean "greeting"?' in done.stderr
