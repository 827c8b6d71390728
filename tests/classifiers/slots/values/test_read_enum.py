"""A policy's own values."""

import pytest

from classifiers.slots.values import read

VALUES = {
    "birthday": ("bday", "turning 30"),
    "wedding_anniversary": ("anniversary",),
    "business": ("work", "work lunch"),
}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Birthday", "birthday"), ("bday!", "birthday"), ("my mother's birthday party", "birthday"),
        ("wedding anniversary", "wedding_anniversary"), ("our anniversary", "wedding_anniversary"),
        ("a work lunch", "business"), ("birthdya", "birthday"), ("busines", "business"),
    ],
)  # fmt: skip
def test_names_other_words_and_slips_are_known(text: str, name: str) -> None:
    assert read.read_enum(text, VALUES) == name


@pytest.mark.parametrize(
    ("text", "names", "name"),
    [
        ("room 103", ["room 101", "room 102"], None), ("iphone 15 pro", ["iphone 13 pro", "iphone 14 pro"], None),
        ("rooom 102", ["room 101", "room 102"], "room 102"), ("A+", ["A+", "A-"], "A+"), ("a-", ["A+", "A-"], "A-"),
        ("C", ["C", "C++"], "C"), ("c++", ["C", "C++"], "C++"), ("an A, please", ["A+", "A-"], None),
    ],
)  # fmt: skip
def test_numbers_have_no_slips_and_signs_tell_names_apart(text: str, names: list[str], name: str | None) -> None:
    assert read.read_enum(text, dict.fromkeys(names, ())) == name


@pytest.mark.parametrize(
    ("text", "names", "name"),
    [
        ("\u2615", ["\u2615", "tea"], "\u2615"), ("\u2615\ufe0f", ["\u2615", "tea"], "\u2615"),
        ("\U0001f375", ["\u2615", "tea"], None), ("???", ["\u2615", "tea"], None),
        ("\u090f\u0915 \u092a\u093e\u0928", ["\u092a\u093e\u0928\u0940"], None),
        ("\u090f\u0915 \u092a\u093e\u0928\u0940", ["\u092a\u093e\u0928\u0940", "\u092a\u093e\u0928"],
         "\u092a\u093e\u0928\u0940"),
        ("a cafe\u0301", ["caf\u00e9"], "caf\u00e9"), ("un caf\u00e9", ["cafe\u0301"], "cafe\u0301"),
        ("\uff34ea, please", ["tea"], "tea"),
    ],
)  # fmt: skip
def test_words_and_signs_of_any_script_are_whole(text: str, names: list[str], name: str | None) -> None:
    assert read.read_enum(text, dict.fromkeys(names, ())) == name


@pytest.mark.parametrize(
    ("text", "names", "name"),
    [
        ("unavailable", ["available"], None), ("nonrefundable", ["refundable"], None),
        ("incomplete", ["complete"], None),
        ("complete", ["incomplete"], None), ("room unavailable", ["room available"], None),
        ("a non-refundable fare", ["refundable"], None), ("not inside", ["inside"], None),
        ("not inside, outside", ["inside", "outside"], "outside"),
        ("non-refundable fare", ["refundable", "non-refundable"], "non-refundable"),
        ("unavailble", ["available", "unavailable"], "unavailable"), ("nside", ["inside"], "inside"),
        ("fun inside", ["inside"], "inside"), ("without a terrace", ["terrace"], None),
        ("no terra\u00e7o", ["terra\u00e7o"], "terra\u00e7o"), ("not extra large", ["large", "extra large"], None),
        ("biweekly", ["weekly"], None), ("half-yearly", ["yearly"], None), ("no, thanks", ["yes", "no"], "no"),
    ],
)  # fmt: skip
def test_what_negates_is_no_slip(text: str, names: list[str], name: str | None) -> None:
    assert read.read_enum(text, dict.fromkeys(names, ())) == name


@pytest.mark.parametrize(
    ("text", "names", "name"),
    [
        ("inside or outside", ["inside", "outside"], None), ("large/medium", ["large", "medium"], None),
        ("an extra large one", ["large", "extra large"], "extra large"), ("large, very large", ["large"], "large"),
        ("large or extra large", ["large", "extra large"], None),
    ],
)  # fmt: skip
def test_of_two_values_none_is_meant_but_for_one_that_holds_the_other(
    text: str, names: list[str], name: str | None
) -> None:
    assert read.read_enum(text, dict.fromkeys(names, ())) == name


@pytest.mark.parametrize("text", ["funeral", "", "workshop", "!?"])
def test_what_is_none_of_the_values_is_none(text: str) -> None:
    assert read.read_enum(text, VALUES) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("N/A", None),
        ("n.a.", None),
        ("n", "no"),
        ("N.", "no"),
        ("x-l", "extra large"),
        ("a large, l", "large"),
        ("to the u k", "UK"),
    ],
)
def test_single_letters_that_are_joined_are_one_word(text: str, name: str | None) -> None:
    values = {"no": ["n"], "yes": ["y"], "large": ["l"], "extra large": ["XL"], "UK": ["U.K."]}
    assert read.read_enum(text, values) == name
