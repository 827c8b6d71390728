"""A slot's words → its value, by the slot's type."""

import re
from collections.abc import Sequence
from datetime import datetime

from classifiers.policy import Slot
from classifiers.slots.values import clock, day, enum, money, number
from classifiers.slots.values.value import Value

_DAY_FIRST = frozenset((
    "ar", "be", "bg", "bn", "bs", "ca", "cs", "cy", "da", "de", "el", "es", "et", "fi", "fr", "ga", "gl", "he", "hi",
    "hr", "id", "is", "it", "lv", "mk", "ms", "nb", "nl", "nn", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sq", "sr",
    "sv", "th", "tr", "uk", "vi",
))  # fmt: skip
_MONTH_FIRST = frozenset(("gu", "pr", "us", "vi"))
_EITHER = frozenset(("ca", "cn", "jp", "kr", "ph", "tw"))
_REGION = re.compile(r"[a-z]{2}|\d{3}")


def read(slot: Slot, raw: str, now: datetime, *, languages: Sequence[str] = ("en",)) -> Value | None:
    """None where the words are no value of the slot's type, or could be several.

    now: what relative dates and times are relative to. languages: of the policy; `en-US` reads 5/6 as the sixth of
    May, `en-GB` and `de` as the fifth of June, and plain `en`, `any` and languages that differ as neither.
    """
    words = " ".join(raw.split())
    match slot.type:
        case "text":
            return Value(value=words)
        case "enum":
            name = enum.read(words, slot.values)
            return None if name is None else Value(value=name)
        case "number":
            return _number(words, languages)
        case "money":
            return money.read(words, slot.currency)
        case "date":
            told = day.read(words, now.date(), day_first=_day_first(languages))
            return None if told is None else Value(value=told)
        case "time":
            at = clock.read(words, now, hours=slot.hours, day_first=_day_first(languages))
            return None if at is None else Value(value=at)


def _number(words: str, languages: Sequence[str]) -> Value | None:
    found = number.read(words)
    english = all(re.match(r"en(?![a-z])", language.casefold()) for language in languages)
    if found is None or (not english and number.may_be_thousands(words, found)):
        return None
    return Value(value=int(found) if found == int(found) else float(found))


def _day_first(languages: Sequence[str]) -> bool | None:
    told = {_is_day_first(language.casefold().replace("_", "-")) for language in languages}
    return told.pop() if len(told) == 1 else None


def _is_day_first(tag: str) -> bool | None:
    language, *rest = tag.split("-")
    region = next((part for part in rest if _REGION.fullmatch(part)), None)
    if region in _MONTH_FIRST:
        return False if language == "en" else None
    if region in _EITHER:
        return None
    return True if language in _DAY_FIRST or (language == "en" and region) else None
