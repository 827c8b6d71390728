import json
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import litellm_prices
from gateway.config.prices import STANDARD, Price, PriceTable, load_prices
from gateway.config.problems import ConfigError
from gateway.config.settings import shipped_dir
from tests import given as tables

TEXT = tables.table_text("given/gateway-prices-text.yaml")


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
        # the file is laid over the prices that are shipped
        ("gpt-4o", "gpt-4o", 14.0),
        ("gpt-4o-mini", "gpt-4o-mini", 0.15 + 0.6 - 0.4 * 0.075),
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
    ("model", "tier", "answered", "tokens", "dollars"),
    [
        ("long", "", "", 1000, 1000 * 2 + 10 * 4),
        ("long", "default", "long", 1001, 1001 * 4 + 10 * 6),
        ("long", "", "other", 2001, 2001 * 8 + 10 * 9),
        ("long", "flex", "", 1000, 1000 * 1 + 10 * 2),
        ("long", "flex", "", 1001, 1001 * 3 + 10 * 5),
        ("long", "priority", "", 1000, None),
        ("two", "flex", "", 1000, None),
        # what has answered is a dated name of what was asked for, with a price of its own, or without one
        ("long", "", "long-20260101", 1000, 1000 * 3 + 10 * 5),
        ("a/long", "", "long-20260101", 1000, 1000 * 3 + 10 * 5),
        ("long", "", "long-20260202", 1000, 1000 * 2 + 10 * 4),
        ("two", "", "long-20260101", 1000, 1000 * 1 + 10 * 4),
        ("gpt-4", "", "gpt-4o", 1000, 1000 * 30 + 10 * 60),
        ("unknown", "", "two", 1000, None),
    ],
)
def test_tier_length_and_snapshot_have_their_own_prices(
    table: Callable[[str], PriceTable], model: str, tier: str, answered: str, tokens: int, dollars: float | None
) -> None:
    price = table(TEXT).find(model, tier, answered)
    cost = None if price is None else price.cost(input_tokens=tokens, output_tokens=10) * 1e6
    assert cost == (None if dollars is None else pytest.approx(dollars))


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
        (("flex: {input: 1, output", "flex: {input: 1, outptu"), 'no such key; did you mean "output"?'),
    ],
)
def test_a_wrong_table_is_refused(table: Callable[[str], PriceTable], change: tuple[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        table(TEXT.replace(*change))
    assert message in str(caught.value)


PRICES = st.builds(
    lambda fresh, share, out: Price(input_usd=fresh, cached_input_usd=fresh * share, output_usd=out),
    st.floats(0, 1e3),
    st.floats(0, 1),
    st.floats(0, 1e3),
)


@given(PRICES, st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1))
def test_a_cost_is_never_below_nothing_and_cached_tokens_never_raise_it(
    price: Price, given_tokens: int, made: int, share: float
) -> None:
    cost = price.cost(input_tokens=given_tokens, output_tokens=made, cached_input_tokens=round(given_tokens * share))
    assert 0 <= cost <= price.cost(input_tokens=given_tokens, output_tokens=made) * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize(("model", "entry"), tables.table("given/gateway-prices-litellm.yaml"))
def test_an_entry_of_litellms_table(model: Mapping[str, Any], entry: Mapping[str, Any] | None) -> None:
    assert litellm_prices.entry(model) == entry


def test_the_shipped_prices_know_the_names_that_clients_send_and_are_what_the_script_writes() -> None:
    prices = load_prices()
    for name in (
        *(
            "gpt-4o-2024-05-13",
            "claude-haiku-4-5",
            "anthropic/claude-haiku-4-5",
            "gemini-2.5-pro",
            "gemini/gemini-2.5-pro",
        ),
        *("models/gemini-2.5-pro", "grok-4.3", "xai/grok-4.3", "mistral-large-latest", "deepseek-chat", "azure/gpt-4o"),
        *("us.anthropic.claude-haiku-4-5-20251001-v1:0", "bedrock/anthropic.claude-haiku-4-5-20251001-v1:0"),
        *("text-embedding-3-small", "omni-moderation-latest"),
    ):
        assert prices.find(name) is not None, name
    assert prices.models["gpt-4o-2024-05-13"] != prices.models["gpt-4o"]
    assert not any(tier in STANDARD for price in prices.models.values() for tier in price.tiers)
    try:
        package = distribution("litellm")
    except PackageNotFoundError:
        pytest.skip("needs litellm")
    if f"litellm {package.version} " not in prices.source:
        pytest.skip("another litellm")
    made = litellm_prices.price_list(litellm_prices.models_of(package), source=prices.source, as_of=prices.as_of)
    assert (shipped_dir() / "prices.json").read_text("utf-8") == made
    assert json.loads(made)["version"] == 1
