import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.patterns.numbers import candidates, find_cards, luhn


@given(st.text("0123456789", min_size=11, max_size=18))
def test_one_check_digit_in_ten_is_right(number: str) -> None:
    assert sum(luhn(number + digit) for digit in "0123456789") == 1


def test_a_length_that_the_issuer_does_not_give_out_needs_the_word() -> None:
    assert not list(find_cards("4222222222222"))
    assert list(find_cards("card 4222222222222")) == [(5, 18)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        *(("17,4111111111111111,Joe", 1), ("[1,4111111111111111]", 1), ("id,card\n0,4111111111111111", 1)),
        ("4111111111111111,5500000000000004,340000000000009", 3),
        *(("x = 0,4111111111111111", 0), ("0.4111111111111111", 0), ("17.4111111111111111", 0)),
        ("3.0542369282271403", 0),
    ],
)
def test_a_comma_parts_fields_but_not_a_decimal(text: str, count: int) -> None:
    assert len(list(find_cards(text))) == count


def test_a_prefix_that_no_issuer_has() -> None:
    assert luhn("1111111111111117")
    assert not list(find_cards("1111111111111117"))


def table(least: int, most: int, form: str, between: str, size: int) -> str:
    """A table of random cells, twelve in a row."""
    chance = random.Random(7)
    rows = (between.join(form.format(chance.randint(least, most)) for _ in range(12)) for _ in range(size // 50))
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        *(("4 " * 5000, 10), ("4-" * 5000, 10), ("42 " * 4000, 10), ("41-42 " * 2000, 10), ("4" * 10_000, 0)),
        *(("4111/" * 2000, 4000), ("4111 " * 2000, 4000)),
        (table(1000, 9999, "{}", "\t", 10_000), 0),
        (table(0, 9, "{}", " ", 10_000), 1000),
        (table(1, 49, "{:02}", " ", 10_000), 500),
    ],
)
def test_rows_and_columns_of_numbers_are_hardly_looked_at(text: str, most: int) -> None:
    assert len(list(candidates(text))) <= most


def test_neighbouring_cells_are_no_card() -> None:
    assert not list(find_cards(table(1000, 9999, "{}", "\t", 100_000)))
    assert list(find_cards("4111\t1111\t1111\t1111")) == [(0, 19)]
    assert not list(find_cards("4111\t1111\t1111\t1111\t17"))
    assert not list(find_cards("17\n4111\n1111\n1111\n1111"))


@pytest.mark.parametrize(
    "text",
    ["4111 - 1111 - 1111 - 1111", "4111/1111/1111/1111", "4111 / 1111 / 1111 / 1111", "4111 1111\n1111 1111"],
)
def test_groups_are_parted_in_many_ways(text: str) -> None:
    assert list(find_cards(text)) == [(0, len(text))]


@pytest.mark.parametrize(
    "card",
    [
        *("3\n7\n8\n2\n8\n2\n2\n4\n6\n3\n1\n0\n0\n0\n5", "3056\t9309\t0259\t04", "41\n11\n11\n11\n11\n11\n11\n11"),
    ],
)
def test_a_number_in_several_lines_or_cells_stands_alone_or_behind_a_word_for_it(card: str) -> None:
    assert list(find_cards(f"here {card} thanks")) == [(5, 5 + len(card))]
    assert not list(find_cards(f"{card}\n17"))
    assert list(find_cards(f"card: {card}\n17")) == [(6, 6 + len(card))]


@pytest.mark.parametrize("text", ["4111 1111\n1111 1111\n12/27", "17\n4111 1111 1111\n1111\n12/27"])
def test_a_number_that_a_line_end_parts_may_have_others_around(text: str) -> None:
    assert [text[start:end].split() for start, end in find_cards(text)] == [text.removeprefix("17").split()[:-1]]


@pytest.mark.parametrize(
    ("text", "start"), [("0 4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1", 2), ("2026-11-25 41--11--11--11--11--11--11--11", 11)]
)
def test_single_digits_and_pairs_begin_where_what_parts_them_does(text: str, start: int) -> None:
    assert list(find_cards(text)) == [(start, len(text))]


@pytest.mark.parametrize("word", ["VISA", "card", "Kreditkarte", "tarjeta", "amex", "CC"])
def test_a_word_for_a_card_may_be_glued_to_it(word: str) -> None:
    assert list(find_cards(f"{word}4111111111111111")) == [(len(word), len(word) + 16)]
    assert not list(find_cards(f"{word[:-1]}q4111111111111111"))


@pytest.mark.parametrize("text", ["24/12/2026 25/12/2026", "24/12/2026 - 31/12/2026", "5-6-7 / 8-9-10 / 11-12-13"])
def test_dates_in_a_row_are_no_card(text: str) -> None:
    assert not list(candidates(text))
