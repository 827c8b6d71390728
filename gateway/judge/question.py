"""Texts → what is sent to a judge: a chat with the policy's own text, or a moderation endpoint's request. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from msgspec import Raw

from gateway.reading.request import Request
from gateway.rules.rule import Asks
from gateway.types import RequestedModel
from gateway.wire import chat

OPTIONAL: Final = ("temperature", "response_format")
"""Fields that some servers refuse, and a judge can do without."""


_SYSTEM_CHARS: Final = 8_000
"""Of a system prompt; of a longer one the beginning and the end. Every question would cost all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a judge may see: the texts to be judged, and the system prompt that they were written under."""

    texts: tuple[str, ...]
    system: str = ""

    @classmethod
    def of(cls, texts: tuple[str, ...], system: str) -> Self:
        """A long prompt is cut."""
        if len(system) > _SYSTEM_CHARS:
            half = _SYSTEM_CHARS // 2
            system = f"{system[:half]}\n[…]\n{system[-half:]}"
        return cls(texts=texts, system=system)


def chat_question(asks: Asks, shown: Shown, *, without: Collection[str] = ()) -> Request:
    """The policy's instructions, and what is shown as JSON, out of which no text can break; the system prompt where
    the policy reads it.

    without: of OPTIONAL, what the server does not take.
    """
    material: dict[str, Any] = {"texts": shown.texts}
    if asks.reads_system and shown.system:
        material = {"system": shown.system, **material}
    fields: dict[str, Any] = {
        "model": asks.model,
        "messages": [
            {"role": "system", "content": asks.told},
            {"role": "user", "content": chat.encode(material).decode()},
        ],
        "temperature": 0,
        "response_format": {"type": "json_schema", "json_schema": _schema(tuple(asks.categories))},
    }
    return _request(asks, {name: value for name, value in fields.items() if name not in without})


def moderation_question(asks: Asks, texts: Sequence[str]) -> Request:
    """The texts as a moderation endpoint takes them."""
    return _request(asks, {"model": asks.model, "input": list(texts)}, path="/moderations")


def _schema(labels: Sequence[str]) -> dict[str, Any]:
    named = {"type": "array", "items": {"type": "string", "enum": list(labels)}}
    schema = {"type": "object", "properties": {"labels": named}, "required": ["labels"], "additionalProperties": False}
    return {"name": "verdict", "strict": True, "schema": schema}


def _request(asks: Asks, fields: dict[str, Any], *, path: str = "/chat/completions") -> Request:
    raw = {name: Raw(chat.encode(value)) for name, value in fields.items()}
    return Request(
        model=RequestedModel(asks.model),
        stream=False,
        wants_usage=False,
        wants_schema=False,
        choices=1,
        messages=raw.get("messages", Raw(b"[]")),
        fields=raw,
        path=path,
    )
