"""English dates → `2026-11-27`, or `2026-11-28/2026-11-29` for several days (both included). Pure.

The whole text must be a date: in ISO 8601, in figures, written out, a weekday, relative to today (`in 3 days`, `a week
ago`), or a week, weekend, month, year or decade. A date without a year is the next one; `friday` is the next friday,
today included; `next friday` is that of the week after this one, weeks beginning on Monday. No holidays.
"""

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import date, timedelta

from classifiers.slots.values import numbers

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DECADES = ("thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties")
_NEAR = {
    "today": 0, "tonight": 0, "this morning": 0, "this afternoon": 0, "this evening": 0, "tomorrow": 1, "tmrw": 1,
    "tomorow": 1, "tommorow": 1, "yesterday": -1, "last night": -1, "the day after tomorrow": 2,
    "day after tomorrow": 2, "the day before yesterday": -2, "day before yesterday": -2, "now": 0,
}  # fmt: skip
_YEARS_AHEAD = 20
"""Beyond which a year of two figures is one of the last century."""
_MONTHS_AHEAD = 48
"""Within which a weekday falls on any day of a month."""
_MONTH = "(?P<month>" + "|".join(f"{name}|{name[:3]}\\.?" for name in _MONTHS) + "|sept\\.?)"
_WEEKDAY = "(?P<weekday>" + "|".join(f"{name}s?|{name[:3]}" for name in _DAYS) + "|tues|weds|thurs?)"
_DAY = r"(?P<day>\d{1,2}(?:st|nd|rd|th)?|[a-z]+(?:[- ](?!of\b)[a-z]+)?)"
_YEAR = r"(?:,? (?P<year>\d{4}))?"
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_FIGURES = re.compile(r"(\d{1,2})[/.-](\d{1,2})(?:[/.-](\d{4}|\d{2}))?")
_DAY_MONTH = re.compile(rf"(?:{_WEEKDAY},? )?(?:the )?{_DAY} (?:of )?{_MONTH}{_YEAR}")
_MONTH_DAY = re.compile(rf"(?:{_WEEKDAY},? )?{_MONTH} (?:the )?{_DAY}{_YEAR}")
_DAY_ONLY = re.compile(rf"(?:{_WEEKDAY},? (?:the )?|the |(?=\d{{1,2}}(?:st|nd|rd|th)$)){_DAY}")
_AHEAD = re.compile(
    r"(?P<in>in )?(?P<count>.+?) (?P<unit>day|week|month|year)s?(?: from (?P<base>now|today|tomorrow)|(?P<ago> ago))?"
)
_WHICH = re.compile(rf"(?:(?P<which>this|next|coming|last|on) )?{_WEEKDAY}")
_STRETCH = re.compile(r"(?:(?P<which>this|next|the|last|coming) )?(?P<unit>week-?end|week|month|year)")
_MONTH_ONLY = re.compile(rf"(?:(?P<which>this|next|last) )?{_MONTH}(?: (?P<year>\d{{4}}))?")
_YEAR_ONLY = re.compile(r"(?:the year )?(?P<year>(?:19|20)\d\d)")
_DECADE = re.compile(
    rf"(?:the )?(?:(?P<century>19|20)(?P<tens>\d)0'?s|(?P<last_century>[3-9])0'?s"
    rf"|(?P<word>{'|'.join(_DECADES)}|fourties))"
)
_BEFORE = re.compile(r"^(?:on|for|by|from|in|during|until|of) ")
_PART_OF_DAY = re.compile(r",? (?:(?:in the )?(?:morning|afternoon|evening)|(?:at )?night)$")

Stretch = tuple[date, date]
"""The first and the last day."""


def read(text: str, today: date, *, day_first: bool | None = None) -> str | None:
    """A date, or several days, in ISO 8601; None where the text is none or could be one of two. day_first: how 5/6 is
    read; None: only where one of the two numbers can be no month."""
    words = " ".join(text.casefold().replace("\u2019", "'").split()).strip(" .,!?")
    bare = _BEFORE.sub("", words)
    for form in (words, bare, _PART_OF_DAY.sub("", words), _PART_OF_DAY.sub("", bare)):
        try:
            day = _day(form, today, day_first)
            stretch = (day, day) if day else _period(form, today) or _decade(form, today)
        except (ValueError, OverflowError):  # there is no such day: the 31st of February, a day after the last of all
            continue
        if stretch is not None:
            first, last = stretch
            return first.isoformat() if first == last else f"{first.isoformat()}/{last.isoformat()}"
    return None


def _day(words: str, today: date, day_first: bool | None) -> date | None:
    if words in _NEAR:
        return today + timedelta(days=_NEAR[words])
    written = _in_figures(words, today, day_first) or _written_out(words, today)
    return written or _counted(words, today) or _weekday(words, today)


def _in_figures(words: str, today: date, day_first: bool | None) -> date | None:
    iso, match = _ISO.fullmatch(words), _FIGURES.fullmatch(words)
    if iso:
        return date(*map(int, iso.groups()))
    if not match:
        return None
    first, second = int(match[1]), int(match[2])
    if first <= 12 and second <= 12 and first != second:
        if day_first is None:
            return None
    else:
        day_first = first > 12
    day, month = (first, second) if day_first else (second, first)
    return _with_year(today, month, day, match[3])


