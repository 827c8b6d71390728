"""POST /v1/messages, the answers: those of upstreams, whole and as events, and those that are made here. And
/v1/messages/count_tokens, whose answer is a number."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, structs

from gateway.errors import ApiError
from gateway.protocols import sse, wire
from gateway.protocols.json import Path, encode, of_upstream
from gateway.protocols.messages_requests import MessagesRequests, strings, unread

_FINISH: Final = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length"}
"""How an answer ends, in chat's words."""
_DELTAS: Final = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_KINDS: Final = {"partial_json": "input"}
_ENDS: Final = frozenset({"stop_reason", "stop_sequence"})
_NO_TEXTS: Final = frozenset({"ping", "error", "content_block_stop", "message_stop"})
_NOTHING: Final = wire.EventFacts()
_ERRORS: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class ReportedTokens(Struct):
    """`usage`. input_tokens: without those that a cache had or got."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    service_tier: str | None = None


class UpstreamBlock(Struct):
    """A block, or a piece of one."""

    type: str = ""
    text: str | None = None
    name: str | None = None
    input: Raw = Raw(b"{}")
    partial_json: str | None = None
    stop_reason: str | None = None


class UpstreamReply(Struct):
    """A whole message, or an event of a stream."""

    type: str = ""
    model: str | None = None
    usage: ReportedTokens | None = None
    content: list[UpstreamBlock] | None = None
    stop_reason: str | None = None
    message: "UpstreamReply | None" = None
    index: int = 0
    content_block: UpstreamBlock | None = None
    delta: UpstreamBlock | None = None


_decode: Final = msgspec.json.Decoder(UpstreamReply).decode
_decode_any: Final = msgspec.json.Decoder().decode


class MessagesAnswers(wire.AnswerReader):
    """Reads messages of upstreams."""

    def meta(self, data: bytes) -> wire.Meta:
        return _meta(of_upstream(_decode, data))

    def choices(self, data: bytes, *, stream: bool) -> Iterator[wire.ChoicePart]:
        view = of_upstream(_decode, data)
        blocks = list(enumerate(view.content or ()))
        if stream:
            blocks = [(view.index, block) for block in (view.content_block, view.delta) if block is not None]
        reason = view.stop_reason or (view.delta.stop_reason if view.delta else None) or ""
        part = wire.ChoicePart(0, "".join([block.text or "" for _, block in blocks]), reason == "refusal")
        part.finish = _FINISH.get(reason, reason)
        called = [(number, block) for number, block in blocks if block.type in ("tool_use", "input_json_delta")]
        part.calls = [(number, block.name or "", _arguments(block, stream=stream)) for number, block in called]
        if blocks or reason:
            yield part

    def texts(self, data: bytes, part: int) -> wire.TextItems:
        """As of AnswerReader. Thinking is signed."""
        value = of_upstream(_decode_any, data)
        if not isinstance(value, dict):
            return wire.TextItems(incomplete=True)
        if value.get("type") in _NO_TEXTS:
            return wire.TextItems(closes=value["type"] == "content_block_stop")
        holder = "message" if isinstance(value.get("content"), list) else "delta"
        items: list[wire.TextItem] = []
        incomplete = False
        for path, number, block in _blocks_of(value):
            incomplete = incomplete or unread(block)
            for at, text in strings(block, path):
                key = at[len(path) :]
                items.append(wire.TextItem(0, holder, (number, *key), at, text, signed=key == ("thinking",)))
        delta = value.get("delta")
        name = _DELTAS.get(str(delta.get("type"))) if isinstance(delta, dict) else None
        if isinstance(delta, dict) and name is not None and isinstance(delta.get(name), str):
            kind, text = (value.get("index", 0), _KINDS.get(name, name)), delta[name]
            arguments = name == "partial_json"
            items += (
                [wire.TextItem(0, holder, kind, ("delta", name), text, arguments, name == "thinking")] if text else []
            )
        elif isinstance(delta, dict):
            others = list(strings({key: delta[key] for key in delta if key not in _ENDS}, ("delta",)))
            items += [wire.TextItem(0, holder, (part, *at), at, text) for at, text in others]
            incomplete = incomplete or (bool(others) and delta.get("type") not in (None, "citations_delta"))
        signature = isinstance(delta, dict) and delta.get("type") == "signature_delta" and not items
        return wire.TextItems(items, incomplete=incomplete, closes=signature)

    def stream(self) -> "MessagesStream":
        return MessagesStream()


class MessagesStream(wire.StreamReader):
    """Reads the events of one stream. open: the block that has begun and not ended."""

    def __init__(self) -> None:
        self._meta = wire.Meta()
        self._usage = _used(0, None)
        self._open: int | None = None
        self._ended = self._over = False

    def read(self, event: bytes, *, awaiting: bool) -> wire.EventFacts:
        try:
            view = of_upstream(_decode, sse.data_of(event) or b"{}")
        except (msgspec.DecodeError, RecursionError):
            return _NOTHING
        if view.type == "content_block_delta":
            return wire.EventFacts(content=True) if awaiting else _NOTHING
        if view.type == "content_block_start":
            self._open = view.index
        elif view.type == "content_block_stop":
            self._open = None
        elif view.type == "message_stop":
            self._ended = self._over = True
        elif view.type == "error":
            self._over = True
            return wire.EventFacts(error=True)
        elif view.type in ("message_start", "message_delta"):
            self._ended = self._ended or bool(view.delta and view.delta.stop_reason)
            self._meta = self._meta.then(_meta(view))
            reported = structs.asdict((view.message or view).usage or ReportedTokens())
            self._usage |= {key: count for key, count in reported.items() if count is not None}
            return wire.EventFacts(meta=self._meta)
        return _NOTHING

    def ended(self) -> bool:
        """Whether a reason to stop has come."""
        return self._ended

    def failed(self, error: ApiError) -> bytes:
        """An error event, unless the last event has passed."""
        return b"" if self._over else _event("error", **_error(error, None))

    def cut(self) -> bytes:
        """The events that end the stream as a refusal, with the latest usage that the upstream reported; none where its
        last event has passed."""
        closing = [] if self._open is None else [_event("content_block_stop", index=self._open)]
        closing += _ending("refusal", None, self._usage)
        return b"" if self._over else b"".join(closing)


def _blocks_of(value: Mapping[str, Any]) -> Iterator[tuple[Path, int, Any]]:
    """The blocks of a whole answer or an event, and what it says of its end: by path, with their number."""
    message, number = value.get("message"), value.get("index", 0)
    if isinstance(message, dict) and isinstance(message.get("content"), list):
        yield from (((*("message", "content"), place), place, each) for place, each in enumerate(message["content"]))
    if isinstance(value.get("content"), list):
        yield from ((("content", place), place, each) for place, each in enumerate(value["content"]))
    if "content_block" in value:
        yield ("content_block",), number, value["content_block"]
    if isinstance(value.get("stop_details"), dict):
        yield ("stop_details",), -1, {**value["stop_details"], "type": "text"}


def _meta(view: UpstreamReply) -> wire.Meta:
    """The model and the usage; not a stream's first count of what it generates, for the last one is all of it."""
    message = view.message or view
    tokens = message.usage
    if tokens is None:
        return wire.Meta(message.model)
    read, written, given = tokens.cache_read_input_tokens, tokens.cache_creation_input_tokens, tokens.input_tokens
    given = None if given is None else given + (read or 0) + (written or 0)
    usage = wire.Usage(given, None if view.message else tokens.output_tokens, read, written)
    return wire.Meta(message.model, usage, tier=tokens.service_tier)


