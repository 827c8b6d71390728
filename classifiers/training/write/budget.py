"""What a teacher costs: an estimate before anything is spent, and a purse that closes at the budget."""

from collections.abc import Sequence
from dataclasses import dataclass

from classifiers.training.write.cache import Completion
from classifiers.training.write.prompts import Ask

_ASCII_A_TOKEN = 4
_TOKENS_A_CHARACTER = 1.5
"""Of those beyond ASCII: few alphabets need more."""

_TOKENS_BESIDE = 8
_TOKENS_A_SENTENCE = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Dollars for a token; zero where nothing is charged or the price is unknown (`known` tells which)."""

    input_usd: float = 0.0
    output_usd: float = 0.0
    known: bool = True

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Dollars."""
        return input_tokens * self.input_usd + output_tokens * self.output_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the prompts that are not cached will come to, roughly."""

    calls: int
    cached_calls: int
    input_tokens: int
    output_tokens: int
    usd: float


class BudgetExceeded(Exception):
    """The next call could cost more than is left."""


class Purse:
    """A budget in dollars and in tokens that is checked before each call and charged after it."""

    def __init__(self, budget_usd: float, price: Price, tokens: int | None = None) -> None:
        """Nothing is spent yet. tokens: at most so many, in and out; None: any number."""
        self.spent_usd = 0.0
        self.input_tokens = 0
        self.output_tokens = 0
        self._budget_usd = budget_usd
        self._price = price
        self._tokens = tokens

    def check(self, ask: Ask, max_tokens: int) -> None:
        """Raises BudgetExceeded where this call could exceed the budget."""
        asked = token_count(ask.prompt)
        if self.spent_usd + self._price.of(asked, max_tokens) > self._budget_usd:
            raise BudgetExceeded
        if self._tokens is not None and self.input_tokens + self.output_tokens + asked + max_tokens > self._tokens:
            raise BudgetExceeded

    def charge(self, ask: Ask, answer: Completion) -> None:
        """Count a call's tokens, by the length of its text where the server does not report them."""
        asked = answer.input_tokens or token_count(ask.prompt)
        told = answer.output_tokens or token_count(answer.text)
        self.input_tokens += asked
        self.output_tokens += told
        self.spent_usd += self._price.of(asked, told)


def estimate(asks: Sequence[Ask], cached: int, price: Price) -> Estimate:
    """asks: those that must be paid for; cached: how many need not be."""
    asked = sum(token_count(ask.prompt) for ask in asks)
    told = sum(ask.texts * _TOKENS_A_SENTENCE for ask in asks)
    return Estimate(
        calls=len(asks), cached_calls=cached, input_tokens=asked, output_tokens=told, usd=price.of(asked, told)
    )


def token_count(text: str) -> int:
    """A rough count, on the high side."""
    ascii_only = sum(map(str.isascii, text))
    return int(ascii_only / _ASCII_A_TOKEN + (len(text) - ascii_only) * _TOKENS_A_CHARACTER) + _TOKENS_BESIDE
