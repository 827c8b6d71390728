"""A slot's words → its value, by the slot's type."""

from collections.abc import Sequence
from datetime import datetime

from classifiers.policy import Slot
from classifiers.slots.values import clock, day, enum, money, number
from classifiers.slots.values.value import Value


def read(slot: Slot, raw: str, now: datetime, *, languages: Sequence[str] = ("en",)) -> Value | None:
    """None where the words are no value of the slot's type, or could be several.

    now: what relative dates and times are relative to. languages: of the policy; `en-US` reads 5/6 as the sixth of
    May, `en-GB` as the fifth of June, and plain `en` as neither.
    """
    words = " ".join(raw.split())
    match slot.type:
        case "text":
            return Value(value=words)
        case "enum":
            name = enum.read(words, slot.values)
            return None if name is None else Value(value=name)
        case "number":
            found = number.read(words)
            return None if found is None else Value(value=int(found) if found == int(found) else float(found))
        case "money":
            return money.read(words, slot.currency)
        case "date":
            told = day.read(words, now.date(), day_first=_day_first(languages))
            return None if told is None else Value(value=told)
        case "time":
            at = clock.read(words, now, hours=slot.hours, day_first=_day_first(languages))
            return None if at is None else Value(value=at)


def _day_first(languages: Sequence[str]) -> bool | None:
    tags = {language.casefold() for language in languages}
    if "en-us" in tags:
        return None if len(tags) > 1 else False
    return True if tags and "en" not in tags else None
