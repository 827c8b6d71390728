"""POST /v1/chat/completions, the answers: those of upstreams, whole and as events, and those that are made here."""

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType, structs

from gateway.errors import ApiError, error_body
from gateway.protocols import chat, sse, wire
from gateway.protocols.chat_requests import ChatRequests
from gateway.protocols.json import Path, decode_fields, encode, leaves, of_upstream

_READ: Final = frozenset({*chat.UpstreamMessage.__struct_fields__, "annotations"})
_NO_TEXT: Final = re.compile(r"type|(?:.*_)?id")
"""Fields of an annotation that are no text for a reader: its type, and ids that it refers to."""
_EMPTY: Final = frozenset({b"null", b"[]", b"{}", b'""'})
_TEXTS: Final = ("content", "refusal", "reasoning_content", "reasoning")
_CONTENT: Final = (*_TEXTS, "tool_calls", "function_call")
_CONTENT_MARKS: Final = tuple(f'"{name}":'.encode() for name in _CONTENT)
_DONE: Final = b"[DONE]"
_LAST_EVENTS: Final = 5
"""Events from the one with the finish reason to the last, usage and [DONE] among them."""
_CUT: Final = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "content_filter"}
_NOTHING: Final = wire.EventFacts()


class ChatAnswers(wire.AnswerReader):
    """Reads chat completions of upstreams."""

    def meta(self, data: bytes) -> wire.Meta:
        return _meta(of_upstream(chat.decode_meta, data))

    def choices(self, data: bytes, *, stream: bool) -> Iterator[wire.ChoicePart]:
        for place, choice in enumerate(of_upstream(chat.decode_answer, data).choices or ()):
            message = (choice.delta or choice.message) if stream else (choice.message or choice.delta)
            part = wire.ChoicePart(_number(choice, place), finish=choice.finish_reason or "")
            if message is not None:
                part.content, part.refused = message.content or "", bool(message.refusal)
                calls = [
                    (call.index if call.index is not None else number, call.function)
                    for number, call in enumerate(message.tool_calls or ())
                ]
                named = [(number, call) for number, call in [*calls, (0, message.function_call)] if call is not None]
                part.calls = [(number, call.name or "", call.arguments or "") for number, call in named]
            yield part

    def texts(self, data: bytes, part: int) -> wire.TextItems:
        keys = of_upstream(chat.decode_choices, data)
        items: list[wire.TextItem] = []
        repeats: list[tuple[int, Path]] = []
        for place, choice in enumerate(of_upstream(chat.decode_answer, data).choices or ()):
            number, own = _number(choice, place), (keys.choices or [])[place]
            for holder, kind, path, text in (*_items(choice), *_annotations(own, part)):
                arguments = path[-1] == "arguments"
                items.append(wire.TextItem(number, holder, kind, ("choices", place, holder, *path), text, arguments))
            if bytes(own.logprobs) not in _EMPTY:
                repeats.append((number, ("choices", place, "logprobs")))
        return wire.TextItems(items, repeats, _holds_more(keys))

    def stream(self) -> "ChatStream":
        return ChatStream()


class ChatStream(wire.StreamReader):
    """Reads the chunks of one stream. has_content: whether an event has any; cut: the last choice where a rule cuts."""

    def __init__(self, *, has_content: Callable[[bytes], bool] | None = None, cut: Any = _CUT) -> None:
        self._has_content, self._cut = has_content or _has_content, cut
        self._latest: deque[bytes] = deque(maxlen=_LAST_EVENTS)

    def read(self, event: bytes, *, awaiting: bool) -> wire.EventFacts:
        self._latest.append(event)
        content = awaiting and self._has_content(event)
        error = b'"error"' in event and has_error(event)
        answer = None
        if b'"usage"' in event and b'"usage":null' not in event:
            answer = _decoded(event)
        if answer is None or answer.usage is None:
            return wire.EventFacts(content, error) if content or error else _NOTHING
        return wire.EventFacts(content, error, _meta(answer), not answer.choices)

    def ended(self) -> bool:
        """Whether [DONE] or a finish reason has come."""
        return any(map(_finishes, self._latest))

    def failed(self, error: ApiError) -> bytes:
        """An error event, unless [DONE] has passed."""
        ended = bool(self._latest) and sse.data_of(self._latest[-1]) == _DONE
        return b"" if ended else sse.event(error_body(error))

    def cut(self) -> bytes:
        """A chunk that ends with `content_filter`, and [DONE]."""
        frame: dict[str, Raw] = {}
        for data in filter(None, map(sse.data_of, self._latest)):
            with suppress(msgspec.DecodeError, RecursionError):
                frame |= of_upstream(decode_fields, data)
        kept = {name: frame[name] for name in ("id", "object", "created", "model") if name in frame}
        return sse.event(encode({**kept, "choices": [self._cut]})) + sse.DONE


