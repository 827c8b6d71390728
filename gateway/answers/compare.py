"""A label made here against the reference's answer: label by label, not string by string. Pure.

A word that is none of the labels, nor declared as an alias of one, is no answer.
Values of slots are compared as what they say, not how; that nothing is said of a slot is an answer, too. Only what was
made here is compared: another field of the reference's object, or how sure it says that it is, is no disagreement. What
cannot be read as an answer of the same shape is missing.

Whether two values of a slot are one: numbers as numbers, amounts with their currency, dates and times as what they
name, text folded. Pure.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

from classifiers.policy import Slot
from classifiers.slots.values import numbers
from classifiers.slots.values.money import DOLLARS
from classifiers.slots.values.read import read_value
from gateway.answers.build import LocalAnswer
from gateway.answers.format import Path
from gateway.answers.parse import Completion, bare, streamed, whole
from gateway.spelling import Names, folded

_ISO: Final = re.compile(r"(?:(\d{4}-\d\d-\d\d)[T ])?(\d{1,2}:\d\d)(?::00(?:\.0+)?)?(?:Z|[+-]00:00)?")
"""A time, perhaps with its date, and what machines write behind it that says no more."""
_NOTHING: Final[tuple[object, ...]] = (None, "", [])


@dataclass(frozen=True, slots=True)
class _Key:
    """What a value says, however it is written; currencies: those that an amount may be of, None of a bare number,
    which may be of any."""

    said: object
    currencies: frozenset[str] | None = None

    def fits(self, other: "_Key") -> bool:
        """Whether both may say the same."""
        if self.said != other.said:
            return False
        return self.currencies is None or other.currencies is None or bool(self.currencies & other.currencies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """A policy's slots and how their words are read. now: what `tomorrow` is relative to."""

    slots: Mapping[str, Slot] = field(default_factory=dict)
    languages: tuple[str, ...] = ("en",)
    now: datetime = field(default_factory=lambda: datetime.now().astimezone())

    def same(self, name: str, ours: Any, theirs: Any) -> bool:
        """Whether both say the same of a slot, or both say nothing. Of lists, in whatever order."""
        if isinstance(ours, list):
            return isinstance(theirs, list | None) and self._all(name, ours, theirs or [])
        if ours in _NOTHING or theirs in _NOTHING:
            return ours in _NOTHING and theirs in _NOTHING
        return self._key(name, ours).fits(self._key(name, theirs))

    def _all(self, name: str, ours: list[Any], theirs: list[Any]) -> bool:
        """Whether each of ours is one of theirs; those of the fewest currencies look first, and at such first."""
        if len(ours) != len(theirs):
            return False
        left = self._keys(name, theirs)
        for key in self._keys(name, ours):
            found = next((one for one in left if key.fits(one)), None)
            if found is None:
                return False
            left.remove(found)
        return True

    def _keys(self, name: str, values: list[Any]) -> list[_Key]:
        keys = [self._key(name, value) for value in values]
        return sorted(keys, key=lambda key: math.inf if key.currencies is None else len(key.currencies))

    def _key(self, name: str, value: Any) -> _Key:
        slot = self.slots[name]
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return _Key(("other", repr(value)))
        if isinstance(value, int | float):
            return _Key(Decimal(str(value)) if slot.type in ("number", "money") else str(value))
        if slot.type == "number":
            said = numbers.read(value)
            return _Key(said if said is not None else folded(value))
        if slot.type == "money":
            return self._amount(slot, value) or _Key(folded(value))
        match = _ISO.fullmatch(value.strip())
        words = " ".join(filter(None, match.groups())) if match else value
        found = read_value(slot, words, self.now, languages=self.languages)
        if found is None:
            return _Key(folded(value))
        return _Key(folded(str(found.value)) if slot.type in ("text", "enum") else found.value)

    def _amount(self, slot: Slot, words: str) -> _Key | None:
        """An amount and the currencies that its words leave open, whichever the policy supposes; None of no amount."""
        supposed = (slot, *(slot.model_copy(update={"currency": code}) for code in ("CAD", "EUR")))
        own, dollars, euros = (read_value(one, words, self.now, languages=self.languages) for one in supposed)
        if dollars is not None and euros is not None and dollars.currency != euros.currency:
            return _Key(Decimal(str(dollars.value)), None if euros.currency == "EUR" else DOLLARS)
        found = [one for one in (own, dollars) if one is not None]
        codes = frozenset(one.currency for one in found if one.currency is not None)
        return _Key(Decimal(str(found[0].value)), codes) if codes else None


_FINISHED = frozenset({"stop", "tool_calls", "function_call"})


class Result(StrEnum):
    """How a pair compares; all but the first count as a disagreement."""

    AGREES = "agrees"
    DIFFERS = "differs"
    MISSING = "missing"
    """No answer, one that is cut short or refused, or one that is none of the labels."""


def compare(made: LocalAnswer, names: Names, body: bytes, *, stream: bool, values: Values) -> Result:
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


def again(made: LocalAnswer, names: Names, first: bytes, second: bytes, *, stream: bool, values: Values) -> Result:
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

    made: LocalAnswer
    answer: str
    names: Names
    values: Values

    def choice(self, said: Completion) -> Result:
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
