"""Who may ask: the access key where one is set; without one, only this machine's own programs.

Without a key the gateway listens on loopback, where a web page in a browser could still reach it: so the Host
must be a loopback name and an Origin, if there is one, too, unless `cors` lists it. Decided on scope["path"], never on
the Host's URL.
"""

import hmac
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from starlette.types import Scope

from gateway.config.load import is_loopback
from gateway.context import Headers
from gateway.errors import ApiError, InvalidKey

_OPEN_PATHS: Final = frozenset({"/health", "/ready"})
_KEYS: Final = (b"authorization", b"x-api-key", b"api-key")


class Forbidden(ApiError, status=403, type="invalid_request_error", code="not_local"):
    """A request that did not come from a program on this machine."""


class Access:
    """Who is let in. origins: web pages that are served as this machine's programs are. keeps: whether the client's own
    keys are found, for upstreams that take them."""

    def __init__(self, key: str, *, origins: Sequence[str] = (), keeps: bool = False) -> None:
        self._key = key.encode()
        self._origins = frozenset(origin.encode() for origin in origins)
        self._keeps = keeps

    def admit(self, path: str, headers: dict[bytes, bytes]) -> Headers | None:
        """The client's own keys, where they are kept. Raises InvalidKey or Forbidden."""
        if path in _OPEN_PATHS:
            return None
        if self._key:
            self._check_key(headers)
        else:
            origin = headers.get(b"origin")
            listed = origin is not None and not self._origins.isdisjoint((origin, b"*"))
            if not _is_local(headers.get(b"host", b"localhost"), None if listed else origin):
                raise Forbidden(
                    "Without an access key only programs on this machine are served; set access_key to serve others."
                )
        return self._clients_own(headers) if self._keeps else None

    def _check_key(self, headers: dict[bytes, bytes]) -> None:
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


@lru_cache(maxsize=256)
def _is_local(host: bytes, origin: bytes | None) -> bool:
    """Whether a Host, and an Origin that is no listed one, are this machine's."""
    for one in (host, *([origin.partition(b"://")[2]] if origin else [])):
        name = one.decode("latin-1").lower()
        if not name.endswith("]"):
            head, colon, port = name.rpartition(":")
            name = head if colon and port.isdecimal() else name
        if not is_loopback(name):
            return False
    return True
