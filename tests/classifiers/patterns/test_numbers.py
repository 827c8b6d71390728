"""Numbers with check digits. tests/tables/patterns.yaml has more cases."""

import random
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from classifiers.patterns.find import find
from classifiers.patterns.numbers import checks, find_cards, find_ibans, find_national, luhn, national_forms

TABLES = yaml.safe_load((Path(__file__).parents[2] / "tables" / "patterns.yaml").read_text(encoding="utf-8"))
IBAN = "DE89370400440532013000"


@given(st.text("0123456789", min_size=11, max_size=18))
def test_one_check_digit_in_ten_is_right(number: str) -> None:
    assert sum(luhn(number + digit) for digit in "0123456789") == 1


def test_a_comma_parts_fields_but_not_a_decimal() -> None:
    counts = {"17,4111111111111111,Joe": 1, "[1,4111111111111111]": 1, "id,card\n0,4111111111111111": 1}
    counts |= {"4111111111111111,5500000000000004,340000000000009": 3, "x = 0,4111111111111111": 0}
    counts |= {"17.4111111111111111": 0, "3.0542369282271403": 0}
    assert {text: len(list(find_cards(text))) for text in counts} == counts


def table(least: int, most: int, form: str, between: str, size: int) -> str:
    """A table of random cells, twelve in a row."""
    chance = random.Random(7)
    rows = (between.join(form.format(chance.randint(least, most)) for _ in range(12)) for _ in range(size // 50))
    return "\n".join(rows)


@pytest.mark.parametrize(("finder", "name"), [(find_cards, "separated_cards"), (find_ibans, "separated_ibans")])
def test_groups_are_parted_in_many_ways(finder: Callable[[str], Iterator[tuple[int, int]]], name: str) -> None:
    assert {text: list(finder(text)) for text in TABLES[name]} == {text: [(0, len(text))] for text in TABLES[name]}


def test_neighbouring_cells_and_dates_are_no_card() -> None:
    assert not list(find_cards(table(1000, 9999, "{}", "\t", 100_000)))
    assert list(find_cards("4111\t1111\t1111\t1111")) == [(0, 19)]
    assert not list(find_cards("4111\t1111\t1111\t1111\t17"))
    assert not list(find_cards("17\n4111\n1111\n1111\n1111"))


@pytest.mark.parametrize(
    "number", [IBAN, "GB82WEST12345698765432", "NO9386011117947", "MT84MALT011000012345MTLCAST001S"]
)
def test_ibans_have_check_digits(number: str) -> None:
    wrong = number[:2] + f"{(int(number[2:4]) + 1) % 98:02d}" + number[4:]
    assert (checks(number), checks(wrong), list(find_ibans(number))) == (True, False, [(0, len(number))])


@pytest.mark.parametrize("around", ["账号{}请转账", "IBANは{}です", "{}입니다", "{}и", "IBAN{}", "Konto{}"])
def test_letters_that_no_iban_has_and_words_for_an_account_may_touch_it(around: str) -> None:
    start = around.index("{}")
    assert list(find_ibans(around.format(IBAN))) == [(start, start + len(IBAN))]
    assert not list(find_ibans(f"{IBAN}X")) + list(find_ibans(f"XIBA{IBAN}"))


def test_the_library_knows_each_form() -> None:
    modules = {form.module for form in national_forms()} - {""}
    assert len(modules) > 30
    assert not any(import_module(f"stdnum.{module}").is_valid("1") for module in modules)


def test_each_separator_that_a_form_allows_is_seen_through() -> None:
    texts = TABLES["separated_numbers_of_persons"]
    numbers = {text: re.search(r"[\dX].*", text) for text in texts}
    assert [text for text, number in numbers.items() if number and number.span() not in list(find_national(text))] == []


def test_a_number_beside_its_word_is_found_whole() -> None:
    for word, number in TABLES["numbers_of_persons"]:
        (match,) = find(f"{word} {number}", ["national_id"])
        assert (match.start, match.end) == (len(word) + 1, len(word) + 1 + len(number)), word


@pytest.mark.parametrize(
    "text",
    [
        *("I run 12531909 2 times", "RUT 12531909-3", "personnummer 8803200017", "BSN 111-222-334", "44051401359"),
        *("the photo in my passport is from an iPhone15 with Windows10", "passport control is closed"),
        f"pesel {'word ' * 30} 44051401359",
        "666-45-6789 and 900-45-6789 and 123-00-6789 and 123-45-0000 and BG123456C",
    ],
)
def test_a_word_or_a_weak_form_alone_says_nothing_nor_a_number_that_nobody_has(text: str) -> None:
    assert not list(find_national(text))
