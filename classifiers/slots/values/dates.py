"""English dates → `2026-11-27`, or `2026-11-28/2026-11-29` for a stretch of days (both days included).

Scope: ISO and written dates, with or without a year; weekdays; today, tomorrow and the like; `in 3 days`, `three days
ago`, `a week from tomorrow`; weeks, weekends, months and years as stretches. A date without a year is the next one;
`friday` is the next friday, today included; `next friday` is that of the week after this one, weeks beginning on
Monday. No holidays.
"""

import re
from calendar import monthrange
from datetime import date, timedelta

from classifiers.slots.values import numbers

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_MONTH = "(?P<month>" + "|".join(f"{name}|{name[:3]}\\.?" for name in _MONTHS) + "|sept\\.?)"
_WEEKDAY = "(?P<weekday>" + "|".join(f"{name}|{name[:3]}" for name in _DAYS) + "|tues|weds|thur|thurs)"
_NUMBER = r"(?P<day>\d{1,2}|[a-z]+(?:[- ](?!of\b)[a-z]+)?)(?:st|nd|rd|th)?"
_YEAR = r"(?:,? *(?P<year>\d{4}|'\d\d))?"
_COUNT = r"(?P<count>\d+|an?|a couple of|[a-z]+(?:[- ][a-z]+)?)"
_ORDINAL = re.compile(r"(?:first|second|third|th)$")
_TENTH = re.compile(r"(?:(?<=teen)|(?<=twent)|(?<=thirt))(?P<y>ie)?th\b")
_YEARS_AHEAD = 20
"""Beyond which a year of two figures is one of the last century."""
_MONTHS_AHEAD = 48
"""Within which a weekday falls on any day of a month."""
_NEAR = {
    "today": 0, "tonight": 0, "this morning": 0, "this afternoon": 0, "this evening": 0, "tomorrow": 1, "tmrw": 1,
    "tmr": 1, "tomorow": 1, "tommorow": 1, "yesterday": -1, "the day after tomorrow": 2, "day after tomorrow": 2,
    "the day before yesterday": -2, "now": 0,
}  # fmt: skip
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})|((?:19|20)\d\d)(\d\d)(\d\d)")
_SLASHED = re.compile(r"(\d{1,2})[/.-](\d{1,2})(?:[/.-](\d{4}|\d{2}))?")
_DAY_MONTH = re.compile(rf"(?:{_WEEKDAY},? +)?(?:the )?{_NUMBER} +(?:of )?{_MONTH}{_YEAR}")
_MONTH_DAY = re.compile(rf"(?:{_WEEKDAY},? +)?{_MONTH} +(?:the )?{_NUMBER}{_YEAR}")
_DAY_ONLY = re.compile(rf"(?:{_WEEKDAY},? +)?(?:the |(?=\d{{1,2}}(?:st|nd|rd|th)$)){_NUMBER}")
_DASHED = re.compile(rf"(?P<day>\d{{1,2}})-{_MONTH}-(?P<year>\d{{4}})")
_AHEAD = re.compile(
    rf"(?:in )?{_COUNT} (?P<unit>day|week|month|year)s?(?: from (?:(?P<base>now|today|tomorrow)|{_WEEKDAY})"
    r"|(?P<ago> ago))?(?: time)?"
)
_WHICH = re.compile(rf"(?P<which>this coming|this|next|coming|last|on)? ?{_WEEKDAY}")
_OF_WEEK = re.compile(rf"(?:on )?{_WEEKDAY} (?P<which>this|next) week")
_STRETCH = re.compile(r"(?P<which>this|next|the|last|coming)? ?(?P<unit>weekend|week|month|year)")
_MONTH_ONLY = re.compile(rf"(?P<which>this|next|last)? ?{_MONTH}(?: +(?P<year>\d{{4}}))?")
_YEAR_ONLY = re.compile(r"(?:the year )?(?P<year>(?:19|20)\d\d)")
_BEFORE = re.compile(r"^(?:on|for|by|at|from|in|during|until|of|the morning of|the evening of) +")
_PART = r"in the (?:morning|afternoon|evening)|morning|afternoon|evening|night|at night"
_CLOCK = (
    r"\d|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|noon|midday|midnight|half|(?:a )?quarter|twenty"
    r"|about|around"
)
_ORDINALS = (
    r"\d{1,2}(?:st|nd|rd|th)|the \d{1,2}$|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh"
    r"|twelfth|[a-z]+teenth|twentieth|thirtieth"
)
_OTHER = (
    rf"(?:{'|'.join(name for day in _DAYS for name in (day, day[:3]))}|tues|weds|thurs?)s?"
    rf"|{'|'.join(name for month in _MONTHS for name in (month, month[:3]))}|sept"
    rf"|{'|'.join(_NEAR)}|next|days|weeks?|weekends?|months?|years?"
    rf"|{_ORDINALS}|\d+/\d+|\d+(?P<mark>[.-])\d+(?P=mark)\d+"
    rf"|or(?! so\b)|and|not|instead|(?:to|until|till)(?! (?:{_CLOCK}))"
)
"""What tells of another day than the one before it, or of one of two."""
_TIME = rf"(?:at|around|by|@) (?!.*\b(?:{_OTHER})\b).+|\d{{1,2}}(?::\d\d)? ?[ap]\.?m\.?"
_TODAY_TWICE = re.compile(r"^(today\b.*) (?:tonight|this (?:morning|afternoon|evening))$")
_PART_AFTER = re.compile(rf",? +(?:{_PART})$")
_TIME_AFTER = re.compile(rf",? +(?:{_PART}|{_TIME})$")


