"""Compares a local answer with the reference's: everything that the client would parse. Pure.

Each field that either of the two sets is compared: labels byte for byte but for white space at the ends, unless the
rule calls two words aliases; slot values by what they mean (numbers as numbers, amounts with their currency, dates and
times as what they name, text without case and signs), all else as it is. A field left out is a field that is null.
Lists agree in their length and, unless the schema or the rule frees it, in their order. Not compared are fields that
the rule ignores, and how sure the answer says it is. A word that is no label and no alias is missing, and so is an
answer of another shape.
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
from classifiers.slots.values import money, numbers
from classifiers.slots.values.money import DOLLARS
from classifiers.slots.values.read import narrow, read_value
from gateway.answers.build import LocalAnswer
from gateway.answers.format import Path
from gateway.answers.parse import Completion, CompletionChoice
from gateway.spelling import BARE, Form, LabelNames, forms_in, normalized

_ISO: Final = re.compile(r"(?:(\d{4}-\d\d-\d\d)[T ])?(\d{1,2}:\d\d)(?::00(?:\.0+)?)?(?:Z|[+-]00:00)?")
"""A time, perhaps with its date; what machines write after it adds nothing."""
_EMPTY: Final[tuple[object, ...]] = (None, "", [])
_FINISHED: Final = frozenset({"stop", "tool_calls", "function_call"})


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a value means, however it is written. currencies: those that an amount may be of; None of a bare number."""

    value: object
    currencies: frozenset[str] | None = None

    def fits(self, other: "_Meaning") -> bool:
        """Whether both may mean the same."""
        if self.value != other.value:
            return False
        return self.currencies is None or other.currencies is None or bool(self.currencies & other.currencies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Compares slot values. slots: a policy's; languages: of their words; now: what `tomorrow` is relative to."""

    slots: Mapping[str, Slot] = field(default_factory=dict)
    languages: tuple[str, ...] = ("en",)
    now: datetime = field(default_factory=lambda: datetime.now().astimezone())

    def same(self, name: str, ours: Any, theirs: Any, *, ordered: bool = False) -> bool:
        """Whether two values of a slot mean the same. Both may be empty. ordered: whether lists are."""
        if isinstance(ours, list):
            if not isinstance(theirs, list | None) or len(ours) != len(theirs or []):
                return False
            if ordered:
                return all(self.same(name, *pair) for pair in zip(ours, theirs or [], strict=True))
            return self._same_lists(name, ours, theirs or [])
        if ours in _EMPTY or theirs in _EMPTY:
            return ours in _EMPTY and theirs in _EMPTY
        return self._meaning(name, ours).fits(self._meaning(name, theirs))

    def _same_lists(self, name: str, ours: list[Any], theirs: list[Any]) -> bool:
        """Pairs off the values; those of the fewest currencies choose first, and choose such first."""
        left = self._meanings(name, theirs)
        for meaning in self._meanings(name, ours):
            match = next((other for other in left if meaning.fits(other)), None)
            if match is None:
                return False
            left.remove(match)
        return True

    def _meanings(self, name: str, values: list[Any]) -> list[_Meaning]:
        meanings = [self._meaning(name, value) for value in values]
        return sorted(meanings, key=lambda each: math.inf if each.currencies is None else len(each.currencies))

    def _meaning(self, name: str, value: Any) -> _Meaning:
        slot = self.slots[name]
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return _Meaning(("other", repr(value)))
        if isinstance(value, int | float):
            return _Meaning(Decimal(str(value)) if slot.type in ("number", "money") else str(value))
        if slot.type == "number":
            number = numbers.read(value)
            return _Meaning(number if number is not None else normalized(value))
        if slot.type == "money":
            return self._amount(value) or _Meaning(normalized(value))
        match = _ISO.fullmatch(value.strip())
        words = " ".join(filter(None, match.groups())) if match else value
        read = read_value(slot, words, self.now, languages=self.languages)
        if read is None:
            return _Meaning(normalized(value))
        return _Meaning(normalized(str(read.value)) if slot.type in ("text", "enum") else read.value)

    def _amount(self, words: str) -> _Meaning | None:
        """An amount, and every currency that its words allow; None if it is no amount."""
        own, dollars, euros = (money.read(narrow(words), currency) for currency in (None, "CAD", "EUR"))
        if dollars is not None and euros is not None and dollars.currency != euros.currency:
            return _Meaning(Decimal(str(dollars.value)), None if euros.currency == "EUR" else DOLLARS)
        amounts = [amount for amount in (own, dollars) if amount is not None]
        codes = frozenset(amount.currency for amount in amounts if amount.currency is not None)
        return _Meaning(Decimal(str(amounts[0].value)), codes) if codes else None


class Result(StrEnum):
    """How a pair compares; all but the first count as a disagreement."""

    AGREES = "agrees"
    DIFFERS = "differs"
    MISSING = "missing"
    """No answer, one that is cut short or refused, or one that is none of the labels."""


def compare(local: LocalAnswer, names: LabelNames, completion: Completion, *, values: Values) -> Result:
    """The reference's completion against a local answer. All of its choices have to agree. names: all labels that the
    local answer could have had; values: compares the values of slots."""
    return _Comparison(local, local.content, names, values).result(completion)


def compare_again(
    local: LocalAnswer, names: LabelNames, first: Completion, second: Completion, *, values: Values
) -> Result:
    """The reference's second completion against the first choice of its first one, by the same measure. local: the
    answer that would have been given here, for its shape."""
    try:
        choices = first.choices
    except (msgspec.DecodeError, RecursionError):
        return Result.MISSING
    if not choices:
        return Result.MISSING
    content = choices[0].content
    if local.call is not None:
        content = next((arguments for _, arguments in choices[0].calls.values()), "")
    return _Comparison(local, content, names, values).result(second)


def forms_shown(local: LocalAnswer, completion: Completion | None) -> tuple[Form, ...]:
    """The forms that the reference's answer may have, where it gives the label that the local one gives."""
    try:
        content = completion.choices[0].content.strip() if completion and completion.choices else ""
    except (msgspec.DecodeError, RecursionError):
        return ()
    if local.is_word and local.label is not None:
        return forms_in(content, local.label)
    start, end = content.find("{"), content.rfind("}") + 1
    if local.call is not None or start < 0 or end <= start:
        return ()
    return (Form(before=content[:start], after=content[end:]),)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """local: says what is compared, by its shape; content: the local answer's, or another answer's in that shape."""

    local: LocalAnswer
    content: str
    names: LabelNames
    values: Values

    def result(self, completion: Completion) -> Result:
        try:
            return _worst([self._choice(choice) for choice in completion.choices] or [Result.MISSING])
        except (msgspec.DecodeError, RecursionError, ValueError, ArithmeticError):
            return Result.MISSING

    def _choice(self, choice: CompletionChoice) -> Result:
        """Raises msgspec.DecodeError where the choice should be JSON and is not."""
        if choice.refused or choice.finish not in _FINISHED:
            return Result.MISSING
        if self.local.call is not None:
            if len(choice.calls) != 1:
                return Result.MISSING
            [(name, arguments)] = choice.calls.values()
            return self._object(arguments) if name == self.local.call.name else Result.DIFFERS
        if self.local.is_word:
            return _word(self.names, self.content, choice.content, self.local.form)
        return self._object(choice.content)

    def _object(self, text: str) -> Result:
        ours, theirs = (msgspec.json.decode(self.local.form.inner(each)) for each in (self.content, text))
        return self._part(ours, theirs, ())

    def _part(self, ours: Any, theirs: Any, path: Path) -> Result:
        local = self.local
        if path in local.uncompared:
            return Result.AGREES
        if path in local.slots:
            same = self.values.same(local.slots[path], ours, theirs, ordered=path not in local.unordered)
            return Result.AGREES if same else Result.DIFFERS
        if isinstance(ours, Mapping) or not path:
            if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping):
                return Result.MISSING
            return _worst([self._part(ours.get(name), theirs.get(name), (*path, name)) for name in {**ours, **theirs}])
        names = self.names if path == local.label_at else local.further.get(path)
        if names is not None:
            return _label(names, ours, theirs, ordered=path not in local.unordered)
        # a constant, or a field that is empty here
        return Result.AGREES if ours == theirs else Result.DIFFERS


