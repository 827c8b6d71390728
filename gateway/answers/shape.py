"""Which shape a chat request asks its answer to have. Pure."""

from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.answers.unmet import Reason, Unmet
from gateway.wire import chat
from gateway.wire.asked import FIELDS, Asked, FunctionDefinition, FunctionName, Tool, ToolChoice, decode_asked


@dataclass(frozen=True, slots=True)
class Word:
    """Plain text: one of the words that the prompt names."""


@dataclass(frozen=True, slots=True)
class AnyObject:
    """A JSON object whose key the prompt names."""


@dataclass(frozen=True, slots=True)
class Document:
    """JSON by a schema."""

    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A function's arguments. legacy: of `functions`; named: the request names it, so that the answer ends with
    `stop` as OpenAI's do."""

    name: str
    schema: dict[str, Any]
    legacy: bool
    named: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """stop: sequences that cut the answer; most_tokens: that it may have, None for any number; alternatives: tokens
    to show with their logarithms of probability, None where none is asked for."""

    shape: Word | AnyObject | Document | Call
    stop: tuple[str, ...] = ()
    most_tokens: int | None = None
    alternatives: int | None = None


def wanted(fields: dict[str, msgspec.Raw]) -> Wanted | Unmet:
    """fields: a request's top-level fields with their bytes."""
    try:
        asked = decode_asked(chat.encode({name: value for name, value in fields.items() if name in FIELDS}))
    except (msgspec.DecodeError, RecursionError) as error:
        return Unmet(Reason.MALFORMED, str(error))
    if set(asked.modalities or ["text"]) != {"text"} or asked.audio or asked.web_search_options is not None:
        return Unmet(Reason.MODALITY)
    shape = _shape(asked)
    if isinstance(shape, Unmet):
        return shape
    limits = [limit for limit in (asked.max_tokens, asked.max_completion_tokens) if limit is not None]
    return Wanted(
        shape=shape,
        stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
        most_tokens=min(limits) if limits else None,
        alternatives=(asked.top_logprobs or 0) if asked.logprobs else None,
    )


def _shape(asked: Asked) -> Word | AnyObject | Document | Call | Unmet:
    call = _call(asked)
    if call is not None:
        return call
    form = asked.response_format
    if form is None or form.type == "text":
        return Word()
    if form.type == "json_object":
        return AnyObject()
    if form.type == "json_schema" and form.json_schema is not None and form.json_schema.schema is not None:
        return Document(form.json_schema.schema)
    return Unmet(Reason.MALFORMED, "response_format")


def _call(asked: Asked) -> Call | Unmet | None:
    """None where no function can be called."""
    if asked.tools and asked.tool_choice != "none":
        return _tool(asked.tools, asked.tool_choice)
    if asked.functions and asked.function_call != "none":
        if isinstance(asked.function_call, FunctionName):
            return _named(asked.functions, asked.function_call.name, legacy=True)
        return Unmet(Reason.FREE_TOOLS, f"function_call {asked.function_call or 'auto'}")
    return None


def _tool(tools: list[Tool], choice: ToolChoice | str | None) -> Call | Unmet:
    functions = [tool.function for tool in tools if tool.function]
    if len(functions) < len(tools):
        return Unmet(Reason.FREE_TOOLS, "custom tools")
    if isinstance(choice, ToolChoice) and choice.type != "function":
        return Unmet(Reason.FREE_TOOLS, f"tool_choice {choice.type}")
    if isinstance(choice, ToolChoice):
        return _named(functions, choice.function.name if choice.function else "", legacy=False)
    if choice == "required" and len(functions) == 1:
        return Call(functions[0].name, functions[0].parameters or {}, legacy=False, named=False)
    return Unmet(Reason.FREE_TOOLS, f"tool_choice {choice or 'auto'}")


def _named(functions: list[FunctionDefinition], name: str, *, legacy: bool) -> Call | Unmet:
    found = next((function for function in functions if function.name == name), None)
    if found is None:
        return Unmet(Reason.MALFORMED, f"no function {name!r}")
    return Call(found.name, found.parameters or {}, legacy=legacy, named=True)
