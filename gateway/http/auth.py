"""Who may ask: the access key where one is set; without one, only this machine's own programs.

Without a key the gateway listens on loopback, where a web page in a browser could still reach it: so the Host
must be a loopback name and an Origin, if there is one, too, unless `cors` lists it. Decided on scope["path"], never on
the Host's URL.
"""

import hmac
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.config.load import is_loopback
from gateway.context import CREDENTIALS, Headers
from gateway.errors import ApiError, InvalidKey
from gateway.http.asgi import send_error

_OPEN_PATHS: Final = frozenset({"/health", "/ready"})
_KEYS: Final = (b"authorization", b"x-api-key", b"api-key")


class Forbidden(ApiError, status=403, type="invalid_request_error", code="not_local"):
    """A request that did not come from a program on this machine."""


class Auth:
    """Pure ASGI. origins: web pages that are served as this machine's programs are. keeps: whether the client's own
    keys are put into the scope, for upstreams that take them."""

    def __init__(self, app: ASGIApp, access_key: str, *, origins: Sequence[str] = (), keeps: bool = False) -> None:
        self._app = app
        self._key = access_key.encode()
        self._origins = frozenset(origin.encode() for origin in origins)
        self._keeps = keeps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _OPEN_PATHS:
            headers = dict(scope["headers"])
            try:
                self._admit(headers)
            except ApiError as error:
                await send_error(scope, send, error)
                return
            if self._keeps:
                scope[CREDENTIALS] = self._clients_own(headers)
        await self._app(scope, receive, send)

    def _admit(self, headers: dict[bytes, bytes]) -> None:
        if not self._key:
            origin = headers.get(b"origin")
            listed = origin is not None and not self._origins.isdisjoint((origin, b"*"))
            _require_local(headers, None if listed else origin)
            return
        given = headers.get(b"x-offramp-key") or _bearer(headers.get(b"authorization", b""))
        given = given or headers.get(b"api-key") or headers.get(b"x-api-key", b"")
        if not hmac.compare_digest(given, self._key):
            problem = "Incorrect access key provided." if given else "No access key provided."
            raise InvalidKey(
                f"{problem} Send the gateway's key as a Bearer token, api-key, x-api-key or x-offramp-key."
            )

    def _clients_own(self, headers: dict[bytes, bytes]) -> Headers:
        """The headers with keys other than the gateway's, as they came."""
        given = [(name, headers[name]) for name in _KEYS if name in headers]
        own = self._key or None
        return [(name, key) for name, key in given if own not in (key, _bearer(key))]


def owner_of(scope: Scope) -> bytes:
    """Whose a request is, as a digest of the keys that it came with: programs that share a key share what they made."""
    given = sorted(header for header in scope["headers"] if header[0] in _KEYS or header[0] == b"x-offramp-key")
    return blake2b(repr(given).encode(), digest_size=16).digest()


def _bearer(value: bytes) -> bytes:
    """The token of `Bearer token`; empty for any other value."""
    return value[7:].strip() if value[:7].lower() == b"bearer " else b""


def _require_local(headers: dict[bytes, bytes], origin: bytes | None) -> None:
    hosts = [headers.get(b"host", b"localhost"), *([origin.partition(b"://")[2]] if origin else [])]
    for host in hosts:
        name = host.decode("latin-1").lower()
        if not name.endswith("]"):
            head, colon, port = name.rpartition(":")
            name = head if colon and port.isdecimal() else name
        if not is_loopback(name):
            raise Forbidden(
                "Without an access key only programs on this machine are served; set access_key to serve others."
            )