def has_error(event: bytes) -> bool:
    """Whether an event has an error: null, false and what is empty are none, which some servers have in every event."""
    try:
        error = of_upstream(decode_fields, sse.data_of(event) or b"{}").get("error")
        return error is not None and bool(of_upstream(msgspec.json.decode, bytes(error)))
    except (msgspec.DecodeError, RecursionError):
        return False


def _finishes(event: bytes) -> bool:
    if sse.data_of(event) == _DONE:
        return True
    answer = _decoded(event) if b'"finish_reason"' in event else None
    return any(choice.finish_reason for choice in (answer.choices if answer else None) or ())


def _has_content(event: bytes) -> bool:
    if not any(mark in event for mark in _CONTENT_MARKS):
        return False
    answer = _decoded(event)
    deltas = [choice.delta for choice in (answer.choices if answer else None) or () if choice.delta]
    return any(getattr(delta, name) for delta in deltas for name in _CONTENT)


def _decoded(event: bytes) -> chat.UpstreamAnswer | None:
    data = sse.data_of(event)
    if data is None:
        return None
    try:
        return of_upstream(chat.decode_answer, data)
    except (msgspec.DecodeError, RecursionError):
        return None


def _meta(meta: chat.UpstreamMeta) -> wire.Meta:
    return wire.Meta(meta.model, _usage(meta.usage), tier=meta.service_tier)


def _usage(usage: chat.ReportedUsage | None) -> wire.Usage | None:
    if usage is None:
        return None
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details is not None else 0
    return wire.Usage(usage.prompt_tokens, usage.completion_tokens, cached)


def _number(choice: chat.UpstreamChoice, place: int) -> int:
    return choice.index if choice.index is not None else place


def _items(choice: chat.UpstreamChoice) -> Iterator[tuple[str, wire.Kind, Path, str]]:
    for holder, message in (("message", choice.message), ("delta", choice.delta)):
        if message is None:
            continue
        for name in _TEXTS:
            if text := getattr(message, name):
                yield holder, (name,), (name,), text
        for place, call in enumerate(message.tool_calls or ()):
            number = call.index if call.index is not None else place
            if call.function is not None and call.function.arguments:
                path: Path = ("tool_calls", place, "function", "arguments")
                yield holder, ("arguments", number), path, call.function.arguments
            if call.custom is not None and call.custom.input:
                yield holder, ("custom", number), ("tool_calls", place, "custom", "input"), call.custom.input
        if message.function_call is not None and message.function_call.arguments:
            yield holder, ("function_call",), ("function_call", "arguments"), message.function_call.arguments


def _annotations(choice: chat.UpstreamKeys, part: int) -> Iterator[tuple[str, wire.Kind, Path, str]]:
    """Every text of a choice's annotations (titles and addresses of sources, say), each by itself. Raises
    msgspec.DecodeError and RecursionError."""
    for holder, message in (("message", choice.message), ("delta", choice.delta)):
        values: list[tuple[Path, object]] = []
        if message and "annotations" in message:
            values.append((("annotations",), of_upstream(msgspec.json.decode, bytes(message["annotations"]))))
        while values:
            path, value = values.pop()
            if isinstance(value, str) and value:
                yield holder, (part, *path), path, value
            if isinstance(value, list):
                values += [((*path, place), inner) for place, inner in enumerate(value)][::-1]
            if isinstance(value, dict):
                values += [((*path, key), inner) for key, inner in value.items() if not _NO_TEXT.fullmatch(key)][::-1]


def _holds_more(answer: chat.UpstreamChoices) -> bool:
    """Whether a message has text (audio's, say) in a field that is not read. Raises msgspec.DecodeError and
    RecursionError."""
    messages = [part for choice in answer.choices or () for part in (choice.message, choice.delta) if part]
    values = (value for message in messages for key, value in message.items() if key not in _READ)
    decoded = (of_upstream(msgspec.json.decode, bytes(value)) for value in values)
    return any(isinstance(leaf, str) and leaf for value in decoded for leaf in leaves(value))