def _arguments(block: UpstreamBlock, *, stream: bool) -> str:
    """A tool's input, or an event's piece of it: its pieces come after an empty one."""
    return block.partial_json or "" if stream else bytes(block.input).decode(errors="replace")


class MessagesReplies(wire.ReplyWriter):
    """Writes messages. A block is a sentence that ends as any answer does, since Claude Code puts a sentence of its own
    in a refusal's place. Where the client parses a schema it is a refusal without text, which would be parsed."""

    def whole(self, request: wire.Request, content: wire.ReplyContent, name: str, counts: wire.TokenCounts) -> bytes:
        return encode(_message(request, content, name, counts))

    def events(
        self, request: wire.Request, content: wire.ReplyContent, name: str, counts: wire.TokenCounts
    ) -> Iterator[bytes]:
        message = _message(request, content, name, counts)
        usage = {**message["usage"], "output_tokens": 0}
        begun = {**message, "content": [], "stop_reason": None, "stop_details": None, "usage": usage}
        yield _event("message_start", message=begun)
        for block in message["content"]:
            empty = {**block, "input": {}} if content.call else {**block, "text": ""}
            yield _event("content_block_start", index=0, content_block=empty)
            yield _PING
            kind, key = ("input_json_delta", "partial_json") if content.call else ("text_delta", "text")
            yield _event("content_block_delta", index=0, delta={"type": kind, key: content.text})
            yield _event("content_block_stop", index=0)
        yield from _ending(message["stop_reason"], message["stop_details"], _used(counts.generated, counts.given))

    def error(self, error: ApiError, request_id: str) -> bytes:
        return encode(_error(error, request_id))

    def error_event(self, error: ApiError, request_id: str) -> bytes:
        return _event("error", **_error(error, request_id))


