"""Who may ask: the access key where one is set; without one, only this machine's own programs.

Without a key the gateway listens on loopback, where a web page in a browser could still reach it: so the Host
must be a loopback name and an Origin, if there is one, too. Decided on scope["path"], never on the Host's URL.
"""

import hmac
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.config.load import is_loopback
from gateway.errors import ApiError, InvalidKey
from gateway.http.asgi import send_error

_OPEN_PATHS: Final = frozenset({"/health", "/ready"})


class Forbidden(ApiError, status=403, type="invalid_request_error", code="not_local"):
    """A request that did not come from a program on this machine."""


class Auth:
    """Pure ASGI."""

    def __init__(self, app: ASGIApp, access_key: str) -> None:
        self._app = app
        self._key = access_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _OPEN_PATHS:
            try:
                self._admit(dict(scope["headers"]))
            except ApiError as error:
                await send_error(scope, send, error)
                return
        await self._app(scope, receive, send)

    def _admit(self, headers: dict[bytes, bytes]) -> None:
        if not self._key:
            _require_local(headers)
            return
        given = headers.get(b"authorization", b"")
        given = given[7:].strip() if given[:7].lower() == b"bearer " else headers.get(b"api-key", b"")
        if not hmac.compare_digest(given, self._key):
            problem = "Incorrect access key provided." if given else "No access key provided."
            raise InvalidKey(f"{problem} Send the gateway's key as a Bearer token or as api-key.")


def _require_local(headers: dict[bytes, bytes]) -> None:
    origin = headers.get(b"origin")
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
