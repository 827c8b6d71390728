"""Whether two values of a slot are one: numbers as numbers, dates and times as what they name, text folded. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from classifiers.policy import Slot
from classifiers.slots.values import number
from classifiers.slots.values.read import read
from gateway.spelling import folded

_SECONDS: Final = re.compile(r"(\d{1,2}:\d\d):00(?:\.0+)?(?:Z|[+-]00:00)?")
_NOTHING: Final[tuple[object, ...]] = (None, "", [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """A policy's slots and how their words are read. now: what `tomorrow` is relative to."""

    slots: Mapping[str, Slot] = field(default_factory=dict)
    languages: tuple[str, ...] = ("en",)
    now: datetime = field(default_factory=lambda: datetime.now().astimezone())

    def same(self, name: str, ours: Any, theirs: Any) -> bool:
        """Whether both say the same of a slot, or both say nothing. Of lists, in whatever order."""
        if isinstance(ours, list):
            return isinstance(theirs, list | None) and self._all(name, ours) == self._all(name, theirs or [])
        if ours in _NOTHING or theirs in _NOTHING:
            return ours in _NOTHING and theirs in _NOTHING
        return self._key(name, ours) == self._key(name, theirs)

    def _all(self, name: str, values: list[Any]) -> list[str]:
        return sorted(repr(self._key(name, value)) for value in values)

    def _key(self, name: str, value: Any) -> object:
        """What a value says, however it is written: two are the same where their keys are."""
        slot = self.slots[name]
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return ("other", repr(value))
        if isinstance(value, int | float):
            return Decimal(str(value)) if slot.type in ("number", "money") else str(value)
        if slot.type == "number":
            said = number.read(value)
            return said if said is not None else folded(value)
        match = _SECONDS.fullmatch(value.strip())
        found = read(slot, match[1] if match else value, self.now, languages=self.languages)
        if found is None:
            return folded(value)
        if slot.type == "money":
            return Decimal(str(found.value))
        return folded(str(found.value)) if slot.type in ("text", "enum") else found.value
