"""Paths that go on as they come: the whole gateway on a port, in front of a real server on another."""

import asyncio
import gzip
import json
import sqlite3
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import web

from gateway.app import create_app
from gateway.config.load import Loaded
from gateway.config.prices import PriceTable
from gateway.contracts.store import ContractStore
from gateway.http.passthrough import may_pass
from gateway.ledger.store import SQLiteLedger
from tests.given import table

MIB = 1024**2
CASES = table("given/gateway-http-passthrough-paths.yaml")
FILE = """
version: 1
upstreams: {up: {kind: openai, base_url: BASE, api_key: '${UP_KEY}', %s}}
models: {fixed: up, other: up}
"""


@dataclass
class Seen:
    """What reached the upstream."""

    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    largest: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)


class Gateway:
    """The running gateway, and rows of its ledger once it has stopped."""

    def __init__(self, url: str, http: aiohttp.ClientSession, folder: Path, seen: Seen) -> None:
        self.url, self.http, self.folder, self.seen = url, http, folder, seen

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, bytes, Any]:
        url = aiohttp.client.URL(self.url + path, encoded=True)
        async with self.http.request(method, url, **more) as answer:
            return answer.status, await answer.read(), answer.headers

    def rows(self) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "l.db")) as db:
            db.row_factory = sqlite3.Row
            return list(db.execute("SELECT * FROM requests ORDER BY at"))


AT_ONCE: dict[str, tuple[Any, int]] = {
    "early": ({"error": {"message": "no"}}, 413),
    "refused": ({"error": {"message": "key sk-up is wrong"}}, 401),
    "models": ({"data": [{"id": "theirs", "created": 1700000000}, {"id": "fixed"}]}, 200),
}


async def long(seen: Seen, request: web.Request, name: str) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"content-type": "audio/mpeg", "content-length": str(8 * MIB)})
    await answer.prepare(request)
    for _ in range(8 if name == "content" else 1):
        await answer.write(bytes(MIB))
    if name == "silent":
        try:
            await asyncio.sleep(20)
        finally:
            seen.gone.set()
    if name == "broken":
        assert request.transport is not None
        request.transport.close()
    return answer


async def answered(seen: Seen, request: web.Request) -> web.StreamResponse:
    seen.requests.append((request.method, request.raw_path, {k.lower(): v for k, v in request.headers.items()}))
    name = request.path.rpartition("/")[2]
    if name in AT_ONCE:
        body, status = AT_ONCE[name]
        return web.json_response(body, status=status)
    try:
        async for part in request.content.iter_any():
            seen.begun.set()
            seen.largest = max(seen.largest, len(part))
            seen.bodies.append(part if request.content_length is not None and request.content_length < MIB else b"")
    except (ConnectionResetError, asyncio.CancelledError):
        seen.gone.set()
        raise
    if name == "packed":
        body = gzip.compress(b"content", mtime=0)
        return web.Response(body=body, headers={"content-encoding": "gzip", "set-cookie": "a=b", "x-request-id": "u1"})
    if name in ("content", "broken", "silent"):
        return await long(seen, request, name)
    return web.json_response({"choices": [], "id": name}, headers={"OpenAI-Organization": "org", "ETag": '"e"'})


