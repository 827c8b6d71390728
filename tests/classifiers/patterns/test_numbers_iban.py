import pytest

from classifiers.patterns.numbers import checks, find_ibans


@pytest.mark.parametrize(
    "number", ["DE89370400440532013000", "GB82WEST12345698765432", "NO9386011117947", "MT84MALT011000012345MTLCAST001S"]
)
def test_check_digits(number: str) -> None:
    assert checks(number)
    assert not checks(number[:2] + f"{(int(number[2:4]) + 1) % 98:02d}" + number[4:])
    assert list(find_ibans(number)) == [(0, len(number))]


def test_the_country_says_how_long_it_is() -> None:
    assert list(find_ibans("NO93 8601 1117 947 and 12")) == [(0, 18)]
    assert not list(find_ibans("NO93 8601 1117 9471"))
    assert not list(find_ibans("XX93 8601 1117 947"))


@pytest.mark.parametrize("around", ["账号{}请转账", "IBANは{}です", "{}입니다", "{}и"])
def test_letters_that_no_iban_has_may_stand_beside_it(around: str) -> None:
    number = "DE89370400440532013000"
    start = around.index("{}")
    assert list(find_ibans(around.format(number))) == [(start, start + len(number))]
    assert not list(find_ibans(number + "X"))


@pytest.mark.parametrize(
    "number",
    [
        *("DE89_3704_0044_0532_0130_00", "DE89/3704/0044/0532/0130/00", "DE89 - 3704 - 0044 - 0532 - 0130 - 00"),
        *("DE_89_3704_0044_0532_0130_00", "DE89  3704  0044  0532  0130  00"),
    ],
)
def test_groups_are_parted_in_many_ways(number: str) -> None:
    assert list(find_ibans(number)) == [(0, len(number))]


@pytest.mark.parametrize(("before", "held"), [("IBAN", True), ("iban", True), ("Konto", True), ("XIBA", False)])
def test_a_word_for_an_account_may_be_glued_to_it(before: str, *, held: bool) -> None:
    number = "DE89370400440532013000"
    assert list(find_ibans(before + number)) == ([(len(before), len(before) + len(number))] if held else [])
