"""The fields of a chat request that say which shape its answer must have. No behaviour."""

from typing import Any, Literal

import msgspec
from msgspec import Struct


class JsonSchema(Struct):
    """`response_format.json_schema`."""

    schema: dict[str, Any] | None = None


class Format(Struct):
    """`response_format`."""

    type: str = "text"
    json_schema: JsonSchema | None = None


class FunctionDefinition(Struct):
    """A function that may be called, in `functions` or inside a tool."""

    name: str
    parameters: dict[str, Any] | None = None


class Tool(Struct):
    """One of `tools`."""

    type: str = "function"
    function: FunctionDefinition | None = None


class FunctionName(Struct):
    """Names the function that must be called."""

    name: str


class ToolChoice(Struct):
    """`tool_choice` where it is an object."""

    type: str = "function"
    function: FunctionName | None = None


class Asked(Struct):
    """All of them, as OpenAI's reference has them."""

    response_format: Format | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | str | None = None
    functions: list[FunctionDefinition] | None = None
    function_call: FunctionName | str | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    stop: list[str] | str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | Literal[0, 1] | None = None
    top_logprobs: int | None = None


decode_asked = msgspec.json.Decoder(Asked).decode
FIELDS = frozenset(Asked.__struct_fields__)
