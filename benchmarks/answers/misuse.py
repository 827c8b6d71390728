"""Requests that no rule of the starter may answer: tasks about a message, foreign prompts, tools, fields, schemas."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

OWN_SYSTEM = "You are the support assistant of an online shop."
"""The prompt that the starter's rule is written for, besides none."""
_TOOL = {"type": "function", "function": {"name": "find_order", "parameters": {"type": "object", "properties": {}}}}
_CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "find_order", "arguments": "{}"}}],
}
_RESULT = {"role": "tool", "tool_call_id": "call_1", "content": '{"status": "on its way"}'}
_GREETED = {"role": "assistant", "content": "Hello! What can I do for you?"}
_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
_FIELDS: tuple[dict[str, Any], ...] = (
    {"guided_choice": ["yes", "no"]},
    {"guided_json": {"type": "object"}},
    {"guided_regex": "[0-9]+"},
    {"structured_outputs": {"choice": ["yes", "no"]}},
    {"documents": [{"title": "a", "text": "b"}]},
    {"continue_final_message": True, "add_generation_prompt": False},
    {"grammar": 'root ::= "yes" | "no"'},
    {"json_schema": {"type": "object"}},
    {"format": "json"},
    {"regex": "[a-z]+"},
    {"data_sources": [{"type": "azure_search"}]},
    {"search_parameters": {"mode": "on"}},
    {"plugins": [{"id": "web"}]},
    {"models": ["a", "b"]},
    {"moderation": {"model": "omni-moderation-latest"}},
    {"store": True},
    {"logit_bias": {"50256": -100}},
    {"prediction": {"type": "content", "content": "Hi"}},
    {"max_tokens": 2},
    {"stop": ["H", "W", "e"]},
    {"response_format": {"type": "json_object"}},
    {"tools": [_TOOL]},
    {"tools": [_TOOL], "tool_choice": "required"},
    {"logprobs": True},
)


@dataclass(frozen=True, slots=True)
class Prompts:
    """kinds: templates with `{message}` by kind of task; systems: of other tasks; messages: of a shop's customers."""

    kinds: Mapping[str, Sequence[str]]
    systems: Sequence[str]
    messages: Sequence[str]

    @classmethod
    def read(cls, file: Path) -> "Prompts":
        """Those of a YAML file."""
        return cls(**yaml.safe_load(file.read_text("utf-8")))


Body = dict[str, Any]


def requests(prompts: Prompts) -> Iterator[tuple[str, Body]]:
    """(group, body) of every request, the model left out."""
    for kind, templates in prompts.kinds.items():
        for template in templates:
            for message in prompts.messages:
                yield f"no system prompt: {kind}", _chat(template.replace("{message}", message))
                yield f"the rule's own prompt: {kind}", _chat(template.replace("{message}", message), OWN_SYSTEM)
    every = [template for templates in prompts.kinds.values() for template in templates]
    for system in prompts.systems:
        for message in prompts.messages:
            yield "foreign prompts: message", _chat(message, system)
        for place, template in enumerate(every):
            message = prompts.messages[place % len(prompts.messages)]
            yield "foreign prompts: task", _chat(template.replace("{message}", message), system)
    for message in prompts.messages:
        yield from (("tool loops and turns", body) for body in _loops({"role": "user", "content": message}))
        yield from (("fields", _chat(message) | fields) for fields in _FIELDS)
        yield from (("schemas", _chat(message) | {"response_format": form}) for form in _schemas(40))


def _chat(text: str, system: str = "") -> Body:
    messages = [{"role": "system", "content": system}] if system else []
    return {"messages": [*messages, {"role": "user", "content": text}]}


def _loops(user: Body) -> Iterator[Body]:
    yield {"messages": [user, _CALL, _RESULT], "tools": [_TOOL]}
    yield {"messages": [user, _CALL, _RESULT, user], "tools": [_TOOL]}
    yield {"messages": [user, _CALL, _RESULT]}
    yield {"messages": [user, _CALL]}
    yield {"messages": [user, {"role": "assistant", "content": "Sure, it is"}]}
    yield {"messages": [user, _GREETED, user]}
    yield {"messages": [{"role": "user", "content": [{"type": "text", "text": user["content"]}, _IMAGE]}]}
    yield {"messages": [{"role": "user", "content": [_IMAGE]}, _GREETED, user]}
    yield {"messages": [user, {"role": "system", "content": "Answer in German."}]}


def _schemas(count: int) -> Iterator[Body]:
    """Generated schemas: objects of one to five fields of all types."""
    chance = random.Random(29)
    names = ["intent", "label", "text", "score", "reason", "language", "order_number", "tags", "urgent", "answer"]
    kinds: list[Body] = [
        {"type": "string"},
        {"type": ["string", "null"]},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "array", "items": {"type": "string"}},
        {"type": "string", "enum": ["greeting", "opening_hours", "other"]},
        {"type": "array", "items": {"enum": ["greeting", "thanks"]}},
    ]
    for number in range(count):
        fields = {name: chance.choice(kinds) for name in chance.sample(names, 1 + number % 5)}
        schema = {
            "type": "object",
            "properties": fields,
            "required": sorted(fields),
            "additionalProperties": False,
        }
        yield {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def encoded(body: Body, model: str) -> bytes:
    """A request's bytes."""
    return json.dumps({"model": model, **body}).encode()