def read(text: str, today: date, *, day_first: bool | None = None, timed: bool = True) -> str | None:
    """A date, or a stretch of days, in ISO 8601; None where the text says none or it could be one of two.

    day_first: how 5/6 is read; None: only where one of the two numbers can be no month. timed: whether a time
    or a place may stand behind (`at 7`, `by lunchtime`, `at work`), and not only a part of the day.
    """
    said = _TODAY_TWICE.sub(r"\1", re.sub(r"\s+", " ", text.casefold().replace("\u2019", "'")).strip(" .,!?"))
    after = _TIME_AFTER if timed else _PART_AFTER
    bare = _BEFORE.sub("", said)
    for way in (said, bare, after.sub("", said), after.sub("", bare)):
        found = _read(way, today, day_first)
        if found is not None:
            first, last = found
            return first.isoformat() if first == last else f"{first.isoformat()}/{last.isoformat()}"
    return None


Stretch = tuple[date, date]


def _read(said: str, today: date, day_first: bool | None) -> Stretch | None:
    try:
        if said in _NEAR:
            return _single(today + timedelta(days=_NEAR[said]))
        return (
            _figures(said, today, day_first)
            or _written(said, today)
            or _ahead(said, today)
            or _weekday(said, today)
            or _stretch(said, today)
        )
    except (ValueError, OverflowError):
        # no such day: the 31st of February, what follows the last of all
        return None


def _single(day: date) -> Stretch:
    return day, day


def _figures(said: str, today: date, day_first: bool | None) -> Stretch | None:
    iso = _ISO.fullmatch(said)
    if iso:
        year, month, day = (int(part) for part in iso.groups() if part)
        return _single(date(year, month, day))
    match = _SLASHED.fullmatch(said)
    if not match:
        return None
    one, two = int(match[1]), int(match[2])
    if one <= 12 and two <= 12 and one != two:
        if day_first is None:
            return None
    else:
        day_first = one > 12
    day, month = (one, two) if day_first else (two, one)
    return _single(_with_year(today, month, day, match[3]))


def _written(said: str, today: date) -> Stretch | None:
    said = _DASHED.sub(r"\g<day> \g<month> \g<year>", said)
    for pattern in (_DAY_MONTH, _MONTH_DAY):
        match = pattern.fullmatch(said)
        day = _day(match["day"]) if match else None
        if match and day:
            found = _with_year(today, _month(match["month"]), day, match["year"])
            return _single(found) if _falls_on(found, match["weekday"]) else None
    match = _DAY_ONLY.fullmatch(said)
    day = _day(match["day"]) if match else None
    if not match or not day:
        return None
    for month in range(today.year * 12 + today.month - 1, today.year * 12 + today.month + _MONTHS_AHEAD):
        year, of = month // 12, month % 12 + 1
        if day <= monthrange(year, of)[1] and date(year, of, day) >= today:
            found = date(year, of, day)
            if _falls_on(found, match["weekday"]):
                return _single(found)
    return None


