"""POST /v1/responses, the answers: those of upstreams, whole and as events, and those that are made here.

In a stream the deltas say the text; what spells it out again (`.done`, parts, items, the whole response) follows them.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from gateway.context import new_request_id
from gateway.errors import ApiError
from gateway.protocols import sse, wire
from gateway.protocols.json import Path, decode_fields, decode_list, encode, of_upstream
from gateway.protocols.responses_requests import CALLS, ResponsesHistory, ResponsesRequests, texts_of

_STEMS: Final[Mapping[str, tuple[str, str]]] = {
    "response.output_text": ("content", "text"),
    "response.refusal": ("content", "refusal"),
    "response.reasoning_text": ("content", "text"),
    "response.reasoning_summary_text": ("summary", "text"),
    "response.function_call_arguments": ("", "arguments"),
    "response.mcp_call_arguments": ("", "arguments"),
    "response.custom_tool_call_input": ("", "input"),
    "response.code_interpreter_call_code": ("", "code"),
}
"""By an event's type without `.delta` or `.done`: the list of the item that has the text's part, and the text's key."""
_DEFAULTS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("instructions", "max_output_tokens", "max_tool_calls", "previous_response_id", "prompt")),
    "background": False, "metadata": {}, "parallel_tool_calls": True, "reasoning": {"effort": None, "summary": None},
    "service_tier": "default", "store": True, "temperature": 1.0, "tool_choice": "auto", "tools": [],
    "text": {"format": {"type": "text"}, "verbosity": "medium"}, "top_logprobs": 0, "top_p": 1.0,
    "truncation": "disabled",
}  # fmt: skip
"""What a response says again of its request."""
_GIVEN: Final = ("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options")
"""The same where the request has it."""
_NO_ANSWER: Final = frozenset({
    *_DEFAULTS, *_GIVEN, "id", "object", "created_at", "completed_at", "status", "error", "incomplete_details", "model",
    "output", "usage", "conversation", "moderation", "billing", "tool_usage", "frequency_penalty", "presence_penalty",
    "context_management", "prompt_cache_diagnostics",
})  # fmt: skip
"""Fields of a response that hold no text of a model's, besides its output."""
_ENDS: Final = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "error")
_END_MARKS: Final = tuple(f'"{name}"'.encode() for name in _ENDS)
_FINISHES: Final = {"completed": "stop", "max_output_tokens": "length"}
_NOTHING: Final = wire.EventFacts()


class UpstreamDetails(Struct):
    """Part counts within a usage; or why an answer ended early."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reason: str | None = None


class ResponsesUsage(Struct):
    """Tokens as an upstream reports them."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: UpstreamDetails | None = None


class ResponsesFrame(Struct):
    """What an answer, or an event, whose response is within, has besides its output."""

    type: str = ""
    model: str | None = None
    status: str | None = None
    usage: ResponsesUsage | None = None
    incomplete_details: UpstreamDetails | None = None
    sequence_number: int | None = None
    id: str | None = None
    service_tier: str | None = None
    response: "ResponsesFrame | None" = None


class OutputItem(Struct):
    """An item of an answer, or a part of its content, as far as it is compared."""

    type: str = ""
    content: "list[OutputItem] | None" = None
    text: str | None = None
    refusal: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None


class ResponsesAnswer(ResponsesFrame):
    """An answer or an event with its output."""

    output: list[OutputItem] | None = None
    output_index: int = 0
    delta: object = None
    item: OutputItem | None = None


_decode_frame: Final = msgspec.json.Decoder(ResponsesFrame).decode
_decode_answer: Final = msgspec.json.Decoder(ResponsesAnswer).decode


