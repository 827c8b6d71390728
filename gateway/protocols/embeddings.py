"""POST /v1/embeddings and legacy POST /v1/completions: rules read the texts of a list; nothing is answered here.

Texts are redacted in place. Tokens in place of text cannot be read. Answers of embeddings are vectors, which nothing
reads but for their usage.
"""

import base64
import re
import struct
import time
from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from gateway.errors import BadRequest
from gateway.protocols import chat, json, sse, wire
from gateway.protocols.chat_answers import CHAT, ChatAnswers, ChatReplies, ChatStream, used

_ELSEWHERE: Final = {
    "messages": "/v1/chat/completions or /v1/messages",
    "input": "/v1/embeddings or /v1/responses",
    "prompt": "/v1/completions",
}
"""The texts of other paths."""
_SUFFIX: Final = "suffix"
"""What a legacy completion is to end before."""
_MOST_CHOICES: Final = 128
_NUMBER: Final = re.compile(rb"\s*[-\d]")
_DIMENSIONS: Final = 8
_WORD: Final = re.compile(r"\s*\S+|\s+$")
_CHOICE_KEYS: Final = frozenset({"text", "index", "logprobs", "finish_reason", "stop_reason"})


class _Body(Struct):
    """The fields that are read of both; all others stay in the bytes that are forwarded."""

    model: str
    stream: bool | None = None
    stream_options: chat.StreamOptions | None = None
    n: int | None = None


_decode_body: Final = msgspec.json.Decoder(_Body).decode


class TextRequests(wire.RequestReader):
    """Reads bodies with a text, or a list of texts, in one field."""

    def __init__(self, field: str, *, streams: bool) -> None:
        self._field = field
        self._streams = streams
        self._others = _ELSEWHERE.keys() - {field}
        self._known = frozenset({*_Body.__struct_fields__, _SUFFIX, *_ELSEWHERE})
        self.understood = wire.Understood(harmless=frozenset(), read=frozenset({"model", field}), values={}, shape=())

    def parse(self, served: wire.Wire, body: bytes) -> wire.Request:
        json.bounded(body)
        view, fields = json.decoded(_decode_body, body), json.decode_fields(body)
        model = wire.checked_model(view.model, fields, self._known)
        for name in self._others & fields.keys():
            raise BadRequest(f"{name}: {_ELSEWHERE[name]} takes it; send {self._field} here", param=name)
        if self._field not in fields:
            raise BadRequest(f"{self._field}: is missing", param=self._field)
        if view.n is not None and not 1 <= view.n <= _MOST_CHOICES:
            raise BadRequest(f"n: must be between 1 and {_MOST_CHOICES}", param="n")
        return wire.Request(
            wire=served,
            model=model,
            stream=self._streams and bool(view.stream),
            wants_usage=bool(view.stream_options and view.stream_options.include_usage),
            choices=(view.n or 1) * len(items_of(fields[self._field])) if self._streams else 1,
            fields=fields,
            path=served.path,
        )

    def turns(self, fields: wire.Fields) -> list[wire.Turn]:
        """One turn, the user's. An item that is an object is some servers' own, a picture say: its texts are read."""
        texts: dict[json.Path, str] = {}
        unread = False
        for name in (name for name in (self._field, _SUFFIX) if name in fields):
            try:
                value = json.strict_json(bytes(fields[name]))
                texts |= _texts(value, (name,))
            except (ValueError, RecursionError) as error:
                raise BadRequest(f"{name}: {error}", param=name) from error
            items = value if isinstance(value, list) and not _are_tokens(value) else [value]
            for place, item in enumerate(items):
                if not (isinstance(item, str | dict) or _are_tokens(item) or (name == _SUFFIX and item is None)):
                    where = f"{name}[{place}]" if items is value else name
                    raise BadRequest(f"{where}: must be a text or a list of tokens", param=where)
            unread = unread or not all(isinstance(item, str | None) for item in items)
        return [wire.Turn("user", tuple(texts.values()), unread, tuple(texts))]

    def without(self, fields: wire.Fields, places: Collection[int]) -> wire.Fields:  # noqa: ARG002 - there is one turn
        return fields

    def requested(self, fields: wire.Fields) -> wire.RequestedFormat | wire.Unsupported:  # noqa: ARG002
        return wire.Unsupported(
            wire.UnsupportedReason.MODALITY, "embeddings and legacy completions are not answered here"
        )

    def size(self, fields: wire.Fields) -> tuple[int, bool]:
        return sum(len(fields[name]) for name in (self._field, _SUFFIX) if name in fields), False

    def asking_usage(self, fields: wire.Fields) -> wire.Fields:
        return CHAT.requests.asking_usage(fields)


def items_of(raw: Raw) -> list[Raw]:
    """What a field has of texts, or of lists of tokens. Raises BadRequest where it can be neither."""
    if not bytes(raw).startswith(b"["):
        return [raw]
    items = json.decode_list(raw)
    return [raw] if items and _NUMBER.match(items[0]) else items


