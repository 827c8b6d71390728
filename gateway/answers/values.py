"""Whether two values of a slot are one: numbers as numbers, amounts with their currency, dates and times as what they
name, text folded. Pure."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from classifiers.policy import Slot
from classifiers.slots.values import number
from classifiers.slots.values.currencies import DOLLARS
from classifiers.slots.values.read import read
from gateway.spelling import folded

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
            said = number.read(value)
            return _Key(said if said is not None else folded(value))
        if slot.type == "money":
            return self._amount(slot, value) or _Key(folded(value))
        match = _ISO.fullmatch(value.strip())
        words = " ".join(filter(None, match.groups())) if match else value
        found = read(slot, words, self.now, languages=self.languages)
        if found is None:
            return _Key(folded(value))
        return _Key(folded(str(found.value)) if slot.type in ("text", "enum") else found.value)

    def _amount(self, slot: Slot, words: str) -> _Key | None:
        """An amount and the currencies that its words leave open, whichever the policy supposes; None of no amount."""
        supposed = (slot, *(slot.model_copy(update={"currency": code}) for code in ("CAD", "EUR")))
        own, dollars, euros = (read(one, words, self.now, languages=self.languages) for one in supposed)
        if dollars is not None and euros is not None and dollars.currency != euros.currency:
            return _Key(Decimal(str(dollars.value)), None if euros.currency == "EUR" else DOLLARS)
        found = [one for one in (own, dollars) if one is not None]
        codes = frozenset(one.currency for one in found if one.currency is not None)
        return _Key(Decimal(str(found[0].value)), codes) if codes else None