def _written_out(words: str, today: date) -> date | None:
    match = _DAY_MONTH.fullmatch(words) or _MONTH_DAY.fullmatch(words) or _DAY_ONLY.fullmatch(words)
    number = numbers.exact(match["day"]) if match else None
    if not match or number is None or number != int(number) or not 1 <= number <= 31:
        return None
    parts, wanted = match.groupdict(), match["weekday"]
    if parts.get("month"):
        day = _with_year(today, _place(_MONTHS, parts["month"]) + 1, int(number), parts["year"])
        return day if _falls_on(day, wanted) else None
    months = today.year * 12 + today.month - 1
    for year, month in (divmod(index, 12) for index in range(months, months + _MONTHS_AHEAD)):
        if number <= monthrange(year, month + 1)[1]:
            day = date(year, month + 1, int(number))
            if day >= today and _falls_on(day, wanted):
                return day
    return None


def _counted(words: str, today: date) -> date | None:
    """`in 3 days`, `two weeks from tomorrow`, `a month ago`."""
    match = _AHEAD.fullmatch(words)
    if not match or not (match["in"] or match["base"] or match["ago"]):
        return None
    number = 1 if match["count"] in {"a", "an"} else numbers.cardinal(match["count"])
    if number is None or number != int(number):
        return None
    count = -int(number) if match["ago"] else int(number)
    start = today + timedelta(days=match["base"] == "tomorrow")
    if match["unit"] in {"day", "week"}:
        return start + timedelta(days=count * (7 if match["unit"] == "week" else 1))
    year, month = divmod(start.year * 12 + start.month - 1 + count * (12 if match["unit"] == "year" else 1), 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def _weekday(words: str, today: date) -> date | None:
    match = _WHICH.fullmatch(words)
    if not match:
        return None
    wanted = _place(_DAYS, match["weekday"])
    if match["which"] == "next":
        return today + timedelta(days=7 - today.weekday() + wanted)
    ahead = (wanted - today.weekday()) % 7
    return today + timedelta(days=ahead - 7 if match["which"] == "last" else ahead)


def _period(words: str, today: date) -> Stretch | None:
    if match := _STRETCH.fullmatch(words):
        shift = {"next": 1, "last": -1}.get(match["which"] or "", 0)
        monday = today + timedelta(days=7 * shift - today.weekday())
        match match["unit"]:
            case "week":
                return monday, monday + timedelta(days=6)
            case "month":
                return _months(today.year, today.month - 1 + shift)
            case "year":
                return _months(today.year + shift, 0, 12)
        return monday + timedelta(days=5), monday + timedelta(days=6)
    if match := _MONTH_ONLY.fullmatch(words):
        month = _place(_MONTHS, match["month"]) + 1
        years = {"last": -1 if month >= today.month else 0, "next": month <= today.month}
        shift = int(years.get(match["which"], month < today.month))
        return _months(int(match["year"]) if match["year"] else today.year + shift, month - 1)
    match = _YEAR_ONLY.fullmatch(words)
    return _months(int(match["year"]), 0, 12) if match else None


def _decade(words: str, today: date) -> Stretch | None:
    """`1980s`, `the 80s`, `eighties`: of the last century where none is named; `twenties` may be of either."""
    match = _DECADE.fullmatch(words)
    if not match:
        return None
    if match["century"]:
        return _months(int(f"{match['century']}{match['tens']}0"), 0, 120)
    word = (match["word"] or "").replace("fourties", "forties")
    tens = int(match["last_century"]) if match["last_century"] else 3 + _DECADES.index(word)
    return _months(1900 + 10 * tens, 0, 120) if today.year < 2000 + 10 * tens else None


def _months(year: int, month: int, count: int = 1) -> Stretch:
    """month: from 0, or beyond the year."""
    (year, first), (last_year, last) = divmod(12 * year + month, 12), divmod(12 * year + month + count - 1, 12)
    return date(year, first + 1, 1), date(last_year, last + 1, monthrange(last_year, last + 1)[1])


def _with_year(today: date, month: int, day: int, year: str | None) -> date:
    if year:
        full = int(year) + (today.year // 100 * 100 if len(year) == 2 else 0)
        return date(full - 100 if len(year) == 2 and full > today.year + _YEARS_AHEAD else full, month, day)
    # the 29th of February may be years away
    for ahead in range(9):
        if day <= monthrange(today.year + ahead, month)[1] or (month, day) != (2, 29):
            candidate = date(today.year + ahead, month, day)
            if candidate >= today:
                return candidate
    raise ValueError(day)


def _falls_on(day: date, weekday: str | None) -> bool:
    return weekday is None or day.weekday() == _place(_DAYS, weekday)


def _place(names: Sequence[str], word: str) -> int:
    return next(index for index, name in enumerate(names) if name.startswith(word[:3]))
