"""English times of day, seen from nine o'clock on Wednesday, the 25th of November 2026."""

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.slots.values import times

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
OPEN = "11:00-23:00"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7 pm", "19:00"), ("7PM", "19:00"), ("7 p.m.", "19:00"), ("19:30", "19:30"), ("19h30", "19:30"),
        ("1900", "19:00"), ("18h", "18:00"), ("20h", "20:00"), ("18:30:00", "18:30"),
        ("2026-11-28T18:30", "2026-11-28T18:30"), ("2026-11-28T18:30:00", "2026-11-28T18:30"),
        ("07:30", "07:30"), ("20.15", "20:15"), ("noon", "12:00"), ("midnight", "00:00"), ("12 am", "00:00"),
        ("12pm", "12:00"), ("quarter to 8 pm", "19:45"), ("seven in the evening", "19:00"), ("8 tonight", "20:00"),
        ("2 at night", "02:00"), ("6 in the morning", "06:00"), ("in 20 minutes", "2026-11-25T09:20"),
        ("in an hour and a half", "2026-11-25T10:30"), ("tomorrow at 7pm", "2026-11-26T19:00"),
        ("friday 19:00", "2026-11-27T19:00"), ("8 pm on friday", "2026-11-27T20:00"),
        ("tonight at 8", "2026-11-25T20:00"), ("tonight at 7 or so", "2026-11-25T19:00"),
        ("between 7 and 9 pm", "19:00/21:00"), ("7-9pm", "19:00/21:00"),
        ("7 to 9 pm", "19:00/21:00"), ("from 7 to 9 pm", "19:00/21:00"), ("from 10 to 11 pm", "22:00/23:00"),
        ("from five to nine pm", "17:00/21:00"), ("11 to 1 pm", "11:00/13:00"), ("11-1pm", "11:00/13:00"),
        ("9pm-2am", "21:00/02:00"), ("10-2am", "22:00/02:00"), ("20 to 8 pm", "19:40"), ("7 minutes to 8 pm", "19:53"),
        ("five to nine pm", "20:55"), ("18 to 20", "18:00/20:00"), ("20 to 22", "20:00/22:00"),
        ("11 at night", "23:00"), ("8 at night", "20:00"), ("12 at night", "00:00"),
        ("tomorrow morning at 9", "2026-11-26T09:00"), ("9 tomorrow morning", "2026-11-26T09:00"),
        ("tomorrow evening at half past 7", "2026-11-26T19:30"), ("this evening at 19:00", "2026-11-25T19:00"),
        ("2 hours from now", "2026-11-25T11:00"), ("half an hour from now", "2026-11-25T09:30"),
        ("an hour and a half from now", "2026-11-25T10:30"), ("in 2 hours from now", "2026-11-25T11:00"),
        ("ten to midnight", "23:50"), ("five past midnight", "00:05"), ("quarter to noon", "11:45"),
        ("half past noon", "12:30"), ("5 minutes to midnight", "23:55"), ("25 to midnight", "23:35"),
        ("20 to noon", "11:40"), ("ten to midnight on friday", "2026-11-27T23:50"),
        ("10pm to midnight", "22:00/00:00"), ("14 hours", "14:00"), ("14 hours tomorrow", "2026-11-26T14:00"),
        ("tomorrow from 7 pm", "2026-11-26T19:00"), ("from tomorrow at 7 pm", "2026-11-26T19:00"),
        ("tomorrow night at 8", "2026-11-26T20:00"), ("friday at 8 at night", "2026-11-27T20:00"),
        ("7pm friday evening", "2026-11-27T19:00"), ("friday in the evening at 8", "2026-11-27T20:00"),
        ("9 to 11 tonight", "21:00/23:00"), ("8 to 10 in the evening", "20:00/22:00"),
        ("7 to 9 in the morning", "07:00/09:00"), ("11 to 1 in the afternoon", "11:00/13:00"),
        ("from 10 to 1 in the morning", "22:00/01:00"), ("11 to 1 tonight", "23:00/01:00"),
        ("from 10 to 2 at night", "22:00/02:00"),
        ("8 to 12 in the morning", "08:00/12:00"), ("from 9 to 12 in the morning", "09:00/12:00"),
        ("8 to 12 in the evening", "20:00/00:00"), ("8 to 12 tonight", "20:00/00:00"),
        ("8 to 12 at night", "20:00/00:00"), ("8am to 12 in the morning", "08:00/12:00"),
        ("9pm to 12 in the morning", "21:00/00:00"), ("8pm to 12 in the evening", "20:00/00:00"),
        ("from 12 to 1 in the morning", "00:00/01:00"), ("11 to 6 in the evening", "11:00/18:00"),
        ("8 to 12 am", "20:00/00:00"), ("8 to 12 pm", "08:00/12:00"),
        ("at about 7pm", "19:00"), ("at around 7pm tomorrow", "2026-11-26T19:00"), ("by about noon", "12:00"),
        ("tomorrow at about 7pm", "2026-11-26T19:00"), ("tomorrow at around 7pm", "2026-11-26T19:00"),
        ("friday at about 7 pm", "2026-11-27T19:00"), ("friday by around 7pm", "2026-11-27T19:00"),
        ("friday at approximately 19:00", "2026-11-27T19:00"), ("friday at exactly 7pm", "2026-11-27T19:00"),
        ("saturday night at 11:30 pm", "2026-11-28T23:30"),
    ],
)  # fmt: skip
def test_times(text: str, value: str) -> None:
    assert times.read(text, NOW) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("at 7", "19:00"), ("half past seven", "19:30"), ("7:30", "19:30"), ("seven thirty", "19:30"),
        ("ten past nine", "21:10"), ("7 o'clock", "19:00"), ("around 8ish", "20:00"), ("12:30", "12:30"),
        ("friday at half past seven", "2026-11-27T19:30"), ("6 to 8", "18:00/20:00"), ("6 to midnight", "18:00/00:00"),
        ("from ten to midnight", "22:00/00:00"), ("tomorrow at about 7", "2026-11-26T19:00"),
        ("tomorrow at nine oh five", "2026-11-26T21:05"), ("4 to 6 tonight", "16:00/18:00"),
    ],
)  # fmt: skip
def test_opening_hours_tell_which_half_of_the_day_is_meant(text: str, value: str) -> None:
    assert times.read(text, NOW) is None
    assert times.read(text, NOW, hours=OPEN) == value