def _message(request: wire.Request, content: wire.ReplyContent, name: str, counts: wire.TokenCounts) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": content.text, "citations": None}]
    reason, details = "end_turn", None
    if content.call is not None:
        caller = {"type": "direct"}
        call = {"id": f"toolu_{name}", "name": content.call.name, "input": Raw(content.text.encode()), "caller": caller}
        blocks, reason = [{"type": "tool_use", **call}], "tool_use"
    elif content.refusal:
        blocks, reason = [], "refusal"
        details = {"type": "refusal", "category": None, "explanation": content.text}
    return {
        "id": f"msg_{name}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": blocks,
        "stop_reason": reason,
        "stop_sequence": None,
        "stop_details": details,
        "container": None,
        "usage": {
            **_used(counts.generated, counts.given),
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "inference_geo": None,
            "service_tier": "standard",
        },
    }


def _used(generated: int, given: int | None) -> dict[str, Any]:
    """Tokens as both kinds of events have them; given is None where it was reported before."""
    cached = None if given is None else 0
    return {
        "input_tokens": given,
        "output_tokens": generated,
        "cache_creation_input_tokens": cached,
        "cache_read_input_tokens": cached,
        "output_tokens_details": None,
        "server_tool_use": None,
    }


def _ending(reason: str, details: Any, usage: Mapping[str, Any]) -> list[bytes]:
    delta = {"stop_reason": reason, "stop_sequence": None, "stop_details": details, "container": None}
    return [_event("message_delta", delta=delta, usage=usage), _event("message_stop")]


def _error(error: ApiError, request_id: str | None) -> dict[str, Any]:
    kind = _ERRORS.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": error.message}, "request_id": request_id}


def _event(kind: str, /, **fields: Any) -> bytes:
    return sse.named(kind, encode({"type": kind} | fields))


_PING: Final = _event("ping")


class CountedTokens(MessagesAnswers):
    """Reads counts of tokens, which cost nothing and have no texts."""

    def meta(self, data: bytes) -> wire.Meta:  # noqa: ARG002 - a count is a count of nothing
        return wire.Meta(None, wire.Usage(0, 0))

    def texts(self, data: bytes, part: int) -> wire.TextItems:  # noqa: ARG002
        return wire.TextItems()


class CountReplies(MessagesReplies):
    """Writes counts of tokens."""

    def whole(self, request: wire.Request, content: wire.ReplyContent, name: str, counts: wire.TokenCounts) -> bytes:  # noqa: ARG002
        return encode({"input_tokens": counts.given})


MESSAGES: Final = wire.Wire(
    endpoint="messages",
    path="/messages",
    requests=MessagesRequests(),
    answers=MessagesAnswers(),
    replies=MessagesReplies(),
    heartbeat=_PING,
    passes=b"anthropic-",
    id_header=b"request-id",
)
TOKENS: Final = wire.Wire(
    endpoint="messages.count_tokens",
    path="/messages/count_tokens",
    requests=MessagesRequests(counts=True),
    answers=CountedTokens(),
    replies=CountReplies(),
    passes=b"anthropic-",
    id_header=b"request-id",
    answered=False,
    local=False,
)
