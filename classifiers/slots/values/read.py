"""A slot's words → its value, by the slot's type. Pure.

An enum's value is found by its name or another word for it, within a phrase, or a slip of the keyboard away.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches

import regex

from classifiers.policy import Slot
from classifiers.slots.values import dates, money, numbers, times
from classifiers.slots.values.numbers import Value

_ALIKE = 0.85
_BETWEEN = regex.compile(r"[^\p{L}\p{M}\p{N}]+")
_LETTERS = regex.compile(r"(?<=\b\p{L})[./-](?=\p{L}\b)")
"""What joins single letters: N/A is no N and x-l no L."""
_STYLE = re.compile("[\ufe0e\ufe0f]")
"""What says how an emoji is drawn."""
_NUMBERS = re.compile(r"\d+")
_NOT = re.compile(r"(?<!\S)(?:(?:no[nt]|without) (?:an? |the )?|(?:bi|semi|half) )$")


def read_enum(text: str, values: Mapping[str, Sequence[str]]) -> str | None:
    """The policy's name for a value, or None. values: each name's other words.

    Of several names in a phrase, the longest at one place counts; names at several places have no value (`inside or
    outside`), nor has a name behind `not` or `without`. Slips must keep numbers (`room 103` is not `room 102`) and
    first letters (`unavailable` is not `available`).
    """
    pairs = [(word, name) for name, words in values.items() for word in (*words, name)]
    exact = _unique((_folded(word), name) for word, name in pairs)
    if _folded(text) in exact:
        return exact[_folded(text)]
    names = _unique((plain, name) for word, name in pairs for plain in {_plain(word), _spaced(word)} if plain)
    phrase = _plain(text)
    if phrase in names:
        return names[phrase]
    contained = [word for word in names if f" {word} " in f" {phrase} "]
    if contained:
        meant = {names[word] for word in _affirmed(contained, phrase)}
        return meant.pop() if len(meant) == 1 else None
    near = get_close_matches(phrase, [word for word in names if _may_be_slip(phrase, word)], n=1, cutoff=_ALIKE)
    return names[near[0]] if near else None


def shared(values: Mapping[str, Sequence[str]]) -> Mapping[str, tuple[str, ...]]:
    """Words that stand for several values, with these."""
    names = _names((_folded(word), name) for name, words in values.items() for word in (name, *words))
    return {word: tuple(several) for word, several in names.items() if len(several) > 1}


def _affirmed(words: Iterable[str], phrase: str) -> list[str]:
    """The words that stand in a phrase by themselves, not within a longer one of them and not behind `not`."""
    places = [
        (place.start(), place.end(), word)
        for word in words
        for place in re.finditer(rf"(?<!\S){re.escape(word)}(?!\S)", phrase)
    ]
    affirmed: list[str] = []
    last = 0
    for start, end, word in sorted(places, key=lambda place: (place[0], -place[1])):
        if end > last and not _NOT.search(phrase[:start]):
            affirmed.append(word)
        last = max(last, end)
    return affirmed


def _may_be_slip(phrase: str, word: str) -> bool:
    """Whether numbers and the first letters of all words are the same."""
    initials = [[part[0] for part in text.split()] for text in (phrase, word)]
    return initials[0] == initials[1] and _NUMBERS.findall(phrase) == _NUMBERS.findall(word)


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Words with the name that they stand for, without those that stand for two."""
    return {word: next(iter(several)) for word, several in _names(pairs).items() if len(several) == 1}


def _names(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, None]]:
    """Words with the names that they stand for, in order."""
    names: dict[str, dict[str, None]] = {}
    for word, name in pairs:
        names.setdefault(word, {})[name] = None
    return names


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", _STYLE.sub("", text)).casefold().strip()


def _plain(text: str) -> str:
    return _spaced(_LETTERS.sub("", _folded(text)))


def _spaced(text: str) -> str:
    """`u k` of `U.K.`, as it is pronounced."""
    return _BETWEEN.sub(" ", _folded(text)).strip()


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


def read_value(slot: Slot, raw: str, now: datetime, *, languages: Sequence[str] = ("en",)) -> Value | None:
    """None where the words are no value of the slot's type, or could be several, or are too long for any but text. now:
    what relative dates and times are relative to. languages: of the policy; `en-US` reads 5/6 as the sixth of May,
    `en-GB` and `de` as the fifth of June, and plain `en`, `any` and languages that differ as neither."""
    words = " ".join(_UNSEEN.sub("", raw).split())
    if slot.type != "text":
        words = narrow(words) if len(words) <= _LONGEST else ""
    value: str | float | None = words
    match slot.type:
        case "enum":
            value = read_enum(words, slot.values)
        case "number":
            value = _number(words, languages)
        case "money":
            return money.read(words)
        case "date":
            value = dates.read(words.strip(_AROUND), now.date(), day_first=_day_first(languages))
        case "time":
            value = times.read(words.strip(_AROUND), now, hours=slot.hours, day_first=_day_first(languages))
    return None if value is None else Value(value=value)


def narrow(text: str) -> str:
    """Digits of any script, hyphens and full-width forms as ASCII; a half in one character stays one."""
    wide = _WIDE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    return "".join(str(unicodedata.decimal(char, char)) for char in wide).translate(_POINTS)


def _number(words: str, languages: Sequence[str]) -> float | None:
    number = numbers.read(words)
    english = all(re.match(r"en(?![a-z])", language.casefold()) for language in languages)
    if number is None or (not english and numbers.may_be_thousands(words, number)):
        return None
    return int(number) if number == int(number) else float(number)


def _day_first(languages: Sequence[str]) -> bool | None:
    ways = {_is_day_first(language.casefold().replace("_", "-")) for language in languages}
    return ways.pop() if len(ways) == 1 else None


def _is_day_first(tag: str) -> bool | None:
    language, *rest = tag.split("-")
    region = next((part for part in rest if _REGION.fullmatch(part)), None)
    if region in _MONTH_FIRST:
        return False if language == "en" else None
    if region in _EITHER:
        return None
    return True if language in _DAY_FIRST or (language == "en" and region) else None
