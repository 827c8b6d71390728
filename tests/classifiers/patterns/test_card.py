import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.patterns.card import find, luhn


@given(st.text("0123456789", min_size=11, max_size=18))
def test_one_check_digit_in_ten_is_right(number: str) -> None:
    assert sum(luhn(number + digit) for digit in "0123456789") == 1


def test_a_length_that_the_issuer_does_not_give_out_needs_the_word() -> None:
    assert not list(find("4222222222222"))
    assert list(find("card 4222222222222")) == [(5, 18)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        *(("17,4111111111111111,Joe", 1), ("[1,4111111111111111]", 1), ("id,card\n0,4111111111111111", 1)),
        ("4111111111111111,5500000000000004,340000000000009", 3),
        *(("x = 0,4111111111111111", 0), ("0.4111111111111111", 0), ("17.4111111111111111", 0)),
    ],
)
def test_a_comma_parts_fields_but_not_a_decimal(text: str, count: int) -> None:
    assert len(list(find(text))) == count


def test_a_prefix_that_no_issuer_has() -> None:
    assert luhn("1111111111111117")
    assert not list(find("1111111111111117"))