class ResponsesAnswers(wire.AnswerReader):
    """Reads responses of upstreams."""

    rewrites_repeats = True
    blank = b"[]"

    def meta(self, data: bytes) -> wire.Meta:
        return _meta(of_upstream(_decode_frame, data))

    def choices(self, data: bytes, *, stream: bool) -> Iterator[wire.ChoicePart]:
        answer = of_upstream(_decode_answer, data)
        part = wire.ChoicePart(0, finish=_finish(answer.response or answer))
        if not stream:
            _add_items(part, answer.output or ())
        elif answer.item is not None and answer.type == "response.output_item.added":
            part.calls = [(answer.output_index, answer.item.name, "")] if answer.item.name else ()
        elif isinstance(answer.delta, str):
            match _STEMS.get(answer.type.removesuffix(".delta")):
                case ("content", "text") if answer.type == "response.output_text.delta":
                    part.content = answer.delta
                case ("content", "refusal"):
                    part.refused = bool(answer.delta)
                case ("", "arguments" | "input"):
                    part.calls = [(answer.output_index, "", answer.delta)]
        yield part

    def texts(self, data: bytes, part: int) -> wire.TextItems:  # noqa: ARG002 - each text belongs to an item
        answer = of_upstream(msgspec.json.decode, data)
        texts = _Texts()
        if not isinstance(answer, dict):
            texts.incomplete = True
        elif isinstance(answer.get("type"), str):
            texts.of_event(answer, answer["type"])
        else:
            texts.of_response(answer, "message", ())
        return wire.TextItems(texts.items, texts.repeats, texts.incomplete)

    def stream(self) -> "ResponsesStream":
        return ResponsesStream()


class _Texts:
    """The texts of one answer or event, as they are found."""

    def __init__(self) -> None:
        self.items: list[wire.TextItem] = []
        self.repeats: list[tuple[int, Path]] = []
        self.incomplete = False

    def of_event(self, event: Mapping[str, Any], name: str) -> None:
        """Adds an event's. What is not known and has text counts as not read."""
        item, (stem, _, last) = _index(event, "output_index"), name.rpartition(".")
        field, holder = "", "delta"
        kind: wire.Kind = (item,)
        if isinstance(event.get("response"), dict):
            field = "response"
            self.of_response(event[field], field, (field,))
        elif stem == "response.output_item":
            field = holder = "item"
        elif stem in ("response.content_part", "response.reasoning_summary_part"):
            key = "content" if stem == "response.content_part" else "summary"
            field = holder = "part"
            kind = (item, key, _index(event, f"{key}_index"))
        elif stem == "response.output_text.annotation":
            place = _index(event, "content_index"), "annotations", _index(event, "annotation_index")
            field, kind = "annotation", (item, "content", *place)
        elif stem in _STEMS and last in ("delta", "done"):
            within, key = _STEMS[stem]
            field, holder = ("delta", "delta") if last == "delta" else (key, "done")
            kind = (item, within, _index(event, f"{within}_index"), key) if within else (item, key)
            self._add({"logprobs": event.get("logprobs")}, holder, kind, ())
        if field != "response":
            self._add(event.get(field), holder, kind, (field,))
        rest = {key: value for key, value in event.items() if key not in (field, "logprobs", "name")}
        self.incomplete = self.incomplete or (name != "error" and any(True for _ in texts_of(rest)))

    def of_response(self, response: Mapping[str, Any], holder: str, path: Path) -> None:
        """Adds a whole response's."""
        output = response.get("output")
        for place, item in enumerate(output if isinstance(output, list) else ()):
            self._add(item, holder, (place,), (*path, "output", place))
        self._add(response.get("output_text"), holder, ("output_text",), (*path, "output_text"))
        more = {key: value for key, value in response.items() if key not in _NO_ANSWER and key != "output_text"}
        self.incomplete = self.incomplete or any(True for _ in texts_of(more))

    def _add(self, value: Any, holder: str, kind: wire.Kind, path: Path) -> None:
        for inner, text in texts_of(value):
            where = (*path, *inner)
            if text is not None:
                own = (*kind, *inner)
                self.items.append(wire.TextItem(0, holder, own, where, text, own[-1] == "arguments"))
            elif where[-1] == "logprobs":
                self.repeats.append((0, where))
            else:
                self.incomplete = True


