from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.prices import Price, PriceTable, load_prices
from gateway.config.problems import ConfigError

TEXT = """\
version: 1
as_of: 2026-11-25
source: a test
models:
  one: {input: $2.50, output: $10.00, cached_input: $1.25, snapshots: one-2026-01-01}
  two: {input: 1, output: 4}
"""


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], PriceTable]:
    def make(text: str) -> PriceTable:
        file = tmp_path / "prices.yaml"
        file.write_text(text, "utf-8")
        return load_prices(file)

    return make


@pytest.mark.parametrize(
    ("model", "name", "dollars"),
    [
        ("one", "one", 2.5 + 10 - 0.4 * 1.25),
        ("one-2026-01-01", "one-2026-01-01", 12.0),
        ("a/b/two", "two", 5.0),
        ("ONE", "", None),
        ("one/", "", None),
    ],
)
def test_a_model_is_found_by_its_name_or_not_at_all(
    table: Callable[[str], PriceTable], model: str, name: str, dollars: float | None
) -> None:
    prices = table(TEXT)
    price = prices.find(model)
    assert prices.name(model) == name
    assert (price is None) is (dollars is None)
    if price is not None:
        cost = price.cost(input_tokens=10**6, output_tokens=10**6, cached_input_tokens=400_000)
        assert cost == pytest.approx(dollars)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("$2.50", "2.50€"), "models.one.input: '2.50€' is not an amount in dollars"),
        (("2026-11-25", "yesterday"), "2:1: as_of: 'yesterday' must be a date such as 2026-11-25"),
        (("  two: ", "  one: "), "stands twice"),
        (
            ("output: 4}", "output: 4, snapshots: [two-1, one-2026-01-01]}"),
            "6:49: models.two.snapshots[1]: 'one-2026-01-01' stands twice; the first is on line 5",
        ),
        (("one-2026-01-01", "[a, a]"), "5:75: models.one.snapshots[1]: 'a' stands twice; the first is on line 5"),
    ],
)
def test_a_wrong_table_is_refused(table: Callable[[str], PriceTable], change: tuple[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        table(TEXT.replace(*change))
    assert message in str(caught.value)


PRICES = st.builds(
    lambda fresh, share, out: Price(
        input_usd=fresh, cached_input_usd=fresh * share, cache_write_usd=fresh, output_usd=out
    ),
    st.floats(0, 1e-3),
    st.floats(0, 1),
    st.floats(0, 1e-3),
)


@given(PRICES, st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1))
def test_a_cost_is_never_below_nothing_and_cached_tokens_never_raise_it(
    price: Price, given_tokens: int, made: int, share: float
) -> None:
    cost = price.cost(input_tokens=given_tokens, output_tokens=made, cached_input_tokens=round(given_tokens * share))
    assert 0 <= cost <= price.cost(input_tokens=given_tokens, output_tokens=made) * (1 + 1e-9) + 1e-12
