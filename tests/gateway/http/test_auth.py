"""Who is let in: the key's holder, or without a key only programs on this machine."""

import json
from typing import Any

import pytest

from gateway.drain import InFlight
from gateway.http.auth import Access
from gateway.http.entrance import Entrance
from tests.given import table


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


def entered(key: str, *, origins: tuple[str, ...] = ()) -> Entrance:
    return Entrance(lambda *_: (app, False), Access(key, origins=origins), InFlight())


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer sesame")],
        [(b"authorization", b"bearer  sesame ")],
        [(b"api-key", b"sesame")],
        [(b"x-api-key", b"sesame")],
        [(b"x-offramp-key", b"sesame"), (b"authorization", b"Bearer their own")],
        [(b"authorization", b"Basic x"), (b"api-key", b"sesame")],
        [(b"authorization", b"Bearer sesame"), (b"host", b"public.example"), (b"origin", b"https://evil.example")],
    ],
)
async def test_the_key_opens(ask: Any, headers: list[tuple[bytes, bytes]]) -> None:
    assert (await ask(entered("sesame"), headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"sesame")],
        [(b"authorization", b"Basic sesame")],
        [(b"authorization", b"Bearer sesame2")],
        [(b"authorization", b"Bearer \xff\xfe")],
        [(b"authorization", b"Bearer wrong"), (b"api-key", b"sesame")],
        [(b"x-offramp-key", b"wrong"), (b"authorization", b"Bearer sesame")],
    ],
)
async def test_anything_else_does_not(ask: Any, headers: list[tuple[bytes, bytes]]) -> None:
    answer = await ask(entered("sesame"), headers=headers)
    assert answer.status == 401
    error = json.loads(answer.body)["error"]
    assert (error["code"], error["type"], error["param"]) == ("invalid_api_key", "invalid_request_error", None)
    assert "sesame" not in answer.body.decode()


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_probes_are_open(ask: Any, path: str) -> None:
    assert (await ask(entered("sesame"), path=path, headers=[(b"host", b"evil.example")])).status == 200


@pytest.mark.parametrize("path", ["/metrics", "/health/x", "/health/../v1/models", "/HEALTH", "/ready?x"])
async def test_nothing_else_is(ask: Any, path: str) -> None:
    assert (await ask(entered("sesame"), path=path)).status == 401


@pytest.mark.parametrize(
    "host", [b"127.0.0.1", b"127.0.0.1:8080", b"localhost:1", b"LocalHost", b"[::1]:8080", b"[::1]", b"127.5.5.5"]
)
async def test_without_a_key_this_machines_own_programs_are_served(ask: Any, host: bytes) -> None:
    assert (await ask(entered(""), headers=[(b"host", host)])).status == 200
    assert (await ask(entered(""), headers=[(b"host", host), (b"origin", b"http://" + host)])).status == 200


@pytest.mark.parametrize("host", table("given/gateway-http-auth-without_a_key_a_web_page_is_not.yaml"))
async def test_without_a_key_a_web_page_is_not(ask: Any, host: bytes) -> None:
    answer = await ask(entered(""), headers=[(b"host", host)])
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (403, "not_local")
    origin = [(b"host", b"127.0.0.1"), (b"origin", b"https://" + host)]
    assert (await ask(entered(""), headers=origin)).status == 403


async def test_a_page_without_an_origin_of_its_own_is_not_served(ask: Any) -> None:
    assert (await ask(entered(""), headers=[(b"origin", b"null")])).status == 403


@pytest.mark.parametrize("origins", [("https://chat.example", "http://b"), ("*",)])
async def test_a_page_that_is_listed_is_served(ask: Any, origins: tuple[str, ...]) -> None:
    listed, other = (b"origin", b"https://chat.example"), (b"origin", b"https://chat.example.evil")
    local = entered("", origins=origins)
    assert (await ask(local, headers=[listed])).status == 200
    assert (await ask(local, headers=[other])).status == (200 if "*" in origins else 403)
    assert (await ask(local, headers=[listed, (b"host", b"evil.example")])).status == 403
