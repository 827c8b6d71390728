"""Which shape a chat request asks its answer to have. Pure.

What stands in an object that is being filled.

Why a label cannot be given in the shape that was asked for, so that the call is forwarded.

What a classifier says of a request, as far as its answer needs it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from classifiers.policy import Slot
from classifiers.verdict import SlotValue
from gateway.protocols.chat import Asked, FunctionDefinition, FunctionName, Tool, ToolChoice, decode_asked
from gateway.spelling import Names

Path = tuple[str, ...]
"""Names of properties, from the outermost in."""


@dataclass(slots=True)
class FillState:
    """What stands in the object so far. label: as the caller spells it; words: the caller's values for its place that
    stand for labels; slots: names of slots by their field's place, those that say nothing among them; confidence:
    0..1, of the least certain slot's value; values: how many slots have one."""

    label: str | None = None
    words: tuple[str, ...] = ()
    slots: dict[Path, str] = field(default_factory=dict)
    confidence: float = 1.0
    values: int = 0

    def copy(self) -> "FillState":
        return FillState(self.label, self.words, dict(self.slots), self.confidence, self.values)


class UnsupportedReason(StrEnum):
    """Each is a value of a metric's label."""

    MALFORMED = "malformed"
    """Fields that say the shape are not as OpenAI's reference has them."""
    NO_PLACE = "no_place"
    """The schema, or the prompt, has no place that takes one of the classifier's labels."""
    AMBIGUOUS = "ambiguous"
    """Several places, or several spellings, could be meant."""
    LABEL_NOT_ASKED = "label_not_asked"
    """The caller's values hold other labels, but not this one."""
    OTHER_FIELD = "other_field"
    """A required field is neither for a label nor for a slot."""
    NO_VALUE = "no_value"
    """The text says nothing of what a required field is for."""
    UNFIT_VALUE = "unfit_value"
    """The text says something of it that the field does not take, or that could be read in two ways."""
    SCHEMA = "schema"
    """The schema uses what is not understood here, or may not allow what would be given."""
    FREE_TOOLS = "free_tools"
    """The model may choose whether, or which, function it calls."""
    MODALITY = "modality"
    """More than text is asked for: audio, a web search."""
    STOP = "stop"
    """A stop sequence would cut the answer."""
    LENGTH = "length"
    """`max_tokens` may be too few for the answer."""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The shape cannot be met. detail: which field, for `explain`."""

    reason: UnsupportedReason
    detail: str = ""


class NoPlace(Exception):
    """Nothing can stand at a place of a schema. path: names of properties, from the outermost in; detail: a text, or
    several, which are put together only where they are asked for."""

    def __init__(self, reason: UnsupportedReason, path: tuple[str, ...], detail: str | Iterable[object] = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self._path = path
        self._detail = detail

    def unmet(self) -> Unsupported:
        where = ".".join(self._path)
        detail = self._detail if isinstance(self._detail, str) else ", ".join(map(str, self._detail))
        return Unsupported(
            self.reason, f"{where}: {detail}" if where and detail else where or detail or "the whole answer"
        )


@dataclass(frozen=True, slots=True)
class PlainWord:
    """Plain text: one of the words that the prompt names."""


@dataclass(frozen=True, slots=True)
class AnyObject:
    """A JSON object whose key the prompt names."""


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """JSON by a schema."""

    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function's arguments. legacy: of `functions`; named: the request names it, so that the answer ends with
    `stop` as OpenAI's do."""

    name: str
    schema: dict[str, Any]
    legacy: bool
    named: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedFormat:
    """stop: sequences that cut the answer; most_tokens: that it may have, None for any number; alternatives: tokens
    to show with their logarithms of probability, None where none is asked for."""

    shape: PlainWord | AnyObject | JsonSchema | ToolCall
    stop: tuple[str, ...] = ()
    most_tokens: int | None = None
    alternatives: int | None = None


def requested_format(fields: dict[str, msgspec.Raw]) -> RequestedFormat | Unsupported:
    """fields: a request's top-level fields with their bytes."""
    try:
        asked = decode_asked(fields)
    except (msgspec.DecodeError, RecursionError) as error:
        return Unsupported(UnsupportedReason.MALFORMED, str(error))
    if set(asked.modalities or ["text"]) != {"text"} or asked.audio or asked.web_search_options is not None:
        return Unsupported(UnsupportedReason.MODALITY)
    shape = _shape(asked)
    if isinstance(shape, Unsupported):
        return shape
    limits = [limit for limit in (asked.max_tokens, asked.max_completion_tokens) if limit is not None]
    return RequestedFormat(
        shape=shape,
        stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
        most_tokens=min(limits) if limits else None,
        alternatives=(asked.top_logprobs or 0) if asked.logprobs else None,
    )


def _shape(asked: Asked) -> PlainWord | AnyObject | JsonSchema | ToolCall | Unsupported:
    call = _call(asked)
    if call is not None:
        return call
    form = asked.response_format
    if form is None or form.type == "text":
        return PlainWord()
    if form.type == "json_object":
        return AnyObject()
    if form.type == "json_schema" and form.json_schema is not None and form.json_schema.schema is not None:
        return JsonSchema(form.json_schema.schema)
    return Unsupported(UnsupportedReason.MALFORMED, "response_format")


def _call(asked: Asked) -> ToolCall | Unsupported | None:
    """None where no function can be called."""
    if asked.tools and asked.tool_choice != "none":
        return _tool(asked.tools, asked.tool_choice)
    if asked.functions and asked.function_call != "none":
        if isinstance(asked.function_call, FunctionName):
            return _named(asked.functions, asked.function_call.name, legacy=True)
        return Unsupported(UnsupportedReason.FREE_TOOLS, f"function_call {asked.function_call or 'auto'}")
    return None


def _tool(tools: list[Tool], choice: ToolChoice | str | None) -> ToolCall | Unsupported:
    functions = [tool.function for tool in tools if tool.function]
    if len(functions) < len(tools):
        return Unsupported(UnsupportedReason.FREE_TOOLS, "custom tools")
    if isinstance(choice, ToolChoice) and choice.type != "function":
        return Unsupported(UnsupportedReason.FREE_TOOLS, f"tool_choice {choice.type}")
    if isinstance(choice, ToolChoice):
        return _named(functions, choice.function.name if choice.function else "", legacy=False)
    if choice == "required" and len(functions) == 1:
        return ToolCall(functions[0].name, functions[0].parameters or {}, legacy=False, named=False)
    return Unsupported(UnsupportedReason.FREE_TOOLS, f"tool_choice {choice or 'auto'}")


def _named(functions: list[FunctionDefinition], name: str, *, legacy: bool) -> ToolCall | Unsupported:
    found = next((function for function in functions if function.name == name), None)
    if found is None:
        return Unsupported(UnsupportedReason.MALFORMED, f"no function {name!r}")
    return ToolCall(found.name, found.parameters or {}, legacy=legacy, named=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotFilling:
    """One of the policy's slots and what the text fills it with, in the order in which it does; nothing where it says
    nothing of it."""

    slot: Slot
    values: tuple[SlotValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """labels: the most certain first; names: all that it could name; scores: calibrated, of each; slots: all of its
    policy, by name."""

    labels: tuple[str, ...]
    names: Names
    confidence: float
    scores: Mapping[str, float]
    slots: Mapping[str, SlotFilling] = field(default_factory=dict)
