"""A label made here against the reference's answer: label by label, not string by string. Pure.

Only what was made here is compared: another field of the reference's object, or how sure it says that it is, is no
disagreement. What cannot be read as an answer of the same shape is missing.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from gateway.answers.make import Made
from gateway.answers.spelling import folded
from gateway.wire import chat, sse

_FINISHED = frozenset({"stop", "tool_calls", "function_call"})


class Result(StrEnum):
    """How a pair compares; all but the first count as a disagreement."""

    AGREES = "agrees"
    DIFFERS = "differs"
    MISSING = "missing"
    """No answer, one that is cut short or refused, or one that is none of the labels."""


def compare(made: Made, known: tuple[str, ...], body: bytes, *, stream: bool) -> Result:
    """made: what would have been answered; known: all labels that it could have been; body: of the reference's answer,
    of a stream all events. Where the reference gives several choices, all have to agree."""
    try:
        said = _streamed(body) if stream else _whole(body)
        results = [_choice(made, frozenset(map(folded, known)), one) for one in said]
    except (msgspec.DecodeError, RecursionError, ValueError):
        return Result.MISSING
    if not results or Result.MISSING in results:
        return Result.MISSING
    return Result.DIFFERS if Result.DIFFERS in results else Result.AGREES


class _Said(msgspec.Struct):
    """One choice of the reference's answer, joined where it was streamed. calls: arguments of functions by name."""

    content: str = ""
    refused: bool = False
    finish: str = ""
    calls: dict[int, tuple[str, str]] = {}


def _whole(body: bytes) -> list[_Said]:
    said: dict[int, _Said] = {}
    _take(said, body)
    return list(said.values())


def _streamed(body: bytes) -> list[_Said]:
    said: dict[int, _Said] = {}
    splitter = sse.Splitter()
    for event in (*splitter.feed(body), splitter.flush()):
        data = sse.data_of(event)
        if data and data != b"[DONE]":
            _take(said, data)
    return list(said.values())


def _take(said: dict[int, _Said], data: bytes) -> None:
    for place, choice in enumerate(chat.decode_answer(data).choices or ()):
        number = choice.index if choice.index is not None else place
        one = said.setdefault(number, _Said())
        one.finish = choice.finish_reason or one.finish
        message = choice.message or choice.delta
        if message is None:
            continue
        one.content += message.content or ""
        one.refused = one.refused or bool(message.refusal)
        for index, call in enumerate(message.tool_calls or ()):
            if call.function is not None:
                _call(one, call.index if call.index is not None else index, call.function)
        if message.function_call is not None:
            _call(one, 0, message.function_call)


def _call(one: _Said, index: int, function: chat.Function) -> None:
    name, arguments = one.calls.get(index, ("", ""))
    one.calls[index] = (name or function.name or "", arguments + (function.arguments or ""))


def _choice(made: Made, known: frozenset[str], said: _Said) -> Result:
    if said.refused or said.finish not in _FINISHED:
        return Result.MISSING
    if made.call is not None:
        if len(said.calls) != 1:
            return Result.MISSING
        [(name, arguments)] = said.calls.values()
        return _object(made, known, arguments) if name == made.call.name else Result.DIFFERS
    if made.content == made.label:
        return _word(made.label, known, said.content)
    return _object(made, known, said.content)


def _word(label: str, known: frozenset[str], text: str) -> Result:
    word = folded(text)
    if word == folded(label):
        return Result.AGREES
    return Result.DIFFERS if word in known else Result.MISSING


def _object(made: Made, known: frozenset[str], text: str) -> Result:
    return _value(msgspec.json.decode(made.content), msgspec.json.decode(_bare(text)), known)


def _bare(text: str) -> str:
    """JSON without the fence that some models put around it."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text.strip("`").removeprefix("json")
    return text


def _value(ours: Any, theirs: Any, known: frozenset[str]) -> Result:
    if isinstance(ours, Mapping):
        if not isinstance(theirs, Mapping):
            return Result.MISSING
        return _worst([_value(part, theirs.get(name), known) for name, part in ours.items()])
    if isinstance(ours, list):
        return _labels(ours, theirs)
    if not isinstance(ours, str) or folded(ours) not in known:
        # nothing, a constant, or how sure one is: no label
        return Result.AGREES
    return _word(ours, known, theirs) if isinstance(theirs, str) else Result.MISSING


def _labels(ours: list[Any], theirs: Any) -> Result:
    if not isinstance(theirs, list) or not all(isinstance(one, str) for one in theirs):
        return Result.MISSING
    return Result.AGREES if set(map(folded, ours)) == set(map(folded, theirs)) else Result.DIFFERS


def _worst(results: list[Result]) -> Result:
    order = (Result.MISSING, Result.DIFFERS)
    return next((one for one in order if one in results), Result.AGREES)
