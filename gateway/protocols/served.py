"""The wire formats that are served, and which of them a path has."""

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.protocols.chat_answers import CHAT
from gateway.protocols.embeddings import COMPLETIONS, EMBEDDINGS
from gateway.protocols.json import decode_fields
from gateway.protocols.messages_answers import MESSAGES, TOKENS
from gateway.protocols.responses_answers import RESPONSES
from gateway.protocols.wire import Wire

WIRES: Final = (CHAT, RESPONSES, MESSAGES, TOKENS, COMPLETIONS, EMBEDDINGS)
_BY_PATH: Final[Mapping[str, Wire]] = {
    f"{base}{wire.path}{end}": wire for wire in WIRES for base in ("", "/v1") for end in ("", "/")
}
_MESSAGES_ALONE: Final = frozenset({"system", "stop_sequences", "output_config", "output_format"})
"""Fields of Anthropic's that no other format has."""


def wire_at(path: str) -> Wire | None:
    """The wire format that a path is served in, with or without `/v1` and a slash at its end."""
    return _BY_PATH.get(path)


def wire_of(body: bytes) -> Wire:
    """The wire format that a body without its path is most likely in."""
    try:
        fields = decode_fields(body)
    except (msgspec.DecodeError, RecursionError):
        return CHAT
    if "messages" in fields:
        return CHAT if _MESSAGES_ALONE.isdisjoint(fields) else MESSAGES
    # a prompt of Responses is an object
    legacy = "input" not in fields and bytes(fields.get("prompt", b"{"))[:1] != b"{"
    return COMPLETIONS if legacy else RESPONSES if "input" in fields else CHAT
