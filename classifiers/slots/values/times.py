"""English times of day → `19:00`, with a date `2026-11-27T19:00`, and of two times `19:00/21:00`. Pure.

The whole text must be a time: in figures or words, with or without am and pm, noon and midnight, `in 20 minutes`, two
of them, or one with a date. Without a half of the day the slot's hours decide.
"""

import re
from datetime import date, datetime, time, timedelta

from classifiers.slots.values import dates, numbers

_HOURS = (*numbers.TEENS, "twenty", "twenty one", "twenty two", "twenty three")
_HOUR = rf"\d{{1,2}}|{'|'.join(reversed(_HOURS))}"
_MINUTES = {"ten": 10, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "forty five": 45, "fifty": 50}
_HALVES = r"a\.? ?m\.?|p\.? ?m\.?|in the morning|in the afternoon|in the evening|at night|tonight"
_CLOCK = re.compile(
    rf"(?:(?P<hour>{_HOUR})(?:[:.h](?P<minute>[0-5]\d)(?::00)?| (?P<words>{'|'.join(_MINUTES)}))?"
    rf"(?P<h>(?<=1[3-9])h|(?<=2[0-3])h)?|(?P<together>\d{{1,2}}[0-5]\d))(?: ?o'? ?clock)?(?: ?(?P<half>{_HALVES}))?"
)
_PAST = re.compile(
    rf"(?P<count>half|(?:a )?quarter|[a-z]+|\d\d?)(?P<minutes> minutes?)? (?P<way>past|to|till) "
    rf"(?P<hour>{_HOUR})(?: ?(?P<half>{_HALVES}))?"
)
_HALF_BEHIND = re.compile(rf" ?(?:{_HALVES})$")
_AHEAD = re.compile(r"in (?P<in>.+)|(?P<from>.+) from now")
_DURATION = re.compile(r"(?:^| )(?:and )?(?P<count>[^ ].*?) (?P<unit>second|minute|min|hour|hr)s?(?= |$)")
_FIXED = {"noon": time(12), "12 noon": time(12), "midday": time(12), "midnight": time(0)}
_BEFORE = re.compile(r"^(?:(?:at|around|about|by|for|from|until|till|after|before|exactly|@) )+")
_BEHIND = re.compile(r"(?:,? (?:sharp|or so|exactly)|ish)$")
_TWO = re.compile(r"(?P<from>between |from )?(?P<first>.+?) ?(?:-|\u2013| to | and | until | till ) ?(?P<second>.+)")
_MAY_BE_MINUTES = re.compile(r"(?:five|ten|twenty|\d?[05]) (?:to|till) .+")
_PART_BEHIND = re.compile(r" (?:(?P<part>morning|afternoon|evening)|night)$")
_ISO_DATED = re.compile(r"(?<=^\d{4}-\d\d-\d\d)t(?=\d)")
_LATE = time(13)
"""Before which a time of a night is of the day after it."""
_NIGHT = frozenset(("at night", "tonight"))


def read(text: str, now: datetime, *, hours: str | None = None, day_first: bool | None = None) -> str | None:
    """None where the text is no time, or may be one of two: `at 7` without `hours` (`11:00-23:00`)."""
    words = " ".join(text.casefold().replace("\u2019", "'").split()).strip(" .,!?")
    words = _ISO_DATED.sub(" ", words)
    ahead = now if words == "now" else _ahead(words, now)
    if ahead is not None:
        return ahead.strftime("%Y-%m-%dT%H:%M")
    single = _clock(words, hours)
    if single is not None and not (words.endswith("tonight") and single < _LATE):
        return f"{single:%H:%M}"
    return _dated(words, now.date(), hours, day_first) or _between(words, hours)


def _ahead(words: str, now: datetime) -> datetime | None:
    """`in 20 minutes`, `1 hour and 1 second from now`."""
    match = _AHEAD.fullmatch(words)
    duration = match["in"] or match["from"] if match else ""
    if not duration or _DURATION.sub("", duration):
        return None
    total = 0.0
    for part in _DURATION.finditer(duration):
        count = {"a": 1, "an": 1, "half an": 0.5}.get(part["count"]) or numbers.cardinal(part["count"])
        if count is None:
            return None
        total += float(count) * {"s": 1, "m": 60, "h": 3600}[part["unit"][0]]
    try:
        return now + timedelta(seconds=total)
    except OverflowError:
        return None


