"""Questions to judges and their answers, for chat models and for moderation endpoints. Pure.

Whatever is not plainly a verdict is none: the rule's `when_broken` then decides.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec
from msgspec import Raw, Struct

from gateway.answers.parse import Completion, unfenced
from gateway.context import RequestedModel
from gateway.protocols import moderations
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.json import encode
from gateway.protocols.wire import Request
from gateway.rules.rule import JudgeSpec
from gateway.spelling import normalized

OPTIONAL: Final = ("temperature", "response_format")
"""Fields that some servers refuse, and that a question can do without."""
_SYSTEM_CHARS: Final = 8_000
"""Of a longer system prompt a question has the beginning and the end, since every question would cost all of it."""


class Unreadable(Exception):
    """The answer is no verdict; the message says why."""


class _Verdict(Struct, forbid_unknown_fields=True):
    labels: list[str]


class _Reason(Struct):
    code: str | int | None = None


class _Refusal(Struct):
    error: _Reason


_NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises; before 0.23 it raises UnicodeDecodeError for strings that are not UTF-8."""
_decode = msgspec.json.Decoder(_Verdict).decode
_decode_refusal = msgspec.json.Decoder(_Refusal).decode
FILTERED: Final = ("content_filter", "content_policy_violation")
"""Codes of Azure OpenAI and OpenAI where their own filter stops a question because of the text in it."""


def refusal_code(body: bytes) -> str:
    """The code of an error with status 400, if it is a plain name; else empty. The message may hold the text."""
    try:
        code = str(_decode_refusal(body).error.code or "")
    except _NO_JSON:
        return ""
    return code if re.fullmatch(r"[\w.\[\]-]{1,64}", code, re.ASCII) else ""


def of_chat(completion: Completion, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels that a chat model names, in the policy's order. Raises Unreadable."""
    try:
        choices = completion.choices
        if len(choices) != 1 or choices[0].refused or choices[0].finish not in ("", "stop"):
            raise Unreadable("it refused, or broke off")
        named = _decode(unfenced(choices[0].content)).labels
    except _NO_JSON as error:
        raise Unreadable("it is not the JSON that was asked for") from error
    known = {normalized(label): label for label in labels}
    unknown = [name for name in named if normalized(name) not in known]
    if unknown:
        # what it names may be words of the text
        raise Unreadable(f"it names {len(unknown)} of {len(named)} that are no label")
    applying = {known[normalized(name)] for name in named}
    return tuple(label for label in labels if label in applying)


def of_moderation(body: bytes, categories: Mapping[str, Sequence[str]], texts: int) -> tuple[str, ...]:
    """The labels of which a moderation endpoint flags a category, in the policy's order. Raises Unreadable. categories:
    of each label; texts: how many were asked about."""
    try:
        results = moderations.decode_heard(body).results
    except _NO_JSON as error:
        raise Unreadable(f"it is no moderation: {error}") from error
    if len(results) != texts:
        raise Unreadable(f"it has {len(results)} results for {texts} texts")
    applying = set()
    for result in results:
        for label, names in categories.items():
            flags = [result.categories[name] for name in names if name in result.categories]
            if any(flags):
                applying.add(label)
            elif not flags or None in flags:
                raise Unreadable(f"it knows no category for {label}, or not all of them")
    return tuple(label for label in categories if label in applying)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a judge may see: the texts, and the system prompt that they were written under."""

    texts: tuple[str, ...]
    system: str = ""

    @classmethod
    def of(cls, texts: tuple[str, ...], system: str) -> Self:
        """A long prompt is cut."""
        if len(system) > _SYSTEM_CHARS:
            half = _SYSTEM_CHARS // 2
            system = f"{system[:half]}\n[…]\n{system[-half:]}"
        return cls(texts=texts, system=system)


def chat_question(asks: JudgeSpec, shown: Shown, *, without: Collection[str] = ()) -> Request:
    """The policy's instructions, and what is shown as JSON, out of which no text can break. without: of OPTIONAL, the
    fields that the server does not take."""
    system = {"system": shown.system} if asks.reads_system and shown.system else {}
    named = {"type": "array", "items": {"type": "string", "enum": list(asks.categories)}}
    schema = {"type": "object", "properties": {"labels": named}, "required": ["labels"], "additionalProperties": False}
    fields: dict[str, Any] = {
        "model": asks.model,
        "messages": [
            {"role": "system", "content": asks.instructions},
            {"role": "user", "content": encode({**system, "texts": shown.texts}).decode()},
        ],
        "temperature": 0,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "verdict", "strict": True, "schema": schema},
        },
    }
    return _request(asks, {name: value for name, value in fields.items() if name not in without})


def moderation_question(asks: JudgeSpec, texts: Sequence[str]) -> Request:
    """The texts as a moderation endpoint takes them."""
    return _request(asks, {"model": asks.model, "input": list(texts)}, path="/moderations")


def _request(asks: JudgeSpec, fields: dict[str, Any], *, path: str = CHAT.path) -> Request:
    raw = {name: Raw(encode(value)) for name, value in fields.items()}
    return Request(wire=CHAT, model=RequestedModel(asks.model), stream=False, fields=raw, path=path)