class ResponsesStream(wire.StreamReader):
    """Reads the events of one stream."""

    def __init__(self) -> None:
        self._first = self._last = b""
        self._ended = False
        self._output = _PassedOutput()

    def read(self, event: bytes, *, awaiting: bool) -> wire.EventFacts:
        data = sse.data_of(event)
        if data is None:
            return _NOTHING
        self._first, self._last = self._first or data, data
        self._output.add(data)
        content = awaiting and b'.delta"' in data
        frame = _frame_of(data) if any(mark in data for mark in _END_MARKS) else None
        if frame is None or frame.type not in _ENDS:
            return wire.EventFacts(content=True) if content else _NOTHING
        self._ended = True
        error = frame.type in ("error", "response.failed")
        return wire.EventFacts(content or not error, error, _meta(frame))

    def ended(self) -> bool:
        """Whether the response has been completed, or said to have failed."""
        return self._ended

    def failed(self, error: ApiError) -> bytes:
        """`response.failed`, with the id that the stream has shown: clients show the message of that alone."""
        return b"" if self._ended else _failure(self._response(), error, self._number())

    def cut(self) -> bytes:
        """What is open done with what has passed, then `response.incomplete`."""
        number, events = self._number(), [*self._output.close()]
        response = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
        events.append(("incomplete", {"response": {**self._response(), **response, "output": self._output.done}}))
        return b"".join(_event(f"response.{kind}", number + place, each) for place, (kind, each) in enumerate(events))

    def _response(self) -> dict[str, Any]:
        shown: wire.Fields = {}
        with suppress(msgspec.DecodeError, RecursionError):
            shown = decode_fields(of_upstream(decode_fields, self._first).get("response", b"{}"))
        return {**_frame({}, "", new_request_id()[4:], "failed"), **shown}

    def _number(self) -> int:
        last = _frame_of(self._last)
        return 0 if last is None or last.sequence_number is None else last.sequence_number + 1


class ResponsesPiece(Struct):
    """An event that adds to an item of the output."""

    type: str
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: object = None
    item: dict[str, Any] | None = None
    part: dict[str, Any] | None = None


_decode_piece: Final = msgspec.json.Decoder(ResponsesPiece).decode
_PIECE_MARKS: Final = (b'.delta"', b'.added"', b'_part.done"', b'_item.done"')