def _are_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(token) is int for token in value)


def _texts(value: object, path: json.Path) -> Iterator[tuple[json.Path, str]]:
    if isinstance(value, str) and value:
        yield path, value
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(inner, (*path, key))


class VectorAnswers(ChatAnswers):
    """Reads upstreams' embeddings: their usage alone."""

    def meta(self, data: bytes) -> wire.Meta:
        """As of AnswerReader. Nothing is generated."""
        meta = super().meta(data)
        usage = meta.usage
        return wire.Meta(
            meta.model, usage and wire.Usage(usage.given, usage.generated or 0, usage.cached, usage.written)
        )

    def choices(self, data: bytes, *, stream: bool) -> Iterator[wire.ChoicePart]:  # noqa: ARG002
        return iter(())

    def texts(self, data: bytes, part: int) -> wire.TextItems:  # noqa: ARG002
        return wire.TextItems()


class _Choices(Struct):
    choices: list[dict[str, Any]] | None = None


_decode_choices: Final = msgspec.json.Decoder(_Choices).decode


class CompletionAnswers(ChatAnswers):
    """Reads upstreams' legacy completions. The events of a stream end as chat's do."""

    holders = ("text", "text")

    def choices(self, data: bytes, *, stream: bool) -> Iterator[wire.ChoicePart]:  # noqa: ARG002
        for item in self.texts(data, 0).items:
            yield wire.ChoicePart(item.choice, item.text)

    def texts(self, data: bytes, part: int) -> wire.TextItems:  # noqa: ARG002
        items: list[wire.TextItem] = []
        repeats: list[tuple[int, json.Path]] = []
        incomplete = False
        for place, choice in enumerate(json.of_upstream(_decode_choices, data).choices or ()):
            text, index = choice.get("text"), choice.get("index")
            number, path = index if isinstance(index, int) else place, ("choices", place)
            if isinstance(text, str) and text:
                items.append(wire.TextItem(number, "text", ("text",), (*path, "text"), text))
            if choice.get("logprobs"):
                repeats.append((number, (*path, "logprobs")))
            others = json.leaves([choice[key] for key in choice.keys() - _CHOICE_KEYS])
            incomplete |= any(isinstance(leaf, str) and leaf for leaf in others)
        return wire.TextItems(items, repeats, incomplete)

    def stream(self) -> ChatStream:
        return ChatStream(has_content=_has_text, cut=_choice("", 0, "content_filter"))


def _has_text(event: bytes) -> bool:
    return b'"text":' in event and b'"text":""' not in event


class ListReplies(ChatReplies):
    """Writes the echo's answers: legacy completions, and small vectors that follow from the text."""

    def whole(self, request: wire.Request, content: wire.ReplyContent, name: str, counts: wire.TokenCounts) -> bytes:
        if request.wire.answered:
            choices = [_choice(content.text, index, "stop") for index in range(request.choices)]
            return json.encode({**_frame(request, name), "choices": choices, "usage": used(counts)})
        as_text = bytes(request.fields.get("encoding_format", b"")) == b'"base64"'
        data: list[dict[str, Any]] = []
        for index, item in enumerate(items_of(request.fields["input"])):
            vector = [byte / 128 - 1 for byte in sha256(bytes(item)).digest()[:_DIMENSIONS]]
            packed = base64.b64encode(struct.pack(f"<{_DIMENSIONS}f", *vector)).decode() if as_text else vector
            data.append({"object": "embedding", "index": index, "embedding": packed})
        usage = {"prompt_tokens": counts.given, "total_tokens": counts.given}
        return json.encode({"object": "list", "data": data, "model": request.model, "usage": usage})

    def events(
        self, request: wire.Request, content: wire.ReplyContent, name: str, counts: wire.TokenCounts
    ) -> Iterator[bytes]:
        """As of ReplyWriter. Of embeddings there are no streams."""
        frame = _frame(request, name)
        for text, finish in (*((word, None) for word in _WORD.findall(content.text)), ("", "stop")):
            for index in range(request.choices):
                yield sse.event(json.encode({**frame, "choices": [_choice(text, index, finish)]}))
        if request.wants_usage:
            yield sse.event(json.encode({**frame, "choices": [], "usage": used(counts)}))
        yield sse.DONE


def _frame(request: wire.Request, name: str) -> dict[str, Any]:
    return {"id": f"cmpl-{name}", "object": "text_completion", "created": int(time.time()), "model": request.model}


def _choice(text: str, index: int, finish: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


EMBEDDINGS: Final = wire.Wire(
    endpoint="embeddings",
    path="/embeddings",
    requests=TextRequests("input", streams=False),
    answers=VectorAnswers(),
    replies=ListReplies(),
    answered=False,
    local=False,
)
COMPLETIONS: Final = wire.Wire(
    endpoint="completions",
    path="/completions",
    requests=TextRequests("prompt", streams=True),
    answers=CompletionAnswers(),
    replies=ListReplies(),
    local=False,
)