def _dated(words: str, today: date, hours: str | None, day_first: bool | None) -> str | None:
    split = words.split()
    for cut in range(1, len(split)):
        left, right = " ".join(split[:cut]).strip(","), " ".join(split[cut:])
        for day, clock_words in ((left, right), (right, left)):
            when = None if day.startswith("from ") else dates.read(day, today, day_first=day_first)
            clock = _clock_of_day(day, clock_words, hours) if when and "/" not in when else None
            if clock is not None:
                return f"{when}T{clock:%H:%M}"
    return None


def _clock_of_day(day: str, clock_words: str, hours: str | None) -> time | None:
    """A time of a day whose words may tell the part of the day; None in the night before or after it."""
    part = _PART_BEHIND.search(day)
    at_night = day == "tonight" or (part is not None and not part["part"])
    half = "at night" if at_night else f"in the {part['part']}" if part else None
    clock = _clock(clock_words, hours, half)
    if clock is None or "midnight" in clock_words or ((at_night or "night" in clock_words) and clock < _LATE):
        return None
    return clock


def _between(words: str, hours: str | None) -> str | None:
    """Two times, of which the second may tell the half of the day of the first: `7 to 9 pm`, `11 to 1 pm`."""
    match = _TWO.fullmatch(words)
    if not match or (not match["from"] and _MAY_BE_MINUTES.fullmatch(words)):
        return None
    first, second = _clock(match["first"], None), _clock(match["second"], None)
    if first is not None and second is not None:
        return f"{first:%H:%M}/{second:%H:%M}"
    half = _HALF_BEHIND.search(match["second"])
    second = second or _clock(match["second"], hours)
    if second is None:
        return None
    halves = () if half is None else ("pm",) if half[0].strip() in _NIGHT else (half[0].strip(), "am")
    ways = [first] if first else [_clock(match["first"], None, way) for way in halves]
    to_midnight = match["second"] == "midnight"
    for early in ways or [_clock(match["first"], hours)]:
        if early is not None and (early < second or to_midnight):
            return f"{early:%H:%M}/{second:%H:%M}"
    return None


def _clock(words: str, hours: str | None, half: str | None = None) -> time | None:
    """half: what tells the half of the day where the words do not."""
    words = _BEHIND.sub("", _BEFORE.sub("", words)).strip(" ,")
    if words in _FIXED:
        return _FIXED[words]
    match = _PAST.fullmatch(words)
    if match:
        return _past(match, hours, half)
    match = _CLOCK.fullmatch(words)
    if match is None:
        return None
    together = match["together"]
    hour = int(together[:-2]) if together else _hour(match["hour"])
    minute = int(together[-2:]) if together else int(match["minute"] or _MINUTES.get(match["words"] or "", 0))
    if hour > 23 or (together and hour < 10 and not match["half"] and together[0] != "0"):
        return None
    exact = match["hour"] is None or (match["hour"].startswith("0") and match["minute"])
    return _of_half(hour, minute, match["half"] or half, hours, exact=bool(exact))


def _past(match: re.Match[str], hours: str | None, half: str | None) -> time | None:
    """`half past seven`, `quarter to eight`, `10 minutes to 8 pm`; None of `ten to eight`, which may be two times."""
    fixed = {"half": 30, "quarter": 15, "a quarter": 15}
    count = fixed.get(match["count"]) or numbers.cardinal(match["count"])
    hour, to = _hour(match["hour"]), match["way"] != "past"
    doubtful = to and match["count"] not in fixed and not match["minutes"]
    if count is None or not 0 < count < 60 or hour > 12 or doubtful:
        return None
    minutes = (hour * 60 + int(-count if to else count)) % 720
    return _of_half(minutes // 60 or 12, minutes % 60, match["half"] or half, hours)


def _of_half(hour: int, minute: int, half: str | None, hours: str | None, *, exact: bool = False) -> time | None:
    """The time with its half of the day. exact: whether a half need not be told."""
    early, late = time(hour % 12, minute), time(hour % 12 + 12, minute)
    if half is None:
        if exact or hour > 12 or hour == 0:
            return time(hour, minute)
        within = [way for way in (early, late) if hours and _is_within(way, hours)]
        return within[0] if len(within) == 1 else None
    morning = half == "in the morning" or half.replace(".", "").replace(" ", "") == "am"
    if hour > 12 or hour == 0:
        return time(hour, minute) if morning == (hour == 0) else None
    if half in _NIGHT:
        return early if hour == 12 or hour < 6 else late
    if hour == 12 and half in {"in the morning", "in the evening"}:
        return None
    return early if morning else late


def _is_within(clock: time, hours: str) -> bool:
    start, end = (time(int(part[:2]), int(part[3:])) for part in hours.split("-"))
    return start <= clock <= end if start <= end else clock >= start or clock <= end


def _hour(word: str) -> int:
    return int(word) if word.isdecimal() else _HOURS.index(word)
