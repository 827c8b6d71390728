"""English dates, seen from Wednesday, the 25th of November 2026."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.slots.values import dates

TODAY = date(2026, 11, 25)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("today", "2026-11-25"), ("Tomorrow", "2026-11-26"), ("the day after tomorrow", "2026-11-27"),
        ("friday", "2026-11-27"), ("on Sat", "2026-11-28"), ("wednesday", "2026-11-25"), ("next friday", "2026-12-04"),
        ("last friday", "2026-11-20"), ("last wednesday", "2026-11-18"), ("in 3 days", "2026-11-28"),
        ("in two weeks", "2026-12-09"), ("a week from tomorrow", "2026-12-03"), ("in a month", "2026-12-25"),
        ("May 5th", "2027-05-05"), ("5 may 2028", "2028-05-05"), ("twenty first of june", "2027-06-21"),
        ("the sixteenth of october", "2027-10-16"), ("thirtieth june", "2027-06-30"),
        ("may the twentieth", "2027-05-20"),
        ("wed, 2 dec", "2026-12-02"), ("dec. 3rd", "2026-12-03"), ("the 5th", "2026-12-05"), ("the 30th", "2026-11-30"),
        ("feb 29", "2028-02-29"), ("2026-12-01", "2026-12-01"), ("25/12", "2026-12-25"), ("12/25/2027", "2027-12-25"),
        ("tuesday evening", "2026-12-01"), ("tomorrow at 7pm", "2026-11-26"),
        ("this weekend", "2026-11-28/2026-11-29"), ("next week", "2026-11-30/2026-12-06"),
        ("next month", "2026-12-01/2026-12-31"), ("march 2027", "2027-03-01/2027-03-31"),
        ("last may", "2026-05-01/2026-05-31"), ("last december", "2025-12-01/2025-12-31"),
        ("next november", "2027-11-01/2027-11-30"), ("next may", "2027-05-01/2027-05-31"),
        ("friday the 13th", "2027-08-13"), ("friday the 27th", "2026-11-27"), ("wednesday 12 may", "2027-05-12"),
        ("friday at half past seven", "2026-11-27"), ("friday at 7 to 9 pm", "2026-11-27"),
        ("friday @ 7pm", "2026-11-27"),
        ("by friday at the latest", "2026-11-27"), ("tomorrow at noon", "2026-11-26"),
        ("friday around 8ish", "2026-11-27"),
        ("tomorrow at nine oh five", "2026-11-26"), ("tomorrow by 5 pm at the latest", "2026-11-26"),
        ("friday at 7 pm CET", "2026-11-27"), ("tomorrow at 9 am EST", "2026-11-26"),
        ("friday at 8 for 4 people", "2026-11-27"), ("friday at 7 for two", "2026-11-27"),
        ("friday at lunchtime", "2026-11-27"), ("friday around lunchtime", "2026-11-27"),
        ("tomorrow at dinner time", "2026-11-26"), ("friday by close of business", "2026-11-27"),
        ("friday by eod", "2026-11-27"), ("tomorrow by end of day", "2026-11-26"), ("monday at dawn", "2026-11-30"),
        ("friday at my place", "2026-11-27"), ("friday at the office", "2026-11-27"), ("monday at work", "2026-11-30"),
        ("friday at exactly 7pm", "2026-11-27"), ("friday at 7 or so", "2026-11-27"),
        ("friday at quarter till eight", "2026-11-27"), ("friday at 7.30-9.30", "2026-11-27"),
        ("friday at 7 to half past 8", "2026-11-27"), ("friday at 7 to about 9", "2026-11-27"),
        ("today at 8 tonight", "2026-11-25"),
        ("13/05/85", "1985-05-13"), ("13/05/30", "2030-05-13"), ("13/05/26", "2026-05-13"),
        ("monday next week", "2026-11-30"), ("friday this week", "2026-11-27"), ("2nd", "2026-12-02"),
        ("friday 13th", "2027-08-13"), ("3 May '27", "2027-05-03"), ("Dec 4th \u201926", "2026-12-04"),
        ("25-Dec-2026", "2026-12-25"), ("20261225", "2026-12-25"), ("three days ago", "2026-11-22"),
        ("a month ago", "2026-10-25"), ("a week from monday", "2026-12-07"), ("3 days from friday", "2026-11-30"),
        ("in eleven days", "2026-12-06"), ("in thirty days", "2026-12-25"), ("in twenty-one days", "2026-12-16"),
        ("in 2 days at 7pm", "2026-11-27"), ("in 0 days", "2026-11-25"),
        ("2019", "2019-01-01/2019-12-31"), ("this year", "2026-01-01/2026-12-31"),
    ],
)  # fmt: skip
def test_dates_and_stretches(text: str, value: str) -> None:
    assert dates.read(text, TODAY) == value


@pytest.mark.parametrize(
    "text",
    [
        "20261332", "3-5 May", "a week from", "mon next",
        "31 feb", "christmas", "", "soon", "5/6", "the 32nd", "99/99", "monkey", "monday 12 may",
        "friday at 7 or saturday", "friday by noon or monday", "friday at 7 saturday", "friday at 7 or the 8th",
        "friday at 7 the 8", "friday at 7 the eighth", "friday at my place or yours", "friday at noon and sat",
        "friday at noon to sunday", "friday at 7 till the end of it", "friday at 7 until late", "friday at 7 on 27/11",
        "friday at 7 2026-11-28", "friday at 7 may 2", "friday at 7 not 8", "friday at noon instead",
        "friday at noon next week", "friday at noon this weekend", "friday at noon in two weeks",
        "friday by noon tomorrow", "friday at 8 tonight", "friday at 7 in 3 days",
        "in 9999999999999999999 days", "in 999999999 days", "in 99999999999999999 years", "in second week",
        "in half days", "first monday of december", "the second week of may", "the first week", "may first thing",
    ],
)  # fmt: skip
def test_what_is_no_date_or_could_be_two_is_none(text: str) -> None:
    assert dates.read(text, TODAY) is None


def test_which_number_is_the_day_can_be_told() -> None:
    assert dates.read("5/6", TODAY, day_first=True) == "2027-06-05"
    assert dates.read("5/6", TODAY, day_first=False) == "2027-05-06"
    assert dates.read("25/6", TODAY, day_first=False) == "2027-06-25"


def test_a_day_with_a_time_behind_it_is_none_where_no_time_may_stand_there() -> None:
    assert dates.read("tomorrow at 7", TODAY, timed=False) is None
    assert dates.read("tomorrow evening", TODAY, timed=False) == "2026-11-26"


@given(st.text(max_size=30))
def test_no_text_is_an_error(text: str) -> None:
    dates.read(text, TODAY)


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)))
def test_dates_in_figures_are_themselves(when: date) -> None:
    assert dates.read(when.isoformat(), TODAY) == when.isoformat()
    assert dates.read(f"{when:%B} {when.day}, {when.year}", TODAY) == when.isoformat()


@pytest.mark.parametrize("text", ["tomorrow", "in 3 days", "next week", "next year"])
def test_after_the_last_day_of_all_there_is_none(text: str) -> None:
    assert dates.read(text, date.max) is None
