"""Prices of models: a dated table with its source. Unknown models have no price; nothing is guessed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from classifiers.fields import Dollars, FrozenRecord, Version, Words, WordsList
from gateway.config.problems import ConfigError, Problem
from gateway.config.source import Document, read
from gateway.config.validate import path_in, validate


class PriceEntry(FrozenRecord):
    """Dollars per million tokens. cache_write: of input that the provider puts into its cache. snapshots: dated names
    of the same model at the same price."""

    input: Dollars
    output: Dollars
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None
    snapshots: WordsList = ()


class PriceFile(FrozenRecord):
    """prices.yaml."""

    version: Version
    as_of: Annotated[Words, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    source: Words
    models: dict[Words, PriceEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Dollars per token."""

    input_usd: float
    output_usd: float
    cached_input_usd: float
    cache_write_usd: float

    def cost(
        self, *, input_tokens: int, output_tokens: int, cached_input_tokens: int = 0, cache_write_tokens: int = 0
    ) -> float:
        """Dollars for a call; cached_input_tokens and cache_write_tokens are parts of input_tokens."""
        fresh = input_tokens - cached_input_tokens - cache_write_tokens
        cached = cached_input_tokens * self.cached_input_usd + cache_write_tokens * self.cache_write_usd
        return fresh * self.input_usd + cached + output_tokens * self.output_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """Prices by model name."""

    as_of: str
    prices: Mapping[str, Price]

    def find(self, model: str) -> Price | None:
        """The model's price, also under a provider's prefix (openai/gpt-4o)."""
        return self.prices.get(self.name(model))

    def name(self, model: str) -> str:
        """The model as the table calls it, without a provider's prefix; empty where it has no price."""
        if model in self.prices:
            return model
        short = model.rpartition("/")[2]
        return short if short in self.prices else ""


def load_prices(file: Path, env: Mapping[str, str] | None = None) -> PriceTable:
    """Reads a price file. Raises ConfigError. env: what `${NAME}` in it stands for; the shipped file has none."""
    document = read(file, env or {})
    table = validate(document, PriceFile)
    if table is not None:
        document.problems += _twice(document, table)
    if table is None or document.problems:
        raise ConfigError(document.problems)
    prices = {}
    for model, entry in table.models.items():
        price = Price(
            input_usd=entry.input / 1e6,
            output_usd=entry.output / 1e6,
            cached_input_usd=(entry.input if entry.cached_input is None else entry.cached_input) / 1e6,
            cache_write_usd=(entry.input if entry.cache_write is None else entry.cache_write) / 1e6,
        )
        prices.update(dict.fromkeys((model, *entry.snapshots), price))
    return PriceTable(as_of=table.as_of, prices=prices)


def _twice(document: Document, table: PriceFile) -> Iterator[Problem]:
    """Names that two prices would be known by, whether as a model or as a snapshot."""
    first: dict[str, int] = {}
    for model, entry in table.models.items():
        for index, name in enumerate((model, *entry.snapshots)):
            place = path_in(document.data, ("models", model, *(("snapshots", index - 1) if index else ())))
            if name in first:
                yield document.problem(place, f"{name!r} stands twice; the first is on line {first[name]}")
            first.setdefault(name, document.mark(place).line)
