"""A judge's answer → the labels that it says apply. Pure.

Whatever is not plainly a verdict is none: the rule's `when_broken` then decides.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.answers.said import bare, whole
from gateway.spelling import folded
from gateway.wire import moderations


class Unreadable(Exception):
    """The answer is no verdict; the message says why."""


class _Verdict(Struct, forbid_unknown_fields=True):
    labels: list[str]


class _Reason(Struct):
    code: str | int | None = None
    type: Any = None
    param: Any = None


class _Refusal(Struct):
    error: _Reason


_NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises; before 0.23 it raises UnicodeDecodeError for strings that are not UTF-8."""
_decode = msgspec.json.Decoder(_Verdict).decode
_decode_refusal = msgspec.json.Decoder(_Refusal).decode
_FILTERED = ("content_filter", "content_policy_violation")
"""How Azure OpenAI and OpenAI call it where a filter of theirs stops a question for what it holds."""


def is_filtered(body: bytes) -> bool:
    """Whether a server refuses a question, with status 400, because of the text in it."""
    try:
        return _decode_refusal(body).error.code in _FILTERED
    except _NO_JSON:
        return False


def why_refused(body: bytes) -> str:
    """What a server's refusal names beside its message: `code: …, type: …, param: …`, those that are plain names."""
    try:
        reason = _decode_refusal(body).error
    except _NO_JSON:
        return ""
    said = {"code": reason.code, "type": reason.type, "param": reason.param}
    return ", ".join(f"{what}: {value}" for what, value in said.items() if value and _is_plain(str(value)))


def _is_plain(value: str) -> bool:
    return re.fullmatch(r"[\w.\[\]-]{1,64}", value, re.ASCII) is not None


def _without_name(error: Exception) -> str:
    """Why msgspec takes it for none, without the name of a field that it has too many: it may be words of the text."""
    field, _, name = str(error).partition(" unknown field")
    return f"{field} unknown field" if name else field


def of_chat(body: bytes, labels: Sequence[str]) -> tuple[str, ...]:
    """The labels that a chat model names, in the policy's order. Raises Unreadable."""
    try:
        said = whole(body)
        if len(said) != 1 or said[0].refused or said[0].finish not in ("", "stop"):
            raise Unreadable("it refused, or broke off")
        named = _decode(bare(said[0].content)).labels
    except _NO_JSON as error:
        raise Unreadable(f"it is not the JSON that was asked for: {_without_name(error)}") from error
    known = {folded(label): label for label in labels}
    unknown = [name for name in named if folded(name) not in known]
    if unknown:
        # what it names may be words of the text
        raise Unreadable(f"it names {len(unknown)} of {len(named)} that are no label")
    found = {known[folded(name)] for name in named}
    return tuple(label for label in labels if label in found)


def of_moderation(body: bytes, categories: Mapping[str, Sequence[str]], texts: int) -> tuple[str, ...]:
    """The labels of which a moderation endpoint flags a category, in the policy's order. Raises Unreadable.

    categories: of each label; texts: how many were asked about.
    """
    try:
        results = moderations.decode_heard(body).results
    except _NO_JSON as error:
        raise Unreadable(f"it is no moderation: {error}") from error
    if len(results) != texts:
        raise Unreadable(f"it has {len(results)} results for {texts} texts")
    for result in results:
        for label, names in categories.items():
            found = [result.categories[name] for name in names if name in result.categories]
            if not any(found) and (not found or None in found):
                raise Unreadable(f"it knows no category for {label}, or not all of them")
    return tuple(
        label
        for label, names in categories.items()
        if any(result.categories.get(name) for result in results for name in names)
    )
