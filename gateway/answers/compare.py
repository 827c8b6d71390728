"""A label made here against the reference's answer: label by label, not string by string. Pure.

A word that is none of the labels, nor declared as an alias of one, is no answer.
Values of slots are compared as what they say, not how; that nothing is said of a slot is an answer, too. Only what was
made here is compared: another field of the reference's object, or how sure it says that it is, is no disagreement. What
cannot be read as an answer of the same shape is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from gateway.answers.make import Made
from gateway.answers.placed import Path
from gateway.answers.said import Said, bare, streamed, whole
from gateway.answers.values import Values
from gateway.spelling import Names, folded

_FINISHED = frozenset({"stop", "tool_calls", "function_call"})


class Result(StrEnum):
    """How a pair compares; all but the first count as a disagreement."""

    AGREES = "agrees"
    DIFFERS = "differs"
    MISSING = "missing"
    """No answer, one that is cut short or refused, or one that is none of the labels."""


def compare(made: Made, names: Names, body: bytes, *, stream: bool, values: Values) -> Result:
    """made: what would have been answered; names: all labels that it could have been; body: of the reference's answer,
    of a stream all events; values: by which values of slots are held against each other. Where the reference gives
    several choices, all have to agree."""
    return _compared(_Judge(made, made.content, names, values), body, stream=stream)


def _compared(judge: "_Judge", body: bytes, *, stream: bool) -> Result:
    try:
        said = streamed(body) if stream else whole(body)
        results = [judge.choice(one) for one in said]
    except (msgspec.DecodeError, RecursionError, ValueError, ArithmeticError):
        return Result.MISSING
    if not results or Result.MISSING in results:
        return Result.MISSING
    return Result.DIFFERS if Result.DIFFERS in results else Result.AGREES


def again(made: Made, names: Names, first: bytes, second: bytes, *, stream: bool, values: Values) -> Result:
    """A reference's second answer, in one piece, against its first, of which stream says whether it is events: by the
    same measure, where something was made. made: what would have been answered, for the shape."""
    try:
        said = streamed(first) if stream else whole(first)
    except (msgspec.DecodeError, RecursionError):
        return Result.MISSING
    if not said:
        return Result.MISSING
    one = said[0]
    content = one.content if made.call is None else next((arguments for _, arguments in one.calls.values()), "")
    return _compared(_Judge(made, bare(content), names, values), second, stream=False)


@dataclass(frozen=True, slots=True)
class _Judge:
    """One answer. made: what would have been answered here, which says what is compared; answer: what stands there, its
    content or that of another answer in the same shape."""

    made: Made
    answer: str
    names: Names
    values: Values

    def choice(self, said: Said) -> Result:
        """One choice of the reference's. Raises msgspec.DecodeError where it should be JSON and is not."""
        if said.refused or said.finish not in _FINISHED:
            return Result.MISSING
        if self.made.call is not None:
            if len(said.calls) != 1:
                return Result.MISSING
            [(name, arguments)] = said.calls.values()
            return self._object(arguments) if name == self.made.call.name else Result.DIFFERS
        if self.made.content == self.made.label:
            return self._word(self.answer, said.content)
        return self._object(said.content)

    def _word(self, label: str, text: str) -> Result:
        if folded(text) == folded(label):
            return Result.AGREES
        theirs = self.names.meant(text)
        if theirs is None:
            return Result.MISSING
        return Result.AGREES if theirs == self.names.meant(label) else Result.DIFFERS

    def _object(self, text: str) -> Result:
        made, ours, theirs = map(msgspec.json.decode, (self.made.content, self.answer, bare(text)))
        slots = [self._slot(name, _at(ours, path), _at(theirs, path)) for path, name in self.made.slots.items()]
        return _worst([self._value(made, ours, theirs, ()), *slots])

    def _slot(self, name: str, ours: Any, theirs: Any) -> Result:
        return Result.AGREES if self.values.same(name, ours, theirs) else Result.DIFFERS

    def _value(self, made: Any, ours: Any, theirs: Any, path: Path) -> Result:
        if path in self.made.slots:
            return Result.AGREES
        if isinstance(made, Mapping):
            if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping):
                return Result.MISSING
            return _worst(
                [self._value(part, ours.get(name), theirs.get(name), (*path, name)) for name, part in made.items()]
            )
        if isinstance(made, list):
            return self._labels(ours, theirs)
        if not isinstance(made, str) or self.names.meant(made) is None:
            # nothing, a constant, or how sure one is: no label
            return Result.AGREES
        return self._word(ours, theirs) if isinstance(ours, str) and isinstance(theirs, str) else Result.MISSING

    def _labels(self, ours: Any, theirs: Any) -> Result:
        if not _are_words(ours) or not _are_words(theirs):
            return Result.MISSING
        return Result.AGREES if set(map(self._key, ours)) == set(map(self._key, theirs)) else Result.DIFFERS

    def _key(self, word: str) -> str:
        return self.names.meant(word) or folded(word)


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _at(value: Any, path: Path) -> Any:
    """What stands at a place in an object; None where nothing does."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _worst(results: list[Result]) -> Result:
    order = (Result.MISSING, Result.DIFFERS)
    return next((one for one in order if one in results), Result.AGREES)
