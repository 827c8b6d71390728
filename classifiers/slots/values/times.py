"""English times of day → `19:00`, with a date `2026-11-27T19:00`, and of two times `19:00/21:00`.

Scope: figures with and without am or pm, `half past seven`, `quarter to eight`, `seven thirty`, noon and midnight,
`in the evening`; `in 20 minutes`, `2 hours from now`; a date before or after. `evening` alone is no time.
"""

import re
from datetime import date, datetime, time, timedelta

from classifiers.slots.values import dates, numbers

_HOURS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_HOUR = rf"\d{{1,2}}|{'|'.join(_HOURS)}"
_MINUTE_WORDS = {"oh five": 5, "five": 5, "ten": 10, "fifteen": 15, "twenty": 20, "twenty five": 25, "twenty-five": 25}
_MINUTE_WORDS |= {"thirty": 30, "forty": 40, "forty five": 45, "forty-five": 45, "fifty": 50, "quarter": 15}
_MINUTE_WORDS |= {"a quarter": 15, "half": 30}
_MINUTE = "|".join(sorted(_MINUTE_WORDS, key=len, reverse=True))
_HALVES = r"a\.?m\.?|p\.?m\.?|in the morning|in the afternoon|in the evening|at night|tonight"
_HALF = rf"(?: ?(?P<half>{_HALVES}))?"
_HALF_AT_END = re.compile(rf"(?:{_HALVES})$")
_PLAIN = re.compile(
    rf"(?P<hour>{_HOUR})(?:(?:[:.h](?P<minute>[0-5]\d)(?::00)?|(?<=1[3-9])h|(?<=2[0-3])h)| (?P<words>{_MINUTE}))?"
    rf"(?: ?o'?clock)?{_HALF}"
)
_AROUND = re.compile(
    rf"(?P<count>{_MINUTE}|[0-5]?\d)(?P<unit> minutes?)? (?P<way>past|after|to|before|till) "
    rf"(?P<hour>{_HOUR}|noon|midday|midnight){_HALF}"
)
_MILITARY = re.compile(r"(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)(?: ?(?:h|hours?|hrs))?")
_AHEAD = re.compile(
    r"(?P<in>in )?(?P<count>half an|a quarter of an|an?|a couple of|\d+|[a-z]+(?:[- ][a-z]+)?) "
    r"(?P<unit>minute|min|hour|hr)s?(?P<more> and a half)?(?P<from> from now)?"
)
_FIXED = {"noon": time(12), "midday": time(12), "midnight": time(0), "12 noon": time(12), "12 midnight": time(0)}
_BEFORE = re.compile(
    r"^(?:(?:at|around|about|by|for|from|until|till|after|before|@|circa|approximately|exactly|ca\.?) +)+"
)
_SHARP = re.compile(r"(?:,? (?:sharp|or so|exactly)| ?-?ish)$")
_TWO = re.compile(r"^(?:between |from )?(.+?) ?(?:-|\u2013| to | and | until | till ) ?(.+)$")
_FROM = ("from ", "between ")
_COUNTED = re.compile(r"(?<=\d) hours$")
_ISO_DATED = re.compile(r"(?<=^\d{4}-\d\d-\d\d)t(?=\d)")
_MORNING = ("am", "a.", "in the m")
_PART_OF_DAY = re.compile(r"(?:^|\s)(?:(?P<part>morning|afternoon|evening)|night|tonight)$")
_AT_NIGHT = re.compile(r"\b(?:to)?night$")
_LATE = frozenset(("at night", "tonight"))
_EVENING = "in the evening"
_MIDNIGHT, _NOON = time(0), time(12)
_OF_ANOTHER_DAY = time(13)
"""Before which a time of a night is of the day after it."""