class ChatReplies(wire.ReplyWriter):
    """Writes chat completions. A block ends with `content_filter`. Where the client parses a schema it is a refusal
    that ends with `stop`, as OpenAI's do; OpenAI's client reads no message that ends otherwise."""

    def whole(self, request: wire.Request, content: wire.ReplyContent, name: str, counts: wire.TokenCounts) -> bytes:
        message, finish = _message(content)
        logprobs = _logprobs(content)
        choices = [
            chat.AnswerChoice(_with_ids(message, f"call_{name}_{index}"), finish, index, logprobs)
            for index in range(request.choices)
        ]
        return encode(chat.ChatCompletion("chatcmpl-" + name, int(time.time()), request.model, choices, used(counts)))

    def events(
        self, request: wire.Request, content: wire.ReplyContent, name: str, counts: wire.TokenCounts
    ) -> Iterator[bytes]:
        (message, finish), answer_id, created = _message(content), "chatcmpl-" + name, int(time.time())
        messages = [_with_ids(message, f"call_{name}_{index}") for index in range(request.choices)]
        choices_of_events = (
            [structs.replace(choice, index=index) for choice in _deltas(each, finish, _logprobs(content))]
            for index, each in enumerate(messages)
        )
        pending: UnsetType | None = None if request.wants_usage else UNSET
        for part in zip(*choices_of_events, strict=True):
            yield sse.event(encode(chat.Chunk(answer_id, created, request.model, list(part), pending)))
        if request.wants_usage:
            yield sse.event(encode(chat.Chunk(answer_id, created, request.model, [], used(counts))))
        yield sse.DONE

    def error_event(self, error: ApiError, request_id: str) -> bytes:  # noqa: ARG002 - the id is in a header
        return sse.event(error_body(error))


def _message(content: wire.ReplyContent) -> tuple[chat.AnswerMessage, str]:
    """The message, and how it ends. A function that the request names ends with `stop`, as OpenAI's do; one that it
    only requires, with `tool_calls`."""
    call = content.call
    if call is None:
        if content.refusal:
            return chat.AnswerMessage(refusal=content.text), "stop"
        return chat.AnswerMessage(content=content.text), "content_filter" if content.blocked else "stop"
    function = chat.AnswerFunction(content.text, call.name)
    if call.legacy:
        return chat.AnswerMessage(function_call=function), "stop"
    message = chat.AnswerMessage(tool_calls=[chat.AnswerCall(type="function", function=function)])
    return message, "stop" if call.named else "tool_calls"


def _logprobs(content: wire.ReplyContent) -> chat.Logprobs | None:
    return None if content.logprobs is None else chat.Logprobs(list(content.logprobs))


def used(counts: wire.TokenCounts) -> chat.ChatUsage:
    return chat.ChatUsage(counts.given, counts.generated, counts.given + counts.generated)


def _with_ids(message: chat.AnswerMessage, call_id: str) -> chat.AnswerMessage:
    """The message of one choice with a call id of its own: a client that keeps several choices answers each call."""
    if not message.tool_calls:
        return message
    return structs.replace(message, tool_calls=[structs.replace(message.tool_calls[0], id=call_id)])


def _deltas(message: chat.AnswerMessage, finish: str, logprobs: chat.Logprobs | None) -> Iterator[chat.ChunkChoice]:
    call = message.tool_calls[0] if message.tool_calls else None
    function = call.function if call else message.function_call or None
    yield chat.ChunkChoice(chat.Delta(role="assistant", content=None if function else ""))
    if function is None:
        yield chat.ChunkChoice(chat.Delta(content=message.content, refusal=message.refusal), logprobs=logprobs)
    else:
        head, tail = chat.AnswerFunction("", function.name), chat.AnswerFunction(function.arguments)
        if call is None:
            deltas = [chat.Delta(function_call=head), chat.Delta(function_call=tail)]
        else:
            calls = [chat.AnswerCall(head, call.id, call.type, index=0), chat.AnswerCall(tail, index=0)]
            deltas = [chat.Delta(tool_calls=[each]) for each in calls]
        yield from map(chat.ChunkChoice, deltas)
    yield chat.ChunkChoice(chat.Delta(), finish)


CHAT: Final = wire.Wire(
    endpoint="chat.completions",
    path="/chat/completions",
    requests=ChatRequests(),
    answers=ChatAnswers(),
    replies=ChatReplies(),
)