def test_hours_that_fit_twice_or_never_tell_nothing() -> None:
    assert times.read("11:30", NOW, hours="11:00-23:45") is None
    assert times.read("9", NOW, hours="12:00-14:00") is None
    assert times.read("1", NOW, hours="18:00-03:00") == "01:00"


@pytest.mark.parametrize(
    ("text", "hours", "value"),
    [
        ("9 to 11 tonight", "07:00-20:00", "21:00/23:00"), ("8 to 10 in the evening", "07:00-19:30", "20:00/22:00"),
        ("7 to 9 in the morning", "11:00-23:00", "07:00/09:00"), ("9-5", "11:00-23:00", None),
        ("9-5", "07:00-20:00", "09:00/17:00"), ("10-2", "18:00-03:00", "22:00/02:00"), ("9pm-2", "11:00-23:00", None),
        ("4 to 6 tonight", "08:00-18:00", "16:00/18:00"), ("4 to 6 tonight", "18:00-23:00", None),
        ("9 to 6 tonight", "08:00-18:00", "09:00/18:00"), ("9 to 6 tonight", "11:00-23:00", None),
    ],
)  # fmt: skip
def test_a_range_goes_forward_and_its_part_of_the_day_is_that_of_both(text: str, hours: str, value: str | None) -> None:
    assert times.read(text, NOW, hours=hours) == value


def test_what_the_text_says_of_the_half_of_the_day_counts_more_than_the_hours() -> None:
    assert times.read("tomorrow morning at 9", NOW, hours=OPEN) == "2026-11-26T09:00"
    assert times.read("9-1pm", NOW, hours=OPEN) == "09:00/13:00"


@pytest.mark.parametrize(
    "text",
    [
        "friday midnight", "friday at midnight", "midnight tomorrow", "8h", "18h:30",
        "10 to 2 pm", "5 to 8 pm", "10 to 12", "tonight at 1", "10 to midnight", "20 to midnight",
        "saturday night at 12:30 am", "1 am saturday night", "tomorrow night at 1", "friday at 1 at night",
        "4 tonight", "tonight at 4", "tomorrow at 7 or 8pm", "friday 7pm until 9pm", "tomorrow at 10 am until 2 pm",
        "tomorrow around 7 to 9pm", "tomorrow at about 7 or 8pm", "tomorrow at 7pm not 8pm",
        "friday at 8 or saturday at 9pm", "friday at 8 or saturday 9pm", "at 7pm or 8pm tomorrow",
        "saturday night at 6 am", "saturday night at 12 pm", "7:30 hours",
    ],
)  # fmt: skip
def test_what_could_be_two_times_is_none(text: str) -> None:
    assert times.read(text, NOW, hours=OPEN) is None


@pytest.mark.parametrize(
    "text",
    [
        "evening", "", "25:00", "soon", "seventy", "7:75", "20 past 30", "70 past 3", "10 past 45",
        "in 100000000 hours", "in 99999999999999 minutes",
        "99999999 hours from now", "2 hours", "2 hours from today", "2 hours from tomorrow",
        "2 hours tomorrow afternoon", "2 from now", "from now until 5 pm", "14 hours from friday", "2 to 3 hours",
        "two hours", "18:30:45", "2026-11-28T18:30:45",
    ],
)  # fmt: skip
def test_what_is_no_time_is_none(text: str) -> None:
    assert times.read(text, NOW, hours=OPEN) is None


@given(st.text(max_size=30))
def test_no_text_is_an_error(text: str) -> None:
    times.read(text, NOW, hours=OPEN)


@given(st.times())
def test_times_in_figures_are_themselves(when: time) -> None:
    assert times.read(f"{when:%I:%M %p}", NOW) == f"{when:%H:%M}"
    if when.hour > 12 or when.hour < 10:
        assert times.read(f"{when:%H:%M}", NOW) == f"{when:%H:%M}"