class _PassedOutput:
    """The output that has passed in a stream. done: items that have ended."""

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self._item: dict[str, Any] | None = None
        self._parts: dict[str, list[dict[str, Any]]] = {}
        self._open: tuple[str, str, dict[str, Any], list[str]] | None = None
        self._place = 0

    def add(self, data: bytes) -> None:
        """Takes the next event."""
        if not any(mark in data for mark in _PIECE_MARKS):
            return
        with suppress(msgspec.DecodeError, RecursionError):
            piece = of_upstream(_decode_piece, data)
            kind, self._place = piece.type.removeprefix("response."), piece.output_index
            stem, _, last = piece.type.rpartition(".")
            if piece.item is not None:
                self._item, self._parts, self._open = (piece.item if last == "added" else None), {}, None
                self.done += [piece.item] if last == "done" else []
            elif piece.part is not None:
                within = "summary" if "summary" in kind else "content"
                self._open = None
                if last == "added":
                    self._open = (str(piece.part.get("type")), within, piece.part, [])
                else:
                    self._parts.setdefault(within, []).append(piece.part)
            elif self._open is not None and isinstance(piece.delta, str) and _STEMS.get(stem, ("",))[0]:
                self._open[3].append(piece.delta)

    def close(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events that end what is open."""
        item, at = self._item, {"output_index": self._place}
        if item is not None and self._open is not None:
            kind, within, part, pieces = self._open
            parts = self._parts.setdefault(within, [])
            key = "refusal" if kind == "refusal" else "text"
            named = {"summary_text": "reasoning_summary_text"}.get(kind, kind)
            own = {**at, "item_id": item.get("id"), f"{within}_index": len(parts)}
            parts.append({**part, key: "".join(pieces)})
            yield f"{named}.done", {**own, key: parts[-1][key], **({"logprobs": []} if kind == "output_text" else {})}
            yield f"{'reasoning_summary' if within == 'summary' else 'content'}_part.done", {**own, "part": parts[-1]}
        if item is not None:
            self.done.append({**item, **self._parts, "status": "incomplete"})
            yield "output_item.done", {**at, "item": self.done[-1]}


def _frame_of(data: bytes) -> ResponsesFrame | None:
    try:
        return of_upstream(_decode_frame, data)
    except (msgspec.DecodeError, RecursionError):
        return None


def _meta(frame: ResponsesFrame) -> wire.Meta:
    response = frame.response or frame
    usage, ids = response.usage, (response.id,) if response.id else ()
    if usage is None:
        return wire.Meta(response.model, None, ids, response.service_tier)
    details = usage.input_tokens_details or UpstreamDetails()
    counts = details.cached_tokens or 0, details.cache_write_tokens or 0
    return wire.Meta(
        response.model, wire.Usage(usage.input_tokens, usage.output_tokens, *counts), ids, response.service_tier
    )


def _finish(frame: ResponsesFrame) -> str:
    if frame.status is None or frame.status in ("in_progress", "queued"):
        return ""
    reason = (frame.incomplete_details and frame.incomplete_details.reason) or frame.status
    return _FINISHES.get(reason, reason)


def _add_items(part: wire.ChoicePart, items: Sequence[OutputItem]) -> None:
    for item in items:
        if item.type == "message":
            part.content += "".join(each.text or "" for each in item.content or ())
            part.refused = part.refused or any(each.refusal for each in item.content or ())
    part.calls = [
        (place, item.name or "", item.arguments or item.input or "")
        for place, item in enumerate(items)
        if item.type in CALLS
    ]


def _index(event: Mapping[str, Any], name: str) -> int:
    value = event.get(name)
    return value if isinstance(value, int) else 0


class ResponsesReplies(wire.ReplyWriter):
    """Writes responses. A block is a message with its sentence; where the client parses a schema it is a refusal, which
    others do not show."""

    def whole(self, request: wire.Request, content: wire.ReplyContent, name: str, counts: wire.TokenCounts) -> bytes:
        return encode(_completed(request, content, name, counts))

    def events(
        self, request: wire.Request, content: wire.ReplyContent, name: str, counts: wire.TokenCounts
    ) -> Iterator[bytes]:
        begun = {"response": _frame(request.fields, request.model, name, "in_progress")}
        events = [
            ("created", begun),
            ("in_progress", begun),
            *(_call(content, name) if content.call else _message(content, name)),
        ]
        events.append(("completed", {"response": _completed(request, content, name, counts)}))
        for number, (kind, fields) in enumerate(events):
            yield _event(f"response.{kind}", number, fields)

    def error_event(self, error: ApiError, request_id: str) -> bytes:
        return _failure(_frame({}, "", request_id.removeprefix("req_"), "failed"), error, 0)


def _event(kind: str, number: int, fields: Mapping[str, Any]) -> bytes:
    return sse.named(kind, encode({"type": kind, "sequence_number": number, **fields}))


def _failure(response: Mapping[str, Any], error: ApiError, number: int) -> bytes:
    # the codes are of a closed list; clients take the first for one that comes again
    code = "invalid_prompt" if error.status < 500 else "server_error"
    failed = {**response, "status": "failed", "error": {"code": code, "message": error.message}}
    return _event("response.failed", number, {"response": failed})


def _frame(fields: wire.Fields, model: str, name: str, status: str) -> dict[str, Any]:
    """A response without its output. name: what its id is made of."""
    given: dict[str, Any] = {
        key: fields[key] for key in (*_DEFAULTS, *_GIVEN) if bytes(fields.get(key, b"null")) != b"null"
    }
    with suppress(msgspec.DecodeError):
        given["tools"] = [_tool_of(tool) for tool in decode_list(given.get("tools", b"[]"))]
    own = {"id": "resp_" + name, "object": "response", "created_at": int(time.time()), "status": status}
    rest: dict[str, Any] = {"error": None, "incomplete_details": None, "model": model, "output": [], "usage": None}
    return {**own, **rest, **_DEFAULTS, **given}


def _tool_of(tool: msgspec.Raw) -> Any:
    """A tool with the keys that a function has in each answer."""
    fields = decode_fields(tool)
    return {"parameters": None, "strict": None, **fields} if bytes(fields.get("type", b"")) == b'"function"' else tool


def _completed(
    request: wire.Request, content: wire.ReplyContent, name: str, counts: wire.TokenCounts
) -> dict[str, Any]:
    frame = _frame(request.fields, request.model, name, "completed")
    usage = {
        "input_tokens": counts.given,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": counts.generated,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": counts.given + counts.generated,
    }
    return {**frame, "completed_at": frame["created_at"], "output": [_item(content, name, "completed")], "usage": usage}


def _item(content: wire.ReplyContent, name: str, status: str) -> dict[str, Any]:
    """The only item of an answer. One that is in progress is empty."""
    done = status == "completed"
    if content.call is None:
        parts = [_part(content)] if done else []
        return {"id": "msg_" + name, "type": "message", "status": status, "role": "assistant", "content": parts}
    arguments = content.text if done else ""
    call = {"call_id": "call_" + name, "name": content.call.name, "arguments": arguments}
    return {"id": "fc_" + name, "type": "function_call", "status": status, **call}


def _part(content: wire.ReplyContent) -> dict[str, Any]:
    if content.refusal:
        return {"type": "refusal", "refusal": content.text}
    tokens = content.logprobs or ()
    logprobs = [structs.replace(each, top_logprobs=each.top_logprobs or []) for each in tokens]
    return {"type": "output_text", "text": content.text, "annotations": [], "logprobs": logprobs}


def _message(content: wire.ReplyContent, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    part, at = _part(content), {"item_id": "msg_" + name, "output_index": 0, "content_index": 0}
    key = "refusal" if content.refusal else "text"
    kind = "refusal" if content.refusal else "output_text"
    more = {} if content.refusal else {"logprobs": part["logprobs"]}
    empty = {**part, key: "", **({} if content.refusal else {"logprobs": []})}
    yield "output_item.added", {"output_index": 0, "item": _item(content, name, "in_progress")}
    yield "content_part.added", {**at, "part": empty}
    yield f"{kind}.delta", {**at, "delta": content.text, **more}
    yield f"{kind}.done", {**at, key: content.text, **more}
    yield "content_part.done", {**at, "part": part}
    yield "output_item.done", {"output_index": 0, "item": _item(content, name, "completed")}


def _call(content: wire.ReplyContent, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    item, at = _item(content, name, "completed"), {"item_id": "fc_" + name, "output_index": 0}
    yield "output_item.added", {"output_index": 0, "item": _item(content, name, "in_progress")}
    yield "function_call_arguments.delta", {**at, "delta": content.text}
    yield "function_call_arguments.done", {**at, "name": item["name"], "arguments": content.text}
    yield "output_item.done", {"output_index": 0, "item": item}


RESPONSES: Final = wire.Wire(
    endpoint="responses",
    path="/responses",
    requests=ResponsesRequests(),
    answers=ResponsesAnswers(),
    replies=ResponsesReplies(),
    history=ResponsesHistory(),
)
