"""Words of slots → values. tests/tables/values.yaml has the cases, and the corpora where their forms occur."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from classifiers.policy import Slot
from classifiers.slots.values import dates, money, numbers, read, times
from classifiers.slots.values.numbers import Value
from classifiers.slots.values.read import read_value

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
TABLES = yaml.safe_load((Path(__file__).parents[2] / "tables" / "values.yaml").read_text(encoding="utf-8"))


def rows(table: str) -> Iterator[tuple[str, str | None]]:
    for group in TABLES[table].values():
        yield from group.items() if isinstance(group, Mapping) else ((text, None) for text in group)


def amount(value: Value | None) -> str | None:
    return None if value is None else f"{value.value} {value.currency}"


def test_numbers() -> None:
    wanted = {text: None if value is None else Decimal(value) for text, value in rows("numbers")}
    assert {text: numbers.read(text) for text in wanted} == wanted


def test_an_exact_number_is_the_whole_text() -> None:
    for text in ("fifty", "25", "a hundred and two", "a dozen", "a couple of", "3rd"):
        assert numbers.exact(text) == numbers.read(text)
        assert numbers.exact(f"for {text}") is numbers.exact(f"{text} of them") is None
    assert [numbers.cardinal(text) for text in ("twenty", "third", "21st", "")] == [20, None, None, None]


def test_amounts_of_money() -> None:
    wanted = dict(rows("money"))
    assert {text: amount(money.read(text)) for text in wanted} == wanted
    cases = TABLES["money_of_slots"]
    assert [[text, code, amount(money.read(text, code))] for text, code, _ in cases] == cases


def test_dates() -> None:
    wanted = dict(rows("dates"))
    assert {text: dates.read(text, NOW.date()) for text in wanted} == wanted


def test_times() -> None:
    wanted = dict(rows("times"))
    assert {text: times.read(text, NOW) for text in wanted} == wanted
    cases = TABLES["times_of_slots"]
    assert [[text, hours, times.read(text, NOW, hours=hours)] for text, hours, _ in cases] == cases


def test_values_of_enums() -> None:
    for text, names, name in TABLES["enums"]:
        values = names if isinstance(names, dict) else dict.fromkeys(names, ())
        assert read.read_enum(text, values) == name, text


def test_after_the_last_day_of_all_there_is_none() -> None:
    assert {dates.read(text, date.max) for text in ("tomorrow", "in 3 days", "next week", "next year")} == {None}


@given(st.text(max_size=30))
def test_no_text_is_an_error(text: str) -> None:
    numbers.read(text)
    money.read(text, "EUR")
    dates.read(text, NOW.date())
    times.read(text, NOW, hours="11:00-23:00")


def test_long_texts_take_linear_time() -> None:
    assert numbers.read("a " * 200_000 + "5") == 5
    assert numbers.read("a." * 200_000 + " 5") == 5


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.times())
def test_dates_and_times_in_figures_are_themselves(day: date, clock: time) -> None:
    assert dates.read(day.isoformat(), NOW.date()) == day.isoformat()
    assert dates.read(f"{day:%B} {day.day}, {day.year}", NOW.date()) == day.isoformat()
    assert times.read(f"{clock:%I:%M %p}", NOW) == f"{clock:%H:%M}"
    if clock.hour > 12 or clock.hour < 10:
        assert times.read(f"{clock:%H:%M}", NOW) == f"{clock:%H:%M}"


def value(kind: str, raw: str, *languages: str, **more: Any) -> object:
    slot = Slot.model_validate({"means": "something", "type": kind, **more})
    found = read_value(slot, raw, NOW, languages=languages or ("en",))
    return found.value if found else None


def test_each_type_is_read_as_what_it_is() -> None:
    assert value("text", "by  the\nwindow") == "by the window"
    assert (value("number", "a party of four"), value("number", "2.5")) == (4, 2.5)
    assert (value("money", "20 EUR"), value("money", "20")) == ("20", None)
    assert value("date", "tomorrow") == "2026-11-26"
    assert value("time", "half past seven", hours="11:00-23:00") == "19:30"
    assert value("enum", "Outside please", values=["inside", "outside"]) == "outside"
    assert value("enum", "upstairs", values=["inside", "outside"]) is None


def test_signs_without_width_brackets_and_digits_of_any_script_are_read_past() -> None:
    cases = [
        ("number", "1\u200b0", 10),
        ("date", "\u200e2026\u201112\u201101\u200e]", "2026-12-01"),
        ("time", "(**\u2068\uff17\u200b pm\u2069", "19:00"),
        ("text", "\u200fO\u00adkafor\ufeff", "Okafor"),
        ("text", "\u0645\u06cc\u200c\u0634\u0648\u062f", "\u0645\u06cc\u200c\u0634\u0648\u062f"),
        ("number", "\uff11\uff0c\uff12\uff10\uff10", 1200),
        ("number", "\u0661\u066b\u0665", 1.5),
        ("date", "\uff12\uff10\uff12\uff16\uff0f\uff11\uff12\uff0f\uff10\uff11", "2026-12-01"),
        ("money", "\uffe51200", "1200"),
        ("text", "\uff17", "\uff17"),
    ]
    assert [(kind, raw, value(kind, raw)) for kind, raw, _ in cases] == cases


def test_the_languages_tell_which_number_is_the_day() -> None:
    month_first = (["en-US"], ["EN_us"], ["en-Latn-US"])
    day_first = (["en-GB"], ["de"], ["de", "en-GB"], ["pt-BR"])
    neither = (["en"], ["en-US", "en-GB"], ["en-CA"], ["de", "en"], ["fr-CA"], ["es-US"], ["any"], ["ja"], ["zh-GB"])
    for languages, wanted in ((month_first, "2027-05-06"), (day_first, "2027-06-05"), (neither, None)):
        assert {value("date", "5/6", *tags) for tags in languages} == {wanted}


def test_a_point_before_three_digits_is_a_decimal_one_in_english_alone() -> None:
    assert [value("number", "3.500", *tags) for tags in (["en_US", "en-GB"], ["de"], ["en", "de"])] == [3.5, None, None]
    assert [value("number", words, "de") for words in ("0.125k", "3.25", "1.250k")] == [125, 3.25, 1250]
