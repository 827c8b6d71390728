"""Who may see the console."""

import time
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from gateway.console.access import COOKIE, ConsoleKey, Guarded
from tests.gateway.console.conftest import KEY, URL


def client(key: ConsoleKey = KEY, **settings: Any) -> TestClient:
    async def answer(_: Any) -> PlainTextResponse:
        return PlainTextResponse("in")

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    return TestClient(Guarded(app=app, key=key), base_url=URL, follow_redirects=False, **settings)


def cookie(key: ConsoleKey = KEY) -> dict[str, str]:
    return {"cookie": key.cookie().partition(";")[0]}


def test_pages_ask_for_the_cookie_and_changes_are_refused_without_it() -> None:
    assert client().get("/calls/1").headers["location"] == "/login"
    assert client().post("/review", headers={"origin": URL}).status_code == 403
    assert client().get("/login").text == client().get("/calls/1", headers=cookie()).text == "in"


def test_a_cookie_ends_with_its_key_and_after_twelve_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    made = cookie()
    assert KEY.admits(made["cookie"])
    for other in (ConsoleKey(key="l" * 32, url=URL), ConsoleKey(key="k" * 31, url=URL)):
        assert not other.admits(made["cookie"])
    for broken in ("", COOKIE, f"{COOKIE}=console", made["cookie"][:-1], made["cookie"].replace("console.", "root.")):
        assert not KEY.admits(broken)
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 12 * 3600 + 2)
    assert not KEY.admits(made["cookie"])


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:8080", "127.0.0.1:8081.evil.example", ""])
def test_another_name_for_this_machine_is_refused(host: str) -> None:
    refused = client().get("/", headers={**cookie(), "host": host})
    assert refused.status_code == 403
    assert URL in refused.text


@pytest.mark.parametrize(
    "origin", [None, "null", "http://127.0.0.1:8080", "https://127.0.0.1:8081", "http://evil.example"]
)
def test_a_page_of_another_origin_changes_nothing(origin: str | None) -> None:
    headers = cookie() | ({"origin": origin} if origin else {})
    assert client().post("/review", headers=headers).status_code == 403


def test_names_of_loopback_are_one_and_a_url_has_its_own() -> None:
    for host in ("127.0.0.1:8081", "localhost:8081", "LOCALHOST:8081", "[::1]:8081"):
        assert client().post("/", headers={**cookie(), "host": host, "origin": f"http://{host}"}).status_code == 200
    public = ConsoleKey(key=KEY.key, url="https://offramp.example")
    assert public.is_own("offramp.example")
    assert public.is_origin("https://offramp.example")
    assert not public.is_own("127.0.0.1:8081")
    assert not public.is_origin("http://offramp.example")
    assert "; Secure" in public.cookie()
    assert "; Secure" not in KEY.cookie()


@pytest.mark.parametrize("path", ["/", "/login", "/nowhere"])
def test_each_answer_says_what_browsers_may_do(path: str) -> None:
    headers = client().get(path).headers
    policy = headers["content-security-policy"]
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(
        policy.split("; ")
    )
    assert "unsafe" not in policy
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert {"HttpOnly", "SameSite=Lax", "Max-Age=43200"} <= set(KEY.cookie().split("; "))