def read(text: str, now: datetime, *, hours: str | None = None, day_first: bool | None = None) -> str | None:
    """None where the text says no time, or one of two: `at 7` without `hours` (`11:00-23:00`), which decide."""
    said = re.sub(r"\s+", " ", text.casefold().replace("\u2019", "'")).strip(" .,!?")
    said = _ISO_DATED.sub(" ", said)
    if said == "now":
        return now.strftime("%Y-%m-%dT%H:%M")
    ahead = _ahead(said, now)
    if ahead is not None:
        return ahead.strftime("%Y-%m-%dT%H:%M")
    single = _read(said, hours)
    if single is not None and not (said.endswith("tonight") and single < _OF_ANOTHER_DAY):
        return f"{single:%H:%M}"
    return _dated(said, now.date(), hours, day_first) or _between(said, hours)


def _between(said: str, hours: str | None) -> str | None:
    match = _TWO.fullmatch(said)
    if not match:
        return None
    second, around = _read(match[2], hours), _AROUND.fullmatch(said)
    if second is None or (around and not _is_stretch(around)):
        return None
    first, half = _read(match[1], None), _HALF_AT_END.search(match[2])
    if half:
        second = _of_its_half(second, half[0], first or _read(f"{match[1]} {half[0]}", None))
    if first is None and half:
        first = _carried(match[1], half[0], second) or _before(match[1], second, hours)
        return None if first is None else f"{first:%H:%M}/{second:%H:%M}"
    told = first is not None and _read(match[2], None) is not None
    first = first if first is not None else _read(match[1], hours)
    if first is None or (first >= second and not (told or second == _MIDNIGHT or _is_past_midnight(hours))):
        return None
    return f"{first:%H:%M}/{second:%H:%M}"


def _of_its_half(second: time, half: str, first: time | None) -> time:
    """The second of two times, which at twelve is noon of the first one's morning, and midnight in the evening."""
    if half == _EVENING and second.hour == 12:
        return second.replace(hour=0)
    noon = half == "in the morning" and first is not None and second.hour == 0 and second < first < _NOON
    return second.replace(hour=12) if noon else second


def _carried(said: str, half: str, second: time) -> time | None:
    """The first of two times, whose half of the day the second tells: `7 to 9 pm`, but for `11 to 1 pm`."""
    first = _read(f"{said} {half}", None)
    late = half in _LATE or (half == _EVENING and second.hour == 0)
    if first is None or (not late and first <= second):
        return first
    if late:
        # `10 to 2 at night` goes past midnight; `4 to 6 tonight` has not come from it, nor `9 to 6 tonight`
        return None if second >= _OF_ANOTHER_DAY and not _OF_ANOTHER_DAY <= first <= second else first
    return _read(f"{said} {'pm' if half.startswith(_MORNING) else 'am'}", None)


def _before(said: str, second: time, hours: str | None) -> time | None:
    """The first of two times by the hours, where that lies before the second: `4 to 6 tonight`."""
    first = _read(said, hours)
    return first if first is not None and first < second else None


def _is_past_midnight(hours: str | None) -> bool:
    return hours is not None and hours[:5] > hours[6:]


def _is_stretch(around: re.Match[str]) -> bool:
    """Whether `N to M` means two hours, for nobody says so many minutes, or such an hour with them."""
    return around["count"].isdecimal() and (int(around["count"]) % 5 != 0 or _hour(around["hour"]) > 12)


def _is_count(around: re.Match[str]) -> bool:
    """Whether `N to M` means minutes: of `10 to 2` nobody can tell."""
    return bool(
        not around["count"].isdecimal()
        or around["unit"]
        or around["way"] in {"past", "after"}
        or (int(around["count"]) > _last_hour(around) and not _is_stretch(around))
    )


def _last_hour(around: re.Match[str]) -> int:
    """The last hour that N in `N to M` may be: after noon one may say 20 to midnight."""
    return 12 if _hour(around["hour"]) else 23


def _dated(said: str, today: date, hours: str | None, day_first: bool | None) -> str | None:
    words = said.split()
    for cut in range(1, len(words)):
        left, right = " ".join(words[:cut]).strip(","), " ".join(words[cut:])
        for on, at in ((left, right), (right, left)):
            # `2 hours from today` is no time of today
            if on == "from now" or (on == right and on.startswith("from ")):
                continue
            found = dates.read(on, today, day_first=day_first, timed=False)
            clock = _on(on, at, hours) if found and "/" not in found else None
            if found and clock is not None:
                return f"{found}T{clock:%H:%M}"
    return None


