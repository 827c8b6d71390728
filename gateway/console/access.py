"""Who may see the console, and what browsers may do with its pages.

One key sees all. It is exchanged once for a signed cookie, so it stays in no address. A page of another origin reaches
nothing: Host and Origin must be the console's own, also against names that are made to resolve to this machine.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlencode, urlsplit

from itsdangerous import BadData, TimestampSigner
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.config.load import is_loopback

COOKIE: Final = "offramp_console"
_SIGNED: Final = "console"
_VALID_S: Final = 12 * 3600
_OPEN: Final = ("/login", "/static/")
_POLICY: Final = "; ".join(
    [
        *(f"{name} 'none'" for name in ("default-src", "base-uri", "frame-ancestors", "object-src")),
        *(
            f"{name} 'self'"
            for name in ("script-src", "style-src", "img-src", "connect-src", "form-action", "frame-src")
        ),
    ]
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    # `no-referrer` would make browsers send `Origin: null`
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleKey:
    """key: what opens the console. url: where people open it, such as `http://127.0.0.1:8081`."""

    key: str
    url: str

    def link(self) -> str:
        """An address that opens the console."""
        return f"{self.url}/login?{urlencode({'key': self.key})}"

    def opens(self, given: str) -> bool:
        """Whether this is the key."""
        return hmac.compare_digest(given.encode(errors="replace"), self.key.encode())

    def cookie(self) -> str:
        """A Set-Cookie header for who has given the key. A new key ends all."""
        signed = TimestampSigner(self.key, salt=COOKIE).sign(_SIGNED).decode()
        secure = "; Secure" if self.url.startswith("https:") else ""
        return f"{COOKIE}={signed}; Path=/; Max-Age={_VALID_S}; HttpOnly; SameSite=Lax{secure}"

    def admits(self, cookie: str) -> bool:
        """Whether a Cookie header holds a cookie of ours that is not too old."""
        try:
            morsel = SimpleCookie(cookie).get(COOKIE)
            signer = TimestampSigner(self.key, salt=COOKIE)
            return morsel is not None and signer.unsign(morsel.value, max_age=_VALID_S) == _SIGNED.encode()
        except (BadData, CookieError):
            return False

    def is_own(self, host: str) -> bool:
        """Whether a Host header is the console's. All names of loopback are, where it listens there."""
        return host.lower() in _hosts(self.url)

    def is_origin(self, origin: str) -> bool:
        """Whether an Origin header is the console's."""
        scheme, _, host = origin.partition("://")
        return scheme == urlsplit(self.url).scheme and self.is_own(host)


def _hosts(url: str) -> frozenset[str]:
    parts = urlsplit(url)
    host = parts.netloc.lower()
    if not is_loopback(parts.hostname or ""):
        return frozenset({host})
    port = f":{parts.port}" if parts.port else ""
    return frozenset({host, f"127.0.0.1{port}", f"localhost{port}", f"[::1]{port}"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """The console behind its key. Refused are foreign Hosts and Origins (403); without a cookie is the login."""

    app: ASGIApp
    key: ConsoleKey

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers, path = Headers(scope=scope), scope["path"]
        if refusal := self._refusal(scope["method"], headers):
            await _plain(send_guarded, HTTPStatus.FORBIDDEN, refusal)
        elif path.startswith(_OPEN) or self.key.admits(headers.get("cookie", "")):
            await self.app(scope, receive, send_guarded)
        elif scope["method"] == "GET":
            await _plain(send_guarded, HTTPStatus.SEE_OTHER, "the console asks for its key", {"location": "/login"})
        else:
            await _plain(send_guarded, HTTPStatus.FORBIDDEN, "the cookie is missing or too old: open /login")

    def _refusal(self, method: str, headers: Headers) -> str:
        if not self.key.is_own(headers.get("host", "")):
            return f"this console is opened at {self.key.url}; behind another name, set console: url:"
        origin = headers.get("origin")
        if method not in ("GET", "HEAD") and not self.key.is_origin(origin or ""):
            return "a page of another origin may change nothing here"
        return ""


async def _plain(send: Send, status: HTTPStatus, text: str, more: Mapping[str, str] = {}) -> None:
    headers = {"content-type": "text/plain; charset=utf-8", **more}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})