def _word(names: LabelNames, ours: str, theirs: str, form: Form = BARE) -> Result:
    if theirs.strip() == ours.strip():
        return Result.AGREES
    label, other = (names.resolve(form.inner(text)) for text in (ours, theirs))
    if other is None:
        return Result.MISSING
    declared = label == other and other in names.aliases
    written = (form.of(word).strip() for word in names.words(other)) if declared else ()
    return Result.AGREES if theirs.strip() in written else Result.DIFFERS


def _label(names: LabelNames, ours: Any, theirs: Any, *, ordered: bool) -> Result:
    """One label or a list of them. names: all that the field's classifier can name."""
    if not isinstance(ours, list):
        return _word(names, ours, theirs) if isinstance(ours, str) and isinstance(theirs, str) else Result.MISSING
    if not _are_words(ours) or not _are_words(theirs):
        return Result.MISSING
    if not ordered:
        ours, theirs = (sorted(words, key=lambda word: names.resolve(word) or word) for words in (ours, theirs))
    pairs = zip(ours, theirs, strict=False)
    same = len(ours) == len(theirs) and all(_word(names, *both) is Result.AGREES for both in pairs)
    return Result.AGREES if same else Result.DIFFERS


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _worst(results: list[Result]) -> Result:
    return next((result for result in (Result.MISSING, Result.DIFFERS) if result in results), Result.AGREES)
