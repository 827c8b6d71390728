"""Numbers in words and figures."""

from decimal import Decimal

import pytest

from classifiers.slots.values import numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", "4"), ("1,200", "1200"), ("1,200.50", "1200.50"), ("1.234.567", "1234567"), ("1.234,56", "1234.56"),
        ("12,5", "12.5"), ("2.5 million", "2500000"), ("1.5k", "1500"), ("007", "7"),
        ("twenty-five", "25"), ("Twenty First", "21"), ("a hundred and two", "102"), ("two thousand and six", "2006"),
        ("one-hundred-and-five", "105"), ("half-a-dozen", "6"), ("two-thousand six-hundred", "2600"), ("10% off", "10"),
        ("20 percent off my bill", "20"),
        ("three hundred thousand", "300000"), ("nineteen hundred", "1900"), ("two and a half", "2.5"), ("half", "0.5"),
        ("a dozen", "12"), ("half a dozen", "6"), ("two dozen", "24"), ("a couple of friends", "2"), ("zero", "0"),
        ("25kg", "25"), ("100km", "100"), ("20ppl", "20"), ("250ml", "250"), ("10 000", "10000"),
        ("half a million", "500000"), ("two and a half million", "2500000"), ("a couple of hundred", "200"),
        ("minus 5", "-5"), ("-5", "-5"), ("4 and a bit", "4"), ("4 to be sure", "4"), ("half an hour", "0.5"),
        ("a party of six", "6"), ("4 out of 6", "4"), ("seven stars", "7"), ("the 3rd", "3"),
        ("2\u00bd cups", "2.5"), ("1 \u00bd hours", "1.5"), ("\u00bd", "0.5"), ("2\u00bd million", "2500000"),
        ("3\u00bc", "3.25"), ("two and a quarter", "2.25"), ("two and three quarters", "2.75"),
        ("2 third-party apps", "2"), ("2 quarter pounders", "2"), ("a second one", "2"), ("the twenty-third", "23"),
        ("1'200.50", "1200.50"), ("1\u2019200\u2019000", "1200000"), ("6'10", "6"),
        ("4 \u2014 two adults and two children", "4"), ("twenty\u2011five", "25"), ("5 m", "5"), ("3bn", "3000000000"),
        ("0,500", "0.5"), (".5", "0.5"), ("about .75", "0.75"), ("-.5", "-0.5"), ("(.5)", "0.5"), (".500", "0.5"),
        (".5k", "500"), ("minus .25", "-0.25"), (".5 million", "500000"), ("the 3 .38s", "3"),
        ("about -5", "-5"), ("about minus 5", "-5"), ("half of them", "0.5"), ("1 point", "1"),
        ("a thousand million", "1000000000"), ("two hundred thousand million", "200000000000"),
        ("a thousand dozen", "12000"), ("a dozen thousand", "12000"),
        ("1,200.200", "1200.200"),
        ("5 trillion", "5000000000000"), ("2tn", "2000000000000"), ("five lakh", "500000"), ("2 crore", "20000000"),
        ("two lakh fifty thousand", "250000"), ("5 millions", "5000000"), ("2 dozens", "24"), ("\u20135", "-5"),
        ("50%", "50"), ("ten percent", "10"), ("a couple of", "2"), ("3 and", "3"), ("one two-bedroom flat", "1"),
        ("4-ish", "4"), ("3x", "3"), ("5 o'clock", "5"), ("4 adults and 2 kids", "4"), ("5mm", "5"),
        ("...5", "5"), ("v.5", "5"), ("No.5", "5"), ("at.5", "5"), ("so. 5 of them", "5"), ("e.g..5", "5"),
    ],
)  # fmt: skip
def test_the_first_number_is_read(text: str, value: str) -> None:
    assert numbers.read(text) == Decimal(value)


@pytest.mark.parametrize("text", ["fifty", "25", ".5", "2.5 million", "a hundred and two", "half a dozen"])
def test_a_text_may_be_a_number_and_no_more(text: str) -> None:
    assert numbers.exact(text) == numbers.read(text)
    assert numbers.exact(f"for {text}") is numbers.exact(f"{text} of them") is None


@pytest.mark.parametrize(
    "text",
    [
        ".5.5", ".1.2", ".500,00", ".500.000", "0.500.000", "5-.5", "4 or .5", ".5 or 1", "between .5 and 2", "1/.5",
        ".5m", "5\u2014.5",
        "", "just me", "4/5", "1.2.3", "and", "a", "hundred", "attend", "1,2,3", "4 or 5", "4-5 people", "10\u201320",
        "4 to 5 people", "between 2 and 4", "9" * 5000, "9999999999 billion",
        "two thirds", "three quarters of them", "one third", "a third of them", "an eighth", "2 and a third",
        "two-thirds", "three-quarters of them", "a two-third majority", "a quarter of a million",
        "half of the 12 tickets",
        "half of a million", "three quarters of the 12", "three point two million", "about point five",
        "zero point five",
        "100 k", "five hundred k", "3 bn", "20 -30", "4 not 5",
        "5\u4e07", "5\ub9cc",
        "5B", "5t", "2.5 mil", "5 grand", "5 zillion", "three score", "1e6", "1.5e3", "1_000_000", "10^3", "12:30",
        "ten to the sixth", "0x10", "2x4", "4 + 1", "4 plus 1", "two times 20", "twice 20", "10% of 50",
        "10% of the 50", "20 one", "20 and one",
        "20 percent off 50", "3 of 4", "four and two kids", "one two", "1 2 3", "one, two", "10, 000", "two fifty",
        "twenty twenty six", "nineteen eighty four", "hundred twenty", "1 million 200 thousand", "two oh five",
        "two-oh-five", "no one", "no-one", "none of the 3", "not 4", ",5", "a million and a half", "a dozen and a half",
        "two and two thirds", "1\u2153", "\u00be", "6\u20148", "6\u22128", "5m cable", "2.5m",
    ],
)  # fmt: skip
def test_what_is_no_number_or_in_doubt_is_none(text: str) -> None:
    assert numbers.read(text) is None


def test_a_long_text_takes_no_quadratic_time() -> None:
    assert numbers.read("a " * 200_000 + "5") == 5


@pytest.mark.parametrize("text", ["a million and a half", "two thousand and a quarter"])
def test_a_share_of_what_may_be_a_scale_is_no_exact_number(text: str) -> None:
    assert numbers.exact(text) is None