def _on(on: str, at: str, hours: str | None) -> time | None:
    """The time `at` of a day that is said as `on`, which may tell the part of the day."""
    part, bare = _PART_OF_DAY.search(on), _SHARP.sub("", _BEFORE.sub("", at))
    told = None
    if part:
        told = _read(f"{bare} in the {part['part']}" if part["part"] else f"{bare} tonight", hours)
    told = told or _read(at, hours)
    if told == _MIDNIGHT and "midnight" in at:
        # the night before that day, or the one after
        return None
    late = _AT_NIGHT.search(on) or _AT_NIGHT.search(at)
    return None if late and told is not None and told < _OF_ANOTHER_DAY else told


def _read(said: str, hours: str | None) -> time | None:
    from_ = said.startswith(_FROM)
    said = _SHARP.sub("", _BEFORE.sub("", said)).strip(" ,")
    said, counted = _COUNTED.subn("", said)
    # `2 hours` is how long; `14 hours` may be when
    hours = None if counted else hours
    if said in _FIXED:
        return _FIXED[said]
    match = _AROUND.fullmatch(said)
    if match and not from_ and _is_count(match):
        count = _MINUTE_WORDS.get(match["count"])
        count = int(match["count"]) if count is None else count
        hour = _hour(match["hour"])
        if hour > 23:
            return None
        minutes = hour * 60 + (count if match["way"] in {"past", "after"} else -count)
        exact = hour > 12 or hour == 0 or match["hour"] in _FIXED
        return _placed(minutes % 1440, match["half"], hours, exact=exact)
    match = _PLAIN.fullmatch(said)
    if match:
        hour = _hour(match["hour"])
        minute = int(match["minute"] or _MINUTE_WORDS.get(match["words"] or "", 0))
        exact = hour > 12 or hour == 0 or (match["hour"].startswith("0") and bool(match["minute"]))
        return None if hour > 23 else _placed(hour * 60 + minute, match["half"], hours, exact=exact)
    match = _MILITARY.fullmatch(said)
    return time(int(match["hour"]), int(match["minute"])) if match else None


def _placed(minutes: int, half: str | None, hours: str | None, *, exact: bool) -> time | None:
    """minutes: since midnight, as said; exact: that no half of the day need be told."""
    if exact and half is None:
        return time(*divmod(minutes, 60))
    early, late = minutes % 720, minutes % 720 + 720
    if half is not None:
        if minutes >= 780:
            return time(*divmod(minutes, 60))
        chosen = early if half.startswith(_MORNING) else late
        if half in _LATE and early < 300:
            chosen = early
        return time(*divmod(chosen, 60))
    if hours is None:
        return None
    start, end = (int(part[:2]) * 60 + int(part[3:]) for part in hours.split("-"))
    within = [way for way in (early, late) if (start <= way <= end if start <= end else way >= start or way <= end)]
    return time(*divmod(within[0], 60)) if len(within) == 1 else None


def _hour(word: str) -> int:
    if word in _FIXED:
        return _FIXED[word].hour
    return int(word) if word.isdecimal() else _HOURS.index(word) + 1


def _ahead(said: str, now: datetime) -> datetime | None:
    match = _AHEAD.fullmatch(said)
    if not match or not (match["in"] or match["from"]):
        return None
    fixed = {"half an": 0.5, "a quarter of an": 0.25, "a": 1.0, "an": 1.0, "a couple of": 2.0}
    count = fixed.get(match["count"])
    if count is None:
        told = numbers.read(match["count"])
        if told is None:
            return None
        count = float(told)
    count += 0.5 if match["more"] else 0.0
    try:
        return now + (timedelta(hours=count) if match["unit"].startswith("h") else timedelta(minutes=count))
    except OverflowError:
        return None