@pytest.fixture
def running(load: Callable[..., Loaded], tmp_path: Path, prices: PriceTable, serving: Any) -> Any:
    """running(settings of the upstream, …): the gateway in front of a server."""

    @asynccontextmanager
    async def make(
        settings: str = "passthrough: all", *, more: str = "", key: str = "sk-up", **env: str
    ) -> AsyncIterator[Gateway]:
        seen = Seen()
        server = web.Application(client_max_size=0)

        async def handler(request: web.Request) -> web.StreamResponse:
            return await answered(seen, request)

        server.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(server, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        text = FILE.replace("BASE", f"http://127.0.0.1:{port}/v1") % settings + more
        app = create_app(
            load(text, {"UP_KEY": key, **env}),
            runtime=None,
            store=SQLiteLedger(tmp_path / "l.db"),
            contracts=ContractStore(tmp_path / "l.db"),
            prices=prices,
        )
        try:
            async with serving(app, body_time_s=0.3) as url, aiohttp.ClientSession(auto_decompress=False) as http:
                yield Gateway(url, http, tmp_path, seen)
        finally:
            await runner.cleanup()

    return make


async def slowly(*parts: bytes, wait_s: float = 0.0) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
        await asyncio.sleep(wait_s)


async def test_a_call_goes_on_byte_for_byte_with_the_gateways_key_and_leaves_a_row(running: Any) -> None:
    multipart = b'--x\r\ncontent-disposition: form-data; name="file"; filename="\xc3\xa4"\r\n\r\n\x00\xff\r\n--x--\r\n'
    sent = {
        "Content-Type": "multipart/form-data; boundary=x",
        "OpenAI-Beta": "assistants=v2",
        "Anthropic-Version": "1",
        "If-None-Match": '"e"',
        "Idempotency-Key": "k1",
    }
    hidden = {"Authorization": "Bearer client", "X-Api-Key": "c", "Cookie": "c=d", "OpenAI-Organization": "mine"}
    hidden |= {"X-Forwarded-For": "1.2.3.4", "Forwarded": "for=x", "Connection": "keep-alive, x-a", "X-A": "1"}
    async with running() as gateway:
        status, body, headers = await gateway.ask(
            "POST", "/v1/files?purpose=a%2Fb&x=%C3", data=multipart, headers=sent | hidden
        )
        assert (status, json.loads(body)["id"], headers["etag"]) == (200, "files", '"e"')
        assert "openai-organization" not in headers
        [(method, target, reached)] = gateway.seen.requests
        assert (method, target) == ("POST", "/v1/files?purpose=a%2Fb&x=%C3")
        assert b"".join(gateway.seen.bodies) == multipart
        assert reached["content-length"] == str(len(multipart))
        assert {name: reached[name.lower()] for name in sent} == sent
        assert reached["authorization"] == "Bearer sk-up"
        assert not {name.lower() for name in hidden} - {"authorization"} & set(reached) - {"connection"}
        assert (await gateway.ask("GET", "/files/f-1/packed"))[1] == gzip.compress(b"content", mtime=0)
        _, _, headers = await gateway.ask("GET", "/files/f-1/packed")
        assert (headers["x-upstream-request-id"], headers["content-encoding"]) == ("u1", "gzip")
        assert headers["x-request-id"].startswith("req_")
        assert "set-cookie" not in headers
        assert (await gateway.ask("DELETE", "/v1/secret-name/x"))[0] == 200
        text = (await gateway.ask("GET", "/metrics"))[1].decode()
    assert 'endpoint="passthrough",model="",rule="",status="200"' in text
    assert "secret-name" not in text
    rows = gateway.rows()
    assert [(row["endpoint"], row["label"], row["status"], row["upstream"]) for row in rows[:1] + rows[-1:]] == [
        ("passthrough", "files", 200, "up"),
        ("passthrough", "", 200, "up"),
    ]
    assert (rows[0]["usage_source"], rows[0]["spent_usd"]) == ("missing", None)
    assert (rows[-1]["usage_source"], rows[-1]["spent_usd"]) == ("none", 0.0)


async def test_bodies_are_not_held_and_may_take_longer_than_the_servers_time(running: Any) -> None:
    """64 MiB go up and 8 come down; a body of 0.6 s passes, where 0.3 s is all that chat has."""
    async with running() as gateway:
        tracemalloc.start()
        status, *_ = await gateway.ask("PUT", "/v1/uploads/u", data=slowly(*[bytes(MIB)] * 64))
        _, body, headers = await gateway.ask("GET", "/v1/files/f/content")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (status, len(body), headers["content-type"]) == (200, 8 * MIB, "audio/mpeg")
        assert most < 30 * MIB
        assert (await gateway.ask("POST", "/v1/audio/x", data=slowly(*[b"a"] * 6, wait_s=0.1)))[0] == 200
        late = await gateway.ask("POST", "/v1/chat/completions", data=slowly(*[b"a"] * 6, wait_s=0.1))
        assert late[0] == 408
    assert [row["status"] for row in gateway.rows()] == [200, 200, 200, 499]


@pytest.mark.parametrize("begins", [b"", b"a"])
async def test_a_body_that_falls_silent_ends_the_call(running: Any, begins: bytes) -> None:
    async with running("passthrough: all, timeout: 400ms") as gateway:
        status = (await gateway.ask("POST", "/v1/files", data=slowly(begins or b"x", b"y", wait_s=2.0)))[0]
        assert status in (408, 504)
        await asyncio.wait_for(gateway.seen.gone.wait(), 5)
    assert [row["status"] in (499, 504) for row in gateway.rows()] == [True]


async def test_what_breaks_off_is_broken_off_for_the_client_too(running: Any) -> None:
    async with running("passthrough: [files], timeout: 300ms") as gateway:
        for name in ("broken", "silent"):
            with pytest.raises(aiohttp.ClientPayloadError):
                await gateway.ask("GET", f"/v1/files/{name}")
        assert (await gateway.ask("POST", "/v1/files/early", data=slowly(*[bytes(MIB)] * 4)))[0] == 413
        status, body, _ = await gateway.ask("GET", "/v1/files/refused")
        assert (status, b"sk-up" in body) == (502, False)
    assert [(row["status"], row["error"]) for row in gateway.rows()] == [
        (200, "upstream_failed"),
        (200, "upstream_timeout"),
        (413, ""),
        (502, "upstream_failed"),
    ]


@pytest.mark.parametrize("path", ["/v1/files", "/v1/files/silent"])
async def test_a_client_that_leaves_ends_the_call_upstream(running: Any, path: str) -> None:
    async with running() as gateway:
        host, port = gateway.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        method = "POST" if path == "/v1/files" else "GET"
        length = b"content-length: 10\r\n" if method == "POST" else b""
        writer.write(
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n".encode() + length + b"\r\n" + (b"abc" if length else b"")
        )
        for _ in range(100):
            await asyncio.sleep(0.02)
            if gateway.seen.begun.is_set() or (method == "GET" and gateway.seen.requests):
                break
        writer.close()
        await asyncio.wait_for(gateway.seen.gone.wait(), 5)
    assert [row["status"] for row in gateway.rows()] == [499]


@pytest.mark.parametrize(("method", "path"), CASES["never"])
async def test_what_never_goes_on(running: Any, method: str, path: str) -> None:
    async with running() as gateway:
        await gateway.ask(method, path, data=None if method in ("GET", "TRACE") else b"{}")
        assert [one for one in gateway.seen.requests if one[1] != "/v1/models"] == []


@pytest.mark.parametrize("path", CASES["ambiguous"])
async def test_paths_that_two_servers_may_read_differently_are_refused(running: Any, path: str) -> None:
    async with running() as gateway:
        assert (await gateway.ask("GET", path))[0] == 400
        assert gateway.seen.requests == []


async def test_extra_slashes_and_stored_completions_go_on(running: Any) -> None:
    async with running() as gateway:
        for method, path in (
            ("GET", "//v1///files/?a=1"),
            ("GET", "/v1/chat/completions?limit=2"),
            ("POST", "/v1/chat/completions/chatcmpl-1"),
            ("DELETE", "/v1/models/ft:gpt-4o:org::id"),
            ("POST", "/v1/threads/t/messages"),
            ("POST", "/openai/deployments/d/audio/speech?api-version=1"),
            ("HEAD", "/v1/files/f"),
        ):
            assert (await gateway.ask(method, path))[0] == 200, path
        assert [target for _, target, _ in gateway.seen.requests] == [
            "/v1/files?a=1",
            "/v1/chat/completions?limit=2",
            "/v1/chat/completions/chatcmpl-1",
            "/v1/models/ft:gpt-4o:org::id",
            "/v1/threads/t/messages",
            "/v1/audio/speech?api-version=1",
            "/v1/files/f",
        ]


@pytest.mark.parametrize(("settings", "path", "line"), CASES["unnamed"])
async def test_a_path_that_is_not_named_is_404_with_the_line_that_would(
    running: Any, settings: str, path: str, line: str
) -> None:
    async with running(settings or "timeout: 9s") as gateway:
        status, body, _ = await gateway.ask("GET", path)
        assert (status, gateway.seen.requests) == (404, []) or "favicon" in path
        message = json.loads(body)["error"]["message"]
        assert line in message if line else "passthrough" not in message


async def test_all_that_the_gateway_serves_is_its_own(running: Any) -> None:
    from gateway.protocols.served import WIRES

    assert not any(may_pass("POST", path, ["all", "chat"]) for path in (wire.path for wire in WIRES))
    async with running() as gateway:
        pages = json.loads((await gateway.ask("GET", "/openapi.json"))[1])["paths"]
    for path, methods in pages.items():
        assert not any(may_pass(method.upper(), path.replace("{name}", "x"), ["all"]) for method in methods), path


CHAT: Any = {"model": "fixed", "messages": [{"role": "user", "content": "hello"}]}


async def test_a_clients_own_key_goes_on_and_the_gateways_stays(running: Any) -> None:
    """No call of the gateway's own is made with it, and none without."""
    settings, more = "passthrough: all, credentials: client", "access_key: '${KEY}'\n"
    async with running(settings, more=more, KEY="sesame") as gateway:
        url = f"{gateway.url}/v1"
        own = {"x-offramp-key": "sesame"}
        async with openai.AsyncOpenAI(base_url=url, api_key="sk-mine", default_headers=own, max_retries=0) as client:
            await client.chat.completions.create(**CHAT)
        for headers in ({"x-api-key": "k"}, {}, {"Authorization": "Bearer sesame"}, {"api-key": "sesame"}):
            assert (await gateway.ask("GET", "/v1/files", headers=own | headers))[0] == 200
        assert (await gateway.ask("GET", "/v1/files", headers={"Authorization": "Bearer sk-mine"}))[0] == 401
        assert (await gateway.ask("GET", "/v1/files/refused", headers=own))[0] == 401
        assert (await gateway.ask("GET", "/v1/models", headers=own))[0] == 200
        keys = [(reached.get("authorization"), reached.get("x-api-key")) for _, _, reached in gateway.seen.requests]
        assert keys == [("Bearer sk-mine", None), (None, "k"), *[(None, None)] * 4, ("Bearer sk-up", None)]
        assert not any("x-offramp-key" in reached or "api-key" in reached for _, _, reached in gateway.seen.requests)
    assert b"sk-mine" not in b"".join(file.read_bytes() for file in gateway.folder.glob("l.db*"))


async def test_headers_travel_by_the_upstreams_list(running: Any) -> None:
    sent = {"traceparent": "00-1", "openai-organization": "o", "tracestate": "t", "openai-beta": "b"}
    async with running("headers: [traceparent, openai-organization]") as gateway:
        assert (await gateway.ask("POST", "/v1/chat/completions", json=CHAT, headers=sent))[0] == 200
        [(_, _, reached)] = gateway.seen.requests
        assert {name: reached.get(name) for name in sent} == sent | {"tracestate": None}


async def test_packed_bodies_and_azures_paths_are_chat(running: Any) -> None:
    body = json.dumps(CHAT).encode()
    bomb = gzip.compress(bytes(64 * MIB))
    async with running("timeout: 9s", more="limits: {body: 1MiB}\n") as gateway:
        path = "/v1/chat/completions"
        for packed, encoding, status in (
            (gzip.compress(body), "gzip", 200),
            (zlib.compress(body), "DEFLATE", 200),
            (bomb, "gzip", 413),
            (gzip.compress(body)[:-3], "gzip", 400),
            (gzip.compress(body) + b"x", "gzip", 400),
            (body, "gzip", 400),
            (body, "br", 400),
        ):
            assert (await gateway.ask("POST", path, data=packed, headers={"content-encoding": encoding}))[0] == status
        assert [json.loads(part) for part in gateway.seen.bodies] == [CHAT] * 2
        assert not any("content-encoding" in reached for _, _, reached in gateway.seen.requests)
        gateway.seen.bodies.clear()
        azure = {"azure_endpoint": gateway.url, "api_version": "2026-01-01", "api_key": "k", "max_retries": 0}
        async with openai.AsyncAzureOpenAI(**azure) as client:
            await client.chat.completions.create(**CHAT)
        deployment = "/openai/deployments/fixed/chat/completions/?api-version=1"
        for given in ({"messages": CHAT["messages"]}, CHAT):
            assert (await gateway.ask("POST", deployment, json=given))[0] == 200
        assert (await gateway.ask("POST", "//openai//v1/chat/completions", json=CHAT))[0] == 200
        assert [json.loads(part)["model"] for part in gateway.seen.bodies] == ["fixed"] * 4
        assert {target for _, target, _ in gateway.seen.requests} == {"/v1/chat/completions"}


async def test_models_are_the_files_and_the_upstreams(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("timeout: 9s", more="rules: []\n") as gateway:
        _, body, _ = await gateway.ask("GET", "//v1/models/")
        listed = json.loads(body)["data"]
        assert [model["id"] for model in listed] == ["fixed", "theirs"]
        assert listed[1] == {"id": "theirs", "created": 1700000000}
        assert json.loads((await gateway.ask("GET", "/v1/models/theirs"))[1]) == listed[1]
        assert (await gateway.ask("GET", "/v1/models/nobodys"))[0] == 404
        shown = json.loads((await gateway.ask("GET", "/v1/models", headers={"anthropic-version": "2023-06-01"}))[1])
        assert (shown["has_more"], shown["first_id"], shown["last_id"]) == (False, "fixed", "theirs")
        assert shown["data"][1] == {
            "type": "model",
            "id": "theirs",
            "display_name": "theirs",
            "created_at": "2023-11-14T22:13:20Z",
        }
        assert len(gateway.seen.requests) == 1


@pytest.mark.parametrize("answer", ["slow", "error", "odd"])
async def test_an_upstream_that_does_not_tell_its_models_is_left_out(
    running: Any, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    asked = []

    async def models(seen: Seen, request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if len(asked) > 1:
            return web.json_response({"data": [{"id": "theirs"}]})
        await asyncio.sleep(5 if answer == "slow" else 0)
        return web.json_response({"data": 1}, status=500 if answer == "error" else 200)

    monkeypatch.setattr("tests.gateway.http.test_passthrough.answered", models)
    monkeypatch.setattr("gateway.http.models._WAIT_S", 0.1)
    monkeypatch.setattr("gateway.http.models._ASKED_AGAIN_S", 0.2)
    async with running("timeout: 9s") as gateway:
        both = await asyncio.gather(*[gateway.ask("GET", "/v1/models") for _ in range(2)])
        assert [[model["id"] for model in json.loads(body)["data"]] for _, body, _ in both] == [["fixed"]] * 2
        assert len(asked) == 1
        await asyncio.sleep(0.25)
        assert b"theirs" in (await gateway.ask("GET", "/v1/models"))[1]


async def test_what_the_gateway_does_not_have_is_asked_for_where_it_passes(running: Any) -> None:
    async with running("passthrough: [models]") as gateway:
        assert (await gateway.ask("POST", "/v1/moderations", json={"input": "x"}))[0] == 404
    async with running() as gateway:
        assert (await gateway.ask("GET", "/v1/models/ft:x"))[0] == 200
        assert (await gateway.ask("GET", "/v1/models/a%2Fb"))[0] == 404
        assert (await gateway.ask("POST", "/v1/moderations", json={"input": "x"}))[0] == 200
        assert [target for _, target, _ in gateway.seen.requests] == [
            "/v1/models",
            "/v1/models/ft:x",
            "/v1/moderations",
        ]


async def test_pages_that_are_listed_may_ask_and_no_others(running: Any) -> None:
    page = {"origin": "https://chat.example"}
    wants = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-stainless-os"}
    chat, more = "/v1/chat/completions", "cors: [https://chat.example]\naccess_key: '${KEY}'\n"
    async with running(more=more, KEY="sesame") as gateway:
        status, _, headers = await gateway.ask("OPTIONS", chat, headers=page | wants)
        assert (status, headers["access-control-allow-origin"]) == (200, page["origin"])
        assert "authorization" in headers["access-control-allow-headers"]
        assert headers["access-control-allow-methods"]
        assert (await gateway.ask("OPTIONS", chat, headers=wants | {"origin": "https://evil.example"}))[0] == 400
        assert (await gateway.ask("POST", chat, json=CHAT, headers=page))[0] == 401
        key = {"authorization": "Bearer sesame"}
        for path, method in ((chat, "POST"), ("/v1/files", "POST")):
            status, _, headers = await gateway.ask(method, path, json=CHAT, headers=page | key)
            assert (status, headers["access-control-allow-origin"]) == (200, page["origin"])
            assert headers["access-control-expose-headers"] == "*"
    async with running() as gateway:
        assert (await gateway.ask("OPTIONS", chat, headers=wants))[0] == 405
        assert (await gateway.ask("POST", chat, json=CHAT, headers=page))[0] == 403
