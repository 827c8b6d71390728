"""The wire formats that are served, and which of them a path has."""

from collections.abc import Mapping
from typing import Final

from gateway.protocols.chat_answers import CHAT
from gateway.protocols.wire import Wire

WIRES: Final = (CHAT,)
_BY_PATH: Final[Mapping[str, Wire]] = {wire.path: wire for wire in WIRES}


def wire_at(path: str) -> Wire | None:
    """The wire format that a path is served in, with or without `/v1` and a slash at its end."""
    return _BY_PATH.get(path.removeprefix("/v1").rstrip("/"))