def _falls_on(day: date, weekday: str | None) -> bool:
    return weekday is None or day.weekday() == _of_week(weekday)


def _ahead(said: str, today: date) -> Stretch | None:
    match = _AHEAD.fullmatch(said)
    if not match:
        return None
    based = match["base"] or match["weekday"] or match["ago"]
    if not (said.startswith("in ") or based or said.endswith("time")):
        return None
    told = numbers.exact({"a": "1", "an": "1", "a couple of": "2"}.get(match["count"], match["count"]))
    if told is None or told != int(told) or _ORDINAL.search(match["count"]):
        return None
    count = -int(told) if match["ago"] else int(told)
    start = today + timedelta(days=match["base"] == "tomorrow")
    if match["weekday"]:
        start += timedelta(days=(_of_week(match["weekday"]) - today.weekday()) % 7)
    if match["unit"] in {"day", "week"}:
        return _single(start + timedelta(days=count * (7 if match["unit"] == "week" else 1)))
    months = start.month - 1 + count * (12 if match["unit"] == "year" else 1)
    year, month = start.year + months // 12, months % 12 + 1
    return _single(date(year, month, min(start.day, monthrange(year, month)[1])))


def _weekday(said: str, today: date) -> Stretch | None:
    match = _OF_WEEK.fullmatch(said)
    if match:
        monday = today + timedelta(days=7 * (match["which"] == "next") - today.weekday())
        return _single(monday + timedelta(days=_of_week(match["weekday"])))
    match = _WHICH.fullmatch(said)
    if not match:
        return None
    wanted = _of_week(match["weekday"])
    ahead = (wanted - today.weekday()) % 7
    if match["which"] == "next":
        return _single(today + timedelta(days=7 - today.weekday() + wanted))
    if match["which"] == "last":
        return _single(today + timedelta(days=ahead - 7))
    return _single(today + timedelta(days=ahead))


def _stretch(said: str, today: date) -> Stretch | None:
    match = _STRETCH.fullmatch(said)
    shift = 0
    if match:
        shift = {"next": 1, "last": -1}.get(match["which"] or "", 0)
        monday = today + timedelta(days=7 * shift - today.weekday())
        if match["unit"] == "weekend":
            return monday + timedelta(days=5), monday + timedelta(days=6)
        if match["unit"] == "week":
            return monday, monday + timedelta(days=6)
        if match["unit"] == "year":
            return date(today.year + shift, 1, 1), date(today.year + shift, 12, 31)
        months = today.year * 12 + today.month - 1 + shift
        return _whole(months // 12, months % 12 + 1)
    match = _MONTH_ONLY.fullmatch(said)
    if match:
        month = _month(match["month"])
        past = {"last": -1 if month >= today.month else 0, "next": month <= today.month}
        ahead = past.get(match["which"], month < today.month)
        return _whole(int(match["year"]) if match["year"] else today.year + ahead, month)
    match = _YEAR_ONLY.fullmatch(said)
    return (date(int(match["year"]), 1, 1), date(int(match["year"]), 12, 31)) if match else None


def _whole(year: int, month: int) -> Stretch:
    return date(year, month, 1), date(year, month, monthrange(year, month)[1])


def _with_year(today: date, month: int, day: int, year: str | None) -> date:
    if year:
        year = year.lstrip("'")
        full = int(year) + (today.year // 100 * 100 if len(year) == 2 else 0)
        return date(full - 100 if len(year) == 2 and full > today.year + _YEARS_AHEAD else full, month, day)
    # the 29th of February may be years away
    for ahead in range(9):
        if month == 2 and day == 29 and monthrange(today.year + ahead, 2)[1] < 29:
            continue
        found = date(today.year + ahead, month, day)
        if found >= today:
            return found
    raise ValueError(day)


def _of_week(word: str) -> int:
    return next(index for index, name in enumerate(_DAYS) if name.startswith(word[:3]))


def _month(word: str) -> int:
    return next(index for index, name in enumerate(_MONTHS, 1) if name.startswith(word[:3]))


def _day(word: str) -> int | None:
    # the first monday of a month is not its first day
    found = numbers.exact(_TENTH.sub(lambda ending: "y" if ending["y"] else "", word))
    return int(found) if found is not None and found == int(found) and 1 <= found <= 31 else None
