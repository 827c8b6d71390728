"""Words → values by a slot's type."""

from datetime import UTC, datetime
from typing import Any

import pytest

from classifiers.policy import Slot
from classifiers.slots.values.numbers import Value
from classifiers.slots.values.read import read_value

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("slot", "raw", "value"),
    [
        ({"type": "text"}, "by  the\nwindow", Value(value="by the window")),
        ({"type": "number"}, "a party of four", Value(value=4)),
        ({"type": "number"}, "2.5", Value(value=2.5)),
        ({"type": "money", "currency": "EUR"}, "20", Value(value="20", currency="EUR")),
        ({"type": "date"}, "tomorrow", Value(value="2026-11-26")),
        ({"type": "time", "hours": "11:00-23:00"}, "half past seven", Value(value="19:30")),
        ({"type": "enum", "values": ["inside", "outside"]}, "Outside please", Value(value="outside")),
        ({"type": "number"}, "plenty", None),
        ({"type": "number"}, "9" * 5000, None),
        ({"type": "money"}, "20", None),
        ({"type": "date"}, "someday", None),
        ({"type": "time"}, "at 7", None),
        ({"type": "enum", "values": ["inside", "outside"]}, "upstairs", None),
    ],
)
def test_each_type_is_read_as_what_it_is(slot: dict[str, Any], raw: str, value: Value | None) -> None:
    assert read_value(Slot.model_validate({"means": "something", **slot}), raw, NOW) == value


@pytest.mark.parametrize(
    ("slot", "raw", "value"),
    [
        ({"type": "number"}, "1\u200b0", Value(value=10)),
        ({"type": "number"}, "fo\u00adur", Value(value=4)),
        ({"type": "date"}, "\u200e2026\u201112\u201101\u200e", Value(value="2026-12-01")),
        ({"type": "date"}, "tomo\u2060rrow", Value(value="2026-11-26")),
        ({"type": "time"}, "\u2068\uff17\u200b pm\u2069", Value(value="19:00")),
        ({"type": "date"}, "tomorrow]", Value(value="2026-11-26")),
        ({"type": "time"}, "(**7 pm**", Value(value="19:00")),
        ({"type": "text"}, "\u200fO\u00adkafor\ufeff", Value(value="Okafor")),
        ({"type": "text"}, "\u0645\u06cc\u200c\u0634\u0648\u062f", Value(value="\u0645\u06cc\u200c\u0634\u0648\u062f")),
    ],
)
def test_what_has_no_width_and_brackets_around_days_and_times_are_no_part_of_a_value(
    slot: dict[str, Any], raw: str, value: Value
) -> None:
    assert read_value(Slot.model_validate({"means": "something", **slot}), raw, NOW) == value


@pytest.mark.parametrize(
    ("languages", "value"),
    [
        (["en"], None),
        (["en-US"], "2027-05-06"),
        (["en-GB"], "2027-06-05"),
        (["en-US", "en-GB"], None),
        (["en_US"], "2027-05-06"),
        (["EN_gb"], "2027-06-05"),
        (["en-Latn-US"], "2027-05-06"),
        (["en_US", "en"], None),
        (["en-CA"], None),
        (["de"], "2027-06-05"),
        (["de", "en-GB"], "2027-06-05"),
        (["de", "en"], None),
        (["de", "en-US"], None),
        (["pt-BR"], "2027-06-05"),
        (["fr-CA"], None),
        (["es-US"], None),
        (["any"], None),
        (["ja"], None),
        (["zh"], None),
        (["zh-GB"], None),
        ([], None),
    ],
)
def test_the_languages_tell_which_number_is_the_day(languages: list[str], value: str | None) -> None:
    found = read_value(Slot(means="a day", type="date"), "5/6", NOW, languages=languages)
    assert (found.value if found else None) == value


@pytest.mark.parametrize(
    ("languages", "value"), [(["en"], 3.5), (["en_US", "en-GB"], 3.5), (["de"], None), (["en", "de"], None)]
)
def test_a_point_before_three_digits_is_a_decimal_one_in_english_alone(
    languages: list[str], value: float | None
) -> None:
    slot = Slot(means="how many", type="number")
    found = read_value(slot, "3.500", NOW, languages=languages)
    assert (found and found.value) == value
    assert [read_value(slot, words, NOW, languages=languages) for words in ("0.125k", "3.25", "1.250k")] == [
        Value(value=125),
        Value(value=3.25),
        Value(value=1250),
    ]


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("number", "\uff11,\uff12\uff10\uff10", 1200), ("number", "\uff11\uff0c\uff12\uff10\uff10", 1200),
        ("number", "\u0661,\u0662\u0660\u0660", 1200), ("number", "\u0661\u066b\u0665", 1.5),
        ("number", "2\u00bd", 2.5),
        ("time", "\uff17\uff50\uff4d", "19:00"),
        ("date", "\uff12\uff10\uff12\uff16\uff0f\uff11\uff12\uff0f\uff10\uff11", "2026-12-01"),
        ("money", "\uffe51200", "1200"), ("text", "\uff17", "\uff17"),
    ],
)  # fmt: skip
def test_digits_of_any_script_and_full_width_forms_are_read(kind: str, raw: str, value: object) -> None:
    found = read_value(Slot.model_validate({"means": "something", "type": kind}), raw, NOW)
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize("kind", ["number", "money", "date", "time", "enum"])
def test_only_text_may_be_long(kind: str) -> None:
    known = {"number": "5", "money": "$5", "date": "tomorrow", "time": "tomorrow at 7 pm", "enum": "inside"}[kind]
    values = {"values": ["inside"]} if kind == "enum" else {}
    slot = Slot.model_validate({"means": "something", "type": kind, **values})
    assert read_value(slot, known, NOW) is not None
    assert read_value(slot, f"{known} " * 210, NOW) is None
    assert read_value(Slot(means="something"), "x" * 1_000, NOW) == Value(value="x" * 1_000)
