"""Units as people write them."""

import pytest

from classifiers.fields import parse_duration, parse_money, parse_share, parse_size


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_share, "2%", 0.02),
        (parse_share, " 0.5 ", 0.5),
        (parse_share, 1, 1.0),
        (parse_share, "100%", 1.0),
        (parse_duration, "250ms", 0.25),
        (parse_duration, "2 s", 2.0),
        (parse_duration, "30d", 30 * 86400.0),
        (parse_size, "2MiB", 2 * 1024**2),
        (parse_size, "1.5kB", 1500),
        (parse_money, "$1.00", 1.0),
        (parse_money, "0.25", 0.25),
    ],
)
def test_what_people_write(parse, text, value) -> None:
    assert parse(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("parse", "text", "hint"),
    [
        (parse_share, "2", "from 0% to 100%"),
        (parse_share, "101%", "percentage"),
        (parse_share, "-1%", "percentage"),
        (parse_share, "two", "percentage"),
        (parse_share, "2,5%", "such as 2.5%"),
        (parse_share, "5 percent", "such as 2.5%"),
        (parse_share, "nan", "percentage"),
        (parse_duration, "3", "units: ms, s"),
        (parse_duration, "3 fortnights", "units: ms, s"),
        (parse_duration, "-3s", "duration"),
        (parse_duration, "1e999s", "duration"),
        (parse_size, "1e999MiB", "size"),
        (parse_size, "1e300GiB", "size"),
        (parse_size, "5 MB/s", "size"),
        (parse_money, "1.00 EUR", "dollars"),
        (parse_money, "-$1", "amount"),
    ],
)
def test_what_cannot_be_meant(parse, text, hint) -> None:
    with pytest.raises(ValueError, match=hint):
        parse(text)
