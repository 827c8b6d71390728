"""Prices of models: a dated table with its source. Unknown models have no price; nothing is guessed.

The shipped table, prices.json, is read at every start: one model a line, with the fields of prices.yaml.
`python -m benchmarks.litellm_prices` writes it. A price file of one's own is laid over it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Struct
from pydantic import Field

from classifiers.fields import Dollars, FrozenRecord, Version, Words, WordsList
from gateway.config.problems import ConfigError, Problem
from gateway.config.settings import shipped_dir
from gateway.config.source import Document, read
from gateway.config.validate import path_in, validate

STANDARD: Final = frozenset({"", "auto", "default", "standard", "on_demand"})
"""What providers call the tier that a model's own price is for."""


class TokenPrices(FrozenRecord):
    """Dollars per million tokens. cache_write: of input that the provider puts into its cache."""

    input: Dollars
    output: Dollars
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None


class TierEntry(TokenPrices):
    """above: the prices of calls with more input tokens than the key says."""

    above: dict[int, TokenPrices] = Field(default_factory=dict)


class PriceEntry(TierEntry):
    """tiers: prices by the service tier that the answer names. snapshots: dated names at the same price."""

    tiers: dict[Words, TierEntry] = Field(default_factory=dict)
    snapshots: WordsList = ()


class PriceFile(FrozenRecord):
    """prices.yaml."""

    version: Version
    as_of: Annotated[Words, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    source: Words
    models: dict[Words, PriceEntry]


class Price(Struct, frozen=True, kw_only=True, rename=lambda name: name.removesuffix("_usd")):
    """Dollars per million tokens, as PriceEntry says."""

    input_usd: float
    output_usd: float
    cached_input_usd: float | None = None
    cache_write_usd: float | None = None
    above: dict[int, "Price"] = {}
    tiers: dict[str, "Price"] = {}

    def cost(
        self, *, input_tokens: int, output_tokens: int, cached_input_tokens: int = 0, cache_write_tokens: int = 0
    ) -> float:
        """Dollars for a call; cached_input_tokens and cache_write_tokens are parts of input_tokens."""
        price = self
        if self.above:
            price = self.above.get(max((most for most in self.above if input_tokens > most), default=0), self)
        fresh = input_tokens - cached_input_tokens - cache_write_tokens
        usd = fresh * price.input_usd + output_tokens * price.output_usd
        if cached_input_tokens:
            usd += cached_input_tokens * (price.input_usd if price.cached_input_usd is None else price.cached_input_usd)
        if cache_write_tokens:
            usd += cache_write_tokens * (price.input_usd if price.cache_write_usd is None else price.cache_write_usd)
        return usd / 1e6


class PriceTable(Struct, frozen=True, kw_only=True):
    """Prices by model name."""

    as_of: str
    models: dict[str, Price]
    source: str = ""

    def find(self, model: str, tier: str = "", answered: str = "") -> Price | None:
        """The model's price, also under a provider's prefix (openai/gpt-4o). tier: that served the call; one without a
        known price has none. answered: the model that has answered; a dated name of `model` has its own price."""
        name = model if model in self.models else self.name(model)
        if len(answered) > len(model):
            dated = answered
            if not answered.startswith(name):
                dated = name + answered.rpartition("/")[2].removeprefix(name.rpartition("/")[2])
            if dated in self.models and dated[len(name) :].replace("-", "").isdigit():
                name = dated
        price = self.models.get(name)
        return price if price is None or tier in STANDARD else price.tiers.get(tier)

    def name(self, model: str) -> str:
        """The model as the table calls it, without a provider's prefix; empty where it has no price."""
        if model in self.models:
            return model
        short = model.rpartition("/")[2]
        return short if short in self.models else ""


def load_prices(file: Path | None = None, env: Mapping[str, str] | None = None) -> PriceTable:
    """The shipped prices, and over them those of a file of one's own. Raises ConfigError. env: what `${NAME}` in the
    file stands for."""
    shipped = msgspec.json.decode((shipped_dir() / "prices.json").read_bytes(), type=PriceTable)
    if file is None:
        return shipped
    document = read(file, env or {})
    table = validate(document, PriceFile)
    if table is not None:
        document.problems += _twice(document, table)
    if table is None or document.problems:
        raise ConfigError(document.problems)
    own = {
        name: msgspec.convert(entry.model_dump(exclude={"snapshots"}), Price)
        for model, entry in table.models.items()
        for name in (model, *entry.snapshots)
    }
    return PriceTable(as_of=table.as_of, source=table.source, models=shipped.models | own)


def _twice(document: Document, table: PriceFile) -> Iterator[Problem]:
    """Names that two prices would be known by, whether as a model or as a snapshot."""
    first: dict[str, int] = {}
    for model, entry in table.models.items():
        for index, name in enumerate((model, *entry.snapshots)):
            place = path_in(document.data, ("models", model, *(("snapshots", index - 1) if index else ())))
            if name in first:
                yield document.problem(place, f"{name!r} stands twice; the first is on line {first[name]}")
            first.setdefault(name, document.mark(place).line)
