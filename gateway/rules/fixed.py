"""Whether a rule's fixed text can be the answer to what a request asks for. Pure."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.answers.allowed import refused
from gateway.answers.shape import AnyObject, Document, Wanted, wanted
from gateway.answers.unmet import Reason, Unmet

_TELL: Final = frozenset({"response_format", "logprobs", "top_logprobs", "modalities", "audio", "web_search_options"})
"""The fields that a text has to fit. It is short, and no word of it is a label's."""
_FREE: Final = frozenset({"auto", "none"})


def unfit(text: str, fields: Mapping[str, Raw]) -> Unmet | None:
    """Why the text is none; None where it is one. fields: a request's top-level fields with their bytes."""
    try:
        free = all(_may_write(fields[name]) for name in ("tool_choice", "function_call") if name in fields)
    except (msgspec.DecodeError, RecursionError) as error:
        return Unmet(Reason.MALFORMED, str(error))
    if not free:
        return Unmet(Reason.NO_PLACE, "a call of a function")
    found = wanted({name: value for name, value in fields.items() if name in _TELL})
    if isinstance(found, Unmet):
        return found
    return _of_shape(text, found)


def _may_write(choice: Raw) -> bool:
    """Whether the model may answer in text instead of calling a function. choice: `tool_choice` or what came before it:
    a word, or an object that has it as its type or, of some tools that are allowed, as their mode.

    Raises msgspec.DecodeError and RecursionError."""
    value = msgspec.json.decode(choice)
    if isinstance(value, dict):
        allowed = value.get("allowed_tools", value)
        of_some = value.get("type") == "allowed_tools" and isinstance(allowed, dict)
        value = allowed.get("mode") if of_some else value.get("type", "function")
    return value is None or (isinstance(value, str) and value in _FREE)


def _of_shape(text: str, asked: Wanted) -> Unmet | None:
    if asked.alternatives is not None:
        return Unmet(Reason.MODALITY, "logprobs of a fixed text")
    if isinstance(asked.shape, AnyObject):
        return _of_schema(text, {})
    return _of_schema(text, asked.shape.schema) if isinstance(asked.shape, Document) else None


def _of_schema(text: str, schema: Mapping[str, Any]) -> Unmet | None:
    try:
        value = msgspec.json.decode(text)
        strange = refused(schema, value)
    except msgspec.DecodeError:
        return Unmet(Reason.NO_PLACE, "the text is not JSON")
    except (TypeError, ArithmeticError, RecursionError) as error:
        return Unmet(Reason.SCHEMA, str(error))
    if strange is not None or not isinstance(value, dict):
        return Unmet(Reason.SCHEMA, "the text is not such a document")
    return None
