"""Whether a rule's fixed text can be the answer to what a request asks for. Pure."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.answers.allowed import refused
from gateway.answers.shape import AnyObject, Call, Document, Wanted, Word, wanted
from gateway.answers.unmet import Reason, Unmet

_TOOLS: Final = frozenset({"tools", "tool_choice", "functions", "function_call"})
_FREE: Final = frozenset({b"null", b'"auto"', b'"none"'})


def unfit(text: str, fields: Mapping[str, Raw]) -> Unmet | None:
    """Why the text is none; None where it is one. fields: a request's top-level fields with their bytes."""
    asked = {name: value for name, value in fields.items() if name not in _TOOLS} if _may_write(fields) else fields
    found = wanted(dict(asked))
    if isinstance(found, Unmet):
        return found
    return _of_shape(text, found)


def _may_write(fields: Mapping[str, Raw]) -> bool:
    """Whether the model may answer in text instead of calling a function."""
    return all(bytes(fields.get(name, b"null")) in _FREE for name in ("tool_choice", "function_call"))


def _of_shape(text: str, asked: Wanted) -> Unmet | None:
    if asked.alternatives is not None:
        return Unmet(Reason.MODALITY, "logprobs of a fixed text")
    match asked.shape:
        case Word():
            return None
        case AnyObject():
            return _of_schema(text, {})
        case Document(schema):
            return _of_schema(text, schema)
        case Call(name):
            return Unmet(Reason.NO_PLACE, f"a call of {name}")


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
