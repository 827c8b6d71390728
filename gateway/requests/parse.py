"""Parses a chat request as far as the gateway reads it. All other fields keep their bytes for the forward."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import msgspec

from gateway.context import RequestedModel, UpstreamModel
from gateway.errors import BadRequest
from gateway.protocols import chat
from gateway.protocols.json import bounded, decoded
from gateway.requests.messages import Turn, system_text, turns_of

_LONGEST_MODEL: Final = 256
_MOST_CHOICES: Final = 128
"""OpenAI's own bound; an answer made here has each choice in memory."""
_MOST_MESSAGES: Final = 10_000
_KNOWN: Final = frozenset(chat.ChatRequest.__struct_fields__)
_READ: Final = ("messages", "tools", "functions", "response_format")
"""What a model is shown, and its provider counts as input."""
# within a string both quotes would be escaped
_LIST: Final = re.compile(rb"\s*\[")
_ATTACHED: Final = re.compile(rb'"(?:image_url|video_url|input_audio|file)"\s*:')
_BASE64: Final = re.compile(rb'(?<!\\)"(?:data:[^",]*;base64,|(?:data|file_data)"\s*:\s*")[^"]*"')


@dataclass(kw_only=True)
class Request:
    """A chat request. What is derived from it is computed once, when it is first asked for. fields: every top-level
    field with its value's bytes as they came. path: the endpoint's, below an upstream's address."""

    model: RequestedModel
    stream: bool
    wants_usage: bool
    wants_schema: bool
    choices: int
    messages: msgspec.Raw
    fields: dict[str, msgspec.Raw]
    path: str = "/chat/completions"

    @cached_property
    def turns(self) -> list[Turn]:
        """The messages as rules read them. Raises BadRequest as `turns_of` does."""
        return turns_of(self.messages)

    @cached_property
    def system_text(self) -> str:
        """What system and developer messages say."""
        return system_text(self.turns)

    def without(self, places: Collection[int]) -> "Request":
        """The request without the messages at these places."""
        rows = chat.decode_list(self.messages)
        messages = msgspec.Raw(chat.encode([row for place, row in enumerate(rows) if place not in places]))
        return replace(self, messages=messages, fields={**self.fields, "messages": messages})

    def prompt_size(self) -> tuple[int, bool]:
        """Bytes of the text that a model would read; and whether images, audio or files go along."""
        size = sum([len(self.fields[name]) for name in _READ if name in self.fields])
        attaches = _ATTACHED.search(self.messages) is not None
        attached = sum(len(match[0]) for match in _BASE64.finditer(self.messages)) if attaches else 0
        return size - attached, attaches

    def body_for(self, model: UpstreamModel, *, ask_usage: bool) -> bytes:
        """The request for an upstream: its own model name and, if asked, usage at the end of a stream."""
        fields = self.fields
        if str(model) != str(self.model):
            fields = {**fields, "model": msgspec.Raw(chat.encode(model))}
        if ask_usage and self.stream and not self.wants_usage:
            options = chat.decode_options(fields.get("stream_options", b"null")) or {}
            options["include_usage"] = msgspec.Raw(b"true")
            fields = {**fields, "stream_options": msgspec.Raw(chat.encode(options))}
        return chat.encode(fields)


def parse_chat(body: bytes) -> Request:
    """Reads a body. Raises BadRequest naming what is wrong and, where it can be told, the field."""
    bounded(body)
    view = decoded(chat.decode_request, body)
    # a message and its comma take three bytes
    if len(view.messages) > 3 * _MOST_MESSAGES and _LIST.match(view.messages):
        number = len(chat.decode_list(view.messages))
        if number > _MOST_MESSAGES:
            raise BadRequest(f"messages: {number} are too many; at most {_MOST_MESSAGES} are taken", param="messages")
    fields = chat.decode_fields(body)
    for key in fields:
        # some servers match keys whatever their case, in all of Unicode: \u017f is an s to them
        if key not in _KNOWN and key.casefold() in _KNOWN:
            raise BadRequest(f"{key}: is written {key.casefold()}", param=key)
    if not view.model:
        raise BadRequest("model: must not be empty", param="model")
    if len(view.model) > _LONGEST_MODEL:
        raise BadRequest(f"model: must not be over {_LONGEST_MODEL} characters", param="model")
    if view.n is not None and not 1 <= view.n <= _MOST_CHOICES:
        raise BadRequest(f"n: must be between 1 and {_MOST_CHOICES}", param="n")
    if _LIST.match(view.messages) is None:
        raise BadRequest("messages: must be a list of messages", param="messages")
    return Request(
        model=RequestedModel(view.model),
        stream=bool(view.stream),
        wants_usage=bool(view.stream_options and view.stream_options.include_usage),
        wants_schema=bool(view.response_format and view.response_format.type == "json_schema"),
        choices=view.n or 1,
        messages=view.messages,
        fields=fields,
    )
