"""The answer format that a request asks for, what a classifier predicts, and why a prediction may not fit it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from classifiers.policy import Slot
from classifiers.verdict import SlotValue
from gateway.protocols.chat import FormatFields, FunctionDefinition, Tool, ToolChoice, decode_asked
from gateway.spelling import BARE, Form, LabelNames

Path = tuple[str, ...]
"""Names of properties, from the outermost in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotFilling:
    """One of the policy's slots and its values in the order of the text; none where the text has none."""

    slot: Slot
    values: tuple[SlotValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherLabel:
    """What another classifier says, for the field that it fills. labels: none where it abstains, for which `why`
    speaks. names: all labels that it knows. confidence: 0..1, of the least certain label."""

    classifier: str
    labels: tuple[str, ...]
    names: LabelNames
    confidence: float
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a classifier predicts for a request, as far as an answer needs it.

    labels: the most certain first. names: all labels that it knows. confidence: 0..1, of the least certain label,
    those of further classifiers with it. scores: calibrated, by label. slots: all of its policy's, by name. fields:
    what fills a schema's field, by the field's name: LABEL, CONFIDENCE, FURTHER or a slot's name. further: by the field
    that it fills. ignores: fields that are left out, or get this value where they are required. free_order: whether
    lists may be in any order. several: whether there may be several labels. with_lists: whether one label is all of a
    list. form: of the model's answers; None where nobody knows it.
    """

    labels: tuple[str, ...]
    names: LabelNames
    confidence: float
    scores: Mapping[str, float]
    slots: Mapping[str, SlotFilling] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    further: Mapping[str, FurtherLabel] = field(default_factory=dict)
    ignores: Mapping[str, Any] = field(default_factory=dict)
    free_order: bool = False
    several: bool = False
    with_lists: bool = False
    form: Form | None = BARE


class UnsupportedReason(StrEnum):
    """Why an answer cannot be given in the requested format. Each is a value of a metric's label."""

    MALFORMED = "malformed"
    """Fields that define the format are not as OpenAI's reference has them."""
    NO_PLACE = "no_place"
    """The schema, or the prompt, has no place that takes one of the classifier's labels."""
    AMBIGUOUS = "ambiguous"
    """Several places, or several spellings, could be meant."""
    LABEL_NOT_ASKED = "label_not_asked"
    """The caller's values hold other labels, but not this one."""
    UNKNOWN_VALUE = "unknown_value"
    """The caller's values hold one that the classifier does not know."""
    OTHER_FIELD = "other_field"
    """Nothing fills a field: neither a label nor a slot, and the rule does not ignore it."""
    FIELD_ABSTAINED = "field_abstained"
    """Another classifier fills a field, and abstains."""
    NO_VALUE = "no_value"
    """The text has no value for a required field."""
    UNFIT_VALUE = "unfit_value"
    """The text has a value that the field does not allow, or that could be read in two ways."""
    SCHEMA = "schema"
    """The schema uses a keyword that is not supported, or may not allow the answer."""
    FREE_TOOLS = "free_tools"
    """The model may choose whether, or which, function it calls."""
    MODALITY = "modality"
    """More than text is asked for: audio, a web search."""
    STOP = "stop"
    """A stop sequence would cut the answer."""
    LENGTH = "length"
    """`max_tokens` may be too few for the answer."""
    UNKNOWN_FIELD = "unknown_field"
    """A field of the request, or its value, is not on the list of what is understood."""
    CONVERSATION = "conversation"
    """The conversation does not end in a turn of text that the rule reads, or a tool is at work in it."""
    FREE_FORM = "free_form"
    """The prompt alone says in which form a word is given, the rule does not name it, and no contract compares."""
    LATER_TURN = "later_turn"
    """A fixed text answers a conversation's first turn."""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The requested format cannot be given. detail: which field, for `explain`."""

    reason: UnsupportedReason
    detail: str = ""


class CannotFill(Exception):
    """Nothing can be given at a place of a schema. detail: a text, or several that are joined only where needed."""

    def __init__(self, reason: UnsupportedReason, path: Path, detail: str | Iterable[object] = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self._path = path
        self._detail = detail

    def unsupported(self) -> Unsupported:
        where = ".".join(self._path)
        detail = self._detail if isinstance(self._detail, str) else ", ".join(map(str, self._detail))
        return Unsupported(self.reason, ": ".join(filter(None, (where, detail))) or "the whole answer")


@dataclass(frozen=True, slots=True)
class PlainWord:
    """Plain text: one of the words that the prompt lists."""


@dataclass(frozen=True, slots=True)
class AnyObject:
    """A JSON object whose key the prompt gives."""


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """JSON by a schema."""

    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function's arguments. legacy: of `functions`; named: the request names it, so the answer ends with `stop`, as
    OpenAI's do."""

    name: str
    schema: dict[str, Any]
    legacy: bool
    named: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedFormat:
    """stop: sequences that cut the answer. max_tokens: None for any number. alternatives: how many to show of each
    token with their logprobs, None without logprobs."""

    shape: PlainWord | AnyObject | SchemaObject | FunctionCall
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    alternatives: int | None = None


def requested_format(fields: Mapping[str, msgspec.Raw]) -> RequestedFormat | Unsupported:
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
        max_tokens=min(limits) if limits else None,
        alternatives=(asked.top_logprobs or 0) if asked.logprobs else None,
    )


def _shape(asked: FormatFields) -> PlainWord | AnyObject | SchemaObject | FunctionCall | Unsupported:
    call = _call(asked)
    if call is not None:
        return call
    form = asked.response_format
    if form is None or form.type == "text":
        return PlainWord()
    if form.type == "json_object":
        return AnyObject()
    if form.type == "json_schema" and form.json_schema is not None and form.json_schema.schema is not None:
        return SchemaObject(form.json_schema.schema)
    return Unsupported(UnsupportedReason.MALFORMED, "response_format")


def _call(asked: FormatFields) -> FunctionCall | Unsupported | None:
    """None where no function can be called."""
    if asked.tools and asked.tool_choice != "none":
        return _tool(asked.tools, asked.tool_choice)
    if asked.functions and asked.function_call != "none":
        if isinstance(asked.function_call, FunctionDefinition):
            return _named(asked.functions, asked.function_call.name, legacy=True)
        return Unsupported(UnsupportedReason.FREE_TOOLS, f"function_call {asked.function_call or 'auto'}")
    return None


def _tool(tools: list[Tool], choice: ToolChoice | str | None) -> FunctionCall | Unsupported:
    functions = [tool.function for tool in tools if tool.function]
    if len(functions) < len(tools):
        return Unsupported(UnsupportedReason.FREE_TOOLS, "custom tools")
    if isinstance(choice, ToolChoice) and choice.type != "function":
        return Unsupported(UnsupportedReason.FREE_TOOLS, f"tool_choice {choice.type}")
    if isinstance(choice, ToolChoice):
        return _named(functions, choice.function.name if choice.function else "", legacy=False)
    if choice == "required" and len(functions) == 1:
        return FunctionCall(functions[0].name, functions[0].parameters or {}, legacy=False, named=False)
    return Unsupported(UnsupportedReason.FREE_TOOLS, f"tool_choice {choice or 'auto'}")


def _named(functions: list[FunctionDefinition], name: str, *, legacy: bool) -> FunctionCall | Unsupported:
    for function in functions:
        if function.name == name:
            return FunctionCall(name, function.parameters or {}, legacy=legacy, named=True)
    return Unsupported(UnsupportedReason.MALFORMED, f"no function {name!r}")
