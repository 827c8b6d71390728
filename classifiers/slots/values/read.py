"""A slot's words → its value, by the slot's type."""

import re
import unicodedata
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
_LONGEST = 200
"""Characters of what can be a value of any type but text."""
_UNSEEN = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""What has no width, such as the marks of direction that chats put around numbers; but for what joins letters."""
_WIDE = re.compile("[\uff01-\uffee]")
_POINTS = str.maketrans({"\u066b": ".", "\u066c": ",", "\u2010": "-", "\u2011": "-"})
_AROUND = '()[]{}<>"\u201c\u201d\u201e\u00ab\u00bb;:*_`'
"""What may stand around a day or a time and says nothing: a tagger takes it along."""
_REGION = re.compile(r"[a-z]{2}|\d{3}")


def read(slot: Slot, raw: str, now: datetime, *, languages: Sequence[str] = ("en",)) -> Value | None:
    """None where the words are no value of the slot's type, or could be several, or are too long for any but text.

    now: what relative dates and times are relative to. languages: of the policy; `en-US` reads 5/6 as the sixth of
    May, `en-GB` and `de` as the fifth of June, and plain `en`, `any` and languages that differ as neither.
    """
    words = " ".join(_UNSEEN.sub("", raw).split())
    if slot.type != "text":
        words = _narrow(words) if len(words) <= _LONGEST else ""
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
            told = day.read(words.strip(_AROUND), now.date(), day_first=_day_first(languages))
            return None if told is None else Value(value=told)
        case "time":
            at = clock.read(words.strip(_AROUND), now, hours=slot.hours, day_first=_day_first(languages))
            return None if at is None else Value(value=at)


def _narrow(text: str) -> str:
    """Digits of any script, hyphens and full-width forms as ASCII; a half in one character stays one."""
    if text.isascii():
        return text
    return "".join(map(_narrowed, text)).translate(_POINTS)


def _narrowed(char: str) -> str:
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    return unicodedata.normalize("NFKC", char) if _WIDE.match(char) else char


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
