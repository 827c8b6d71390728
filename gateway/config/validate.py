"""Validates data with pydantic; its errors become problems at their place in the file."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.problems import Problem, did_you_mean
from gateway.config.source import DataPath, Document

M = TypeVar("M", bound=BaseModel)

_NAME: Final = "must be lower-case letters, digits, - and _ only"
_SLOT_NAME: Final = "must begin with a lower-case letter and have letters, digits, - and _ only"
_TYPES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "must be a mapping of keys to values"),
    **dict.fromkeys(("tuple_type", "list_type"), "must be a list"),
    "string_type": "must be a word or text",
    "union_tag_not_found": "needs kind:",
}
_PATTERNS: Final[Mapping[str | int, str]] = {
    "as_of": "must be a date such as 2026-11-25",
    "hours": "must be from one time to another, such as 07:00-20:00",
}


def validate(document: Document, schema: type[M]) -> M | None:
    """The document as `schema`. Where it does not fit, None, and the reasons are added to its problems."""
    if not isinstance(document.data, dict):
        document.problems.append(document.problem((), "must be a mapping of keys to values"))
        return None
    try:
        return schema.model_validate(document.data)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            problem = _problem(document, schema, detail)
            if problem not in document.problems:
                document.problems.append(problem)
        return None


def _problem(document: Document, schema: type[BaseModel], detail: ErrorDetails) -> Problem:
    path = path_in(document.data, detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        word = str(detail["loc"][-1])
        path = (*path, word) if not path or path[-1] != word else path
        message = "no such key" + did_you_mean(word, _known_keys(schema, detail["loc"][:-1]))
    elif detail["type"] == "missing":
        message = f"needs {detail['loc'][-1]}:"
    elif detail["type"] in ("literal_error", "union_tag_invalid"):
        context = detail.get("ctx", {})
        word = str(context.get("tag", detail["input"]))
        known = str(context.get("expected", context.get("expected_tags", ""))).replace("'", "")
        choices = known.replace(" or ", ", ").split(", ")
        if detail["loc"][-1:] == ("word",):
            # in place of the word a mapping may stand; aliases: are no form of their own
            choices += [f"{{{key}: …}}" for key in _known_keys(schema, detail["loc"][:-1]) if key != "aliases"]
        message = f"{word!r} is not known here" + did_you_mean(word, choices)
    elif detail["type"] in _TYPES:
        message = _TYPES[detail["type"]] + _mend(detail)
        if path[:1] == ("labels",) and len(path) == 2 and isinstance(detail["input"], str):
            message += "; write {means: …}"
    elif detail["type"] == "string_pattern_mismatch":
        name = _SLOT_NAME if "slots" in path[-2:] else _NAME
        message = f"{detail['input']!r} {_PATTERNS.get(path[-1] if path else '', name)}"
    elif not path:
        # an error of the whole file may begin with the key that it is about
        key, _, rest = message.partition(": ")
        keys = tuple(key.split("."))
        if path_in(document.data, keys) == keys:
            path, message = keys, rest
    return document.problem(path, message)


def _mend(detail: ErrorDetails) -> str:
    """How to mend what YAML read as a word before a colon, or as nothing before a #."""
    if detail["type"] != "string_type" or not isinstance(detail["input"], Mapping | None):
        return ""
    if detail["input"] is None:
        return ", but is empty; put text that begins with # in quotes"
    return '; put text that holds ": " in quotes'


def path_in(data: Any, loc: tuple[str | int, ...]) -> DataPath:
    """pydantic's location without what the file does not have: union tags, the index of a thing that stands alone."""
    path: list[str | int] = []
    for key in loc:
        in_mapping = isinstance(data, Mapping) and key in data
        in_list = isinstance(data, list) and isinstance(key, int) and key < len(data)
        if not (in_mapping or in_list):
            continue
        data = data[key]
        path.append(key)
    return tuple(path)


def _known_keys(schema: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that the model at `loc` takes, found by following annotations."""
    models = [schema]
    for key in loc:
        following: list[type[BaseModel]] = []
        for model in models:
            for name, info in model.model_fields.items():
                if key in (name, info.alias):
                    following += _models_in(info.annotation)
        models = following or models
    return [info.alias or name for model in models for name, info in model.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
